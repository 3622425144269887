package expression

import (
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

var ruleKind = newKind("rule")

// answer is what a predicate says of a model.
type answer uint8

const (
	no answer = iota
	yes
	wrong // an error, or no bool: CEL has to say which
)

// rule decides for each model of a list. It is a constant of an optimised
// expression.
type rule struct {
	object
	world *World
	table []answer // by Model.index-1; nil where nothing is known before a request
	ask   func(m *Model) ref.Val
	loop  *predicate // instead of ask
}

// rule makes a rule of a function of the model alone.
func (w *World) rule(ask func(*Model) ref.Val) ref.Val {
	r := &rule{object: object{kind: ruleKind}, world: w, ask: ask, table: make([]answer, len(w.models))}
	for i, m := range w.models {
		r.table[i] = answerOf(ask(m))
	}
	return r
}

// rule makes a rule of a predicate. One that reads only the model is evaluated
// here, once for each model of the world.
func (p *predicate) rule(w *World) ref.Val {
	r := &rule{object: object{kind: ruleKind}, world: w, loop: p}
	if p.counted == nil {
		return r
	}
	r.table = make([]answer, len(w.models))
	for i, m := range w.models {
		r.table[i] = answerOf(p.once(m))
	}
	return r
}

// once evaluates a predicate for a model when there is no request.
func (p *predicate) once(m *Model) ref.Val {
	return exec(p.counted, &loop{name: p.variable, val: &m.view().model, run: &run{}})
}

func answerOf(v ref.Val) answer {
	switch v {
	case types.True:
		return yes
	case types.False:
		return no
	}
	return wrong
}

// each calls f with what the rule says of each model, until f says no more. It
// is nil, or the error that makes the plain form decide.
func (r *rule) each(models []*Model, in *run, f func(*Model, answer) bool) ref.Val {
	var frame *interpreter.ExecutionFrame
	for _, m := range models {
		a := wrong
		switch {
		case r.table != nil && r.world.knows(m):
			a = r.table[m.index-1]
		case r.loop == nil:
			a = answerOf(r.ask(m))
		default:
			if frame == nil {
				frame = in.frame(r.loop.variable)
				defer frame.Close()
			}
			in.loop.val = &m.view().model
			a = answerOf(r.loop.exec.Exec(frame))
		}
		if a == wrong {
			return in.giveUp()
		}
		if !f(m, a) {
			break
		}
	}
	return nil
}

// frame is where a predicate is evaluated; loop.val is the model.
func (r *run) frame(variable string) *interpreter.ExecutionFrame {
	r.loop = loop{name: variable, run: r}
	frame, _ := interpreter.NewExecutionFrame(&r.loop) // fails for other types only
	return frame
}

// giveUp ends the optimised form with an error, which nobody sees.
func (r *run) giveUp() ref.Val {
	r.bail = true
	return types.NewErrFromString("the optimised form met an error")
}

// order sorts models. It is a constant of an optimised expression.
type order struct {
	object
	world *World
	ranks []uint32 // of the known models: their places, equal ones sharing one
	key   func(*Model) (sortKey, bool)
	loop  *predicate // instead of key
}

// order makes an order of a function of the model alone; false is an error.
func (w *World) order(key func(*Model) (sortKey, bool)) ref.Val {
	return &order{object: object{kind: ruleKind}, world: w, key: key, ranks: w.ranks(key)}
}

func (p *predicate) order(w *World) ref.Val {
	o := &order{object: object{kind: ruleKind}, world: w, loop: p}
	if p.counted != nil {
		o.ranks = w.ranks(func(m *Model) (sortKey, bool) {
			k, bad := sortKeyOf(p.once(m))
			return k, bad == nil
		})
	}
	return o
}

// ranks sorts all models of the world: nil if one has no key.
func (w *World) ranks(key func(*Model) (sortKey, bool)) []uint32 {
	all := make([]keyed[int], len(w.models))
	for i, m := range w.models {
		k, ok := key(m)
		if !ok {
			return nil
		}
		all[i] = keyed[int]{k, i}
	}
	sortKeyed(all)
	ranks := make([]uint32, len(all))
	for i := range all {
		ranks[all[i].of] = uint32(i)
		if i > 0 && all[i].key.compare(all[i-1].key) == 0 {
			ranks[all[i].of] = ranks[all[i-1].of]
		}
	}
	return ranks
}

// sort sorts models, or gives the error that makes the plain form decide.
func (o *order) sort(models []*Model, in *run) ref.Val {
	unknown := func(m *Model) bool { return !o.world.knows(m) }
	if o.ranks != nil && !slices.ContainsFunc(models, unknown) {
		// A rank and a place in one number: sorting them is stable.
		places := make([]uint64, len(models))
		for i, m := range models {
			places[i] = uint64(o.ranks[m.index-1])<<32 | uint64(uint32(i))
		}
		slices.Sort(places)
		out := make([]*Model, len(models))
		for i, p := range places {
			out[i] = models[uint32(p)]
		}
		return &modelList{out}
	}
	all := make([]keyed[*Model], len(models))
	var frame *interpreter.ExecutionFrame
	for i, m := range models {
		all[i].of = m
		if o.loop == nil {
			all[i].key, _ = o.key(m)
			continue
		}
		if frame == nil {
			frame = in.frame(o.loop.variable)
			defer frame.Close()
		}
		in.loop.val = &m.view().model
		k, bad := sortKeyOf(o.loop.exec.Exec(frame))
		if bad != nil {
			return in.giveUp()
		}
		all[i].key = k
	}
	return sorted(all)
}

// optimisedFunctions declares what the optimiser writes.
func optimisedFunctions() []cel.EnvOption {
	d := cel.DynType
	declare := func(name string, f func(models []*Model, rule ref.Val, in *run) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.Overload(name, []*cel.Type{d, d, d}, d, cel.FunctionBinding(func(args ...ref.Val) ref.Val {
			in := runOf(args[2])
			models, bad := modelsOf(args[0])
			if bad != nil {
				in.bail = true
				return bad
			}
			return f(models, args[1], in)
		})))
	}
	return []cel.EnvOption{
		declare(fnKeep, func(models []*Model, by ref.Val, in *run) ref.Val {
			kept := make([]*Model, 0, len(models))
			if bad := by.(*rule).each(models, in, func(m *Model, a answer) bool {
				if a == yes {
					kept = append(kept, m)
				}
				return true
			}); bad != nil {
				return bad
			}
			return &modelList{kept}
		}),
		declare(fnExists, func(models []*Model, by ref.Val, in *run) ref.Val {
			found := types.False
			if bad := by.(*rule).each(models, in, func(_ *Model, a answer) bool {
				found = types.Bool(a == yes)
				return a == no
			}); bad != nil {
				return bad
			}
			return found
		}),
		declare(fnAll, func(models []*Model, by ref.Val, in *run) ref.Val {
			all := types.True
			if bad := by.(*rule).each(models, in, func(_ *Model, a answer) bool {
				all = types.Bool(a == yes)
				return a == yes
			}); bad != nil {
				return bad
			}
			return all
		}),
		declare(fnOrder, func(models []*Model, by ref.Val, in *run) ref.Val {
			return by.(*order).sort(models, in)
		}),
	}
}
