package expression

import (
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// ModelStrategy is a compiled expression of model_selection. It is used by
// many goroutines at once.
type ModelStrategy struct {
	*program
	uses  Uses
	world *World
}

// Models compiles an expression of model_selection. It must return a model or a list of
// models.
func (w *World) Models(source string) (*ModelStrategy, []Issue) {
	p, f, issues := w.strategy(modelLanguage(), source, modelKind)
	if issues != nil {
		return nil, issues
	}
	return &ModelStrategy{p, f.uses, w}, nil
}

// Uses returns what the strategy reads of a request.
func (s *ModelStrategy) Uses() Uses { return s.uses }

// Run returns the models that the strategy chooses from the candidates, in its order. An
// empty result is not an error. A model can be in it twice, as in ai.models + ai.models.
// The result may share memory with the candidates. The error is safe to log: it contains
// nothing of the request.
func (s *ModelStrategy) Run(in *Input, candidates []*Model) ([]*Model, error) {
	r := in.start(s.world)
	defer r.finish()
	r.models.models = candidates
	v, err := s.eval(r)
	in.Cost = r.total
	if err != nil {
		return nil, err
	}
	if o, ok := v.(*object); ok && o.kind == modelKind {
		return []*Model{o.of.(*Model)}, nil
	}
	models, bad := modelsOf(v)
	if bad != nil {
		return nil, s.failure(safef("it returned something that is not a model"))
	}
	return models, nil
}

// KeyStrategy is a compiled expression of api_key_selection, used like a
// ModelStrategy.
type KeyStrategy struct {
	*program
	uses  Uses
	world *World
}

// Keys compiles an expression of api_key_selection. It must return a key or a list of
// keys.
func (w *World) Keys(source string) (*KeyStrategy, []Issue) {
	p, f, issues := w.strategy(keyLanguage(), source, keyKind)
	if issues != nil {
		return nil, issues
	}
	return &KeyStrategy{p, f.uses, w}, nil
}

// Uses returns what the strategy reads of a request.
func (s *KeyStrategy) Uses() Uses { return s.uses }

// Run returns the keys that the strategy chooses from a provider's keys, in its order.
func (s *KeyStrategy) Run(in *Input, keys []*Key) ([]*Key, error) {
	r := in.start(s.world)
	defer r.finish()
	r.models.models, r.keys, r.choosesKey = in.Models, keys, true
	v, err := s.eval(r)
	if err != nil {
		return nil, err
	}
	if l, ok := v.(traits.Lister); ok {
		var out []*Key
		for it := l.Iterator(); it.HasNext() == types.True; {
			e := it.Next()
			k, ok := keyOf(e)
			if !ok && e != types.NullValue {
				return nil, s.failure(safef("it returned something that is not a key"))
			}
			if ok {
				out = append(out, k)
			}
		}
		return out, nil
	}
	if k, ok := keyOf(v); ok {
		return []*Key{k}, nil
	}
	if v == types.NullValue {
		return nil, nil
	}
	return nil, s.failure(safef("it returned something that is not a key"))
}

func keyOf(v ref.Val) (*Key, bool) {
	o, ok := v.(*object)
	if !ok || o.kind != keyKind {
		return nil, false
	}
	return o.of.(liveKey).key, true
}

// strategy compiles an expression that returns objects of a kind.
func (w *World) strategy(l *language, source string, k *kind) (*program, found, []Issue) {
	checked, issues := l.compile(source)
	if issues != nil {
		return nil, found{}, issues
	}
	f, issues := check(checked)
	if issues = append(issues, gives(checked, k)...); issues != nil {
		return nil, found{}, issues
	}
	lowered := lower(checked)
	lowered.drawLast(lowered.Expr())
	p, err := l.program(lowered)
	if err == nil && k == modelKind {
		err = p.share(l, lowered, w)
	}
	if err != nil {
		return nil, found{}, []Issue{{1, 1, err.Error()}}
	}
	return p, f, nil
}
