package expression

import (
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
	ask   func(m *Model) answer
	loop  *predicate // where ask is nil
}

// rule makes a rule of a function of the model alone.
func (w *World) rule(ask func(*Model) answer) *rule {
	r := &rule{object: object{kind: ruleKind}, world: w, ask: ask, table: make([]answer, len(w.models))}
	for i, m := range w.models {
		r.table[i] = ask(m)
	}
	return r
}

// rule makes a rule of a predicate. One that reads only the model is evaluated
// here, once for each model of the world.
func (p *predicate) rule(w *World) *rule {
	r := &rule{object: object{kind: ruleKind}, world: w, loop: p}
	if p.counted != nil {
		r.table = p.table(w)
	}
	return r
}

func (p *predicate) table(w *World) []answer {
	table := make([]answer, len(w.models))
	for i, m := range w.models {
		table[i] = answerOf(p.once(m))
	}
	return table
}

// once evaluates a predicate for a model when there is no request.
func (p *predicate) once(m *Model) ref.Val {
	return exec(p.counted, &loop{name: p.variable, val: &m.view().model, run: &run{}})
}

func answerIf(is bool) answer {
	if is {
		return yes
	}
	return no
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
		case r.ask != nil:
			a = r.ask(m)
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
