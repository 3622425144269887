package expression

import (
	"fmt"
	"reflect"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

var emptyList ref.Val = types.NewRefValList(adapter{types.DefaultTypeAdapter}, nil)

// listOf returns a CEL list of values.
func listOf(vals []ref.Val) ref.Val {
	return types.NewRefValList(adapter{types.DefaultTypeAdapter}, vals)
}

// modelList is a list of models as a CEL list. It does not copy them.
type modelList struct{ models []*Model }

var _ traits.Lister = (*modelList)(nil)

func (l *modelList) Type() ref.Type { return types.ListType }
func (l *modelList) Value() any     { return l.models }
func (l *modelList) Size() ref.Val  { return types.Int(len(l.models)) }

func (l *modelList) Get(index ref.Val) ref.Val {
	i, err := types.IndexOrError(index)
	if err != nil {
		return types.WrapErr(err)
	}
	if i < 0 || i >= len(l.models) {
		return types.NewErrFromString("index out of bounds")
	}
	return &l.models[i].view().model
}

func (l *modelList) Contains(v ref.Val) ref.Val {
	if o, ok := v.(*object); ok {
		for _, m := range l.models {
			if o.of == any(m) && o.kind == modelKind {
				return types.True
			}
		}
	}
	return types.False
}

// Add returns a new list.
func (l *modelList) Add(other ref.Val) ref.Val {
	if more, ok := other.(*modelList); ok {
		sum := make([]*Model, 0, len(l.models)+len(more.models))
		return &modelList{append(append(sum, l.models...), more.models...)}
	}
	if _, ok := other.(traits.Lister); !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	return l.values().(traits.Lister).Add(other)
}

func (l *modelList) Equal(other ref.Val) ref.Val {
	if _, ok := other.(traits.Lister); !ok {
		return types.False
	}
	return l.values().Equal(other)
}

// values returns the list as a list of cel-go's.
func (l *modelList) values() ref.Val {
	vals := make([]ref.Val, len(l.models))
	for i, m := range l.models {
		vals[i] = &m.view().model
	}
	return listOf(vals)
}

func (l *modelList) Iterator() traits.Iterator { return &modelIterator{left: l.models} }

func (l *modelList) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.ListType:
		return l
	case types.TypeType:
		return types.ListType
	}
	return types.NewErrFromString("no such conversion")
}

func (l *modelList) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("models have no form of type %s", t)
}

type modelIterator struct {
	iteratorBase
	left []*Model
}

func (it *modelIterator) HasNext() ref.Val { return types.Bool(len(it.left) > 0) }

func (it *modelIterator) Next() ref.Val {
	m := it.left[0]
	it.left = it.left[1:]
	return &m.view().model
}

// iteratorBase has the methods of a CEL iterator that do not iterate.
type iteratorBase struct{}

func (iteratorBase) Type() ref.Type        { return types.IteratorType }
func (iteratorBase) Value() any            { return nil }
func (iteratorBase) Equal(ref.Val) ref.Val { return types.False }
func (iteratorBase) ConvertToType(ref.Type) ref.Val {
	return types.NewErrFromString("no such conversion")
}
func (iteratorBase) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("an iterator has no form of type %s", t)
}

// modelsOf returns the models of a modelList or another CEL list.
func modelsOf(v ref.Val) ([]*Model, ref.Val) {
	if l, ok := v.(*modelList); ok {
		return l.models, nil
	}
	l, ok := v.(traits.Lister)
	if !ok {
		if v == types.NullValue {
			return nil, nil
		}
		return nil, types.MaybeNoSuchOverloadErr(v)
	}
	models := make([]*Model, 0, int(l.Size().(types.Int)))
	for it := l.Iterator(); it.HasNext() == types.True; {
		switch e := it.Next().(type) {
		case *object:
			m, ok := e.of.(*Model)
			if !ok || e.kind != modelKind {
				return nil, types.NewErrFromString("no such overload")
			}
			models = append(models, m)
		case types.Null: // an element that a list did not have
		default:
			return nil, types.MaybeNoSuchOverloadErr(e)
		}
	}
	return models, nil
}
