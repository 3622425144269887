package expression

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// object is a CEL value with declared fields. They read the Go value.
type object struct {
	kind *kind
	of   any
}

// kind is a CEL object type.
type kind struct {
	name   string
	typ    *types.Type
	fields map[string]*types.FieldType
	names  []string // of the fields, in order
}

// field is one field of a kind.
type field struct {
	name string
	typ  *types.Type
	get  func(of any) ref.Val
	has  func(of any) bool // nil: the field is always there
}

// typePrefix keeps the names of types from being names in an expression.
const typePrefix = "weir."

func newKind(name string, fields ...field) *kind {
	k := &kind{name: name, typ: types.NewObjectType(typePrefix + name), fields: map[string]*types.FieldType{}}
	for _, f := range fields {
		k.names = append(k.names, f.name)
		k.fields[f.name] = &types.FieldType{
			Type: f.typ,
			GetFrom: func(of any) (any, error) {
				return f.get(of), nil
			},
			IsSet: func(of any) bool {
				return f.has == nil || f.has(of)
			},
		}
	}
	return k
}

// get turns a function of T into a getter. For a missing object it returns null, or an
// empty list if the field is a list.
func get[T any](typ *types.Type, f func(T) ref.Val) func(any) ref.Val {
	var missing ref.Val = types.NullValue
	if typ.Kind() == types.ListKind {
		missing = emptyList
	}
	return func(of any) ref.Val {
		v, ok := of.(T)
		if !ok {
			return missing
		}
		return f(v)
	}
}

func (o *object) Type() ref.Type { return o.kind.typ }
func (o *object) Value() any     { return o.of }

// Equal compares identities: two objects of the same thing are equal.
func (o *object) Equal(other ref.Val) ref.Val {
	p, ok := other.(*object)
	return types.Bool(ok && p.kind == o.kind && p.identity() == o.identity())
}

func (o *object) identity() any {
	if l, ok := o.of.(*live); ok {
		return l.model // each read of numbers makes a new live
	}
	return o.of
}

func (o *object) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return o.kind.typ
	}
	return types.NewErrFromString("no such conversion")
}

func (o *object) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a %s has no form of type %s", o.kind.name, t)
}

// field reads a field by name. It is for values whose type is not known before.
func (o *object) field(name string) (ref.Val, bool) {
	f, ok := o.kind.fields[name]
	if !ok {
		return types.NullValue, false
	}
	v, _ := f.GetFrom(o.of)
	return v.(ref.Val), f.IsSet(o.of)
}

// kinds is the type provider of the object types. Everything else is cel-go's
// registry.
type kinds struct {
	types.Provider
	byName map[string]*kind
}

func newKinds(registry types.Provider, all ...*kind) *kinds {
	k := &kinds{Provider: registry, byName: map[string]*kind{}}
	for _, one := range all {
		k.byName[one.typ.TypeName()] = one
	}
	return k
}

func (k *kinds) FindStructType(name string) (*types.Type, bool) {
	if one, ok := k.byName[name]; ok {
		return types.NewTypeTypeWithParam(one.typ), true
	}
	return nil, false
}

func (k *kinds) FindStructFieldNames(name string) ([]string, bool) {
	if one, ok := k.byName[name]; ok {
		return slices.Clone(one.names), true
	}
	return nil, false
}

func (k *kinds) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if one, ok := k.byName[name]; ok {
		f, ok := one.fields[field]
		return f, ok
	}
	return nil, false
}

func (k *kinds) NewValue(string, map[string]ref.Val) ref.Val {
	return types.NewErrFromString("objects cannot be made in an expression")
}

// adapter returns CEL values unchanged and leaves other values to cel-go.
type adapter struct{ types.Adapter }

func (a adapter) NativeToValue(v any) ref.Val {
	if val, ok := v.(ref.Val); ok {
		return val
	}
	return a.Adapter.NativeToValue(v)
}
