package expression

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

// slot is the value of a variable that replaces a subexpression.
type slot interface {
	value(r *run) ref.Val
}

// slotPrefix begins the names of slots, which cannot be written in an expression. The
// character after it is the number of the slot.
const slotPrefix = "@#"

// slotOf returns the number of a slot by its name.
func slotOf(name string) (int, bool) {
	if !strings.HasPrefix(name, slotPrefix) {
		return 0, false
	}
	number, _ := utf8.DecodeRuneInString(name[len(slotPrefix):])
	return int(number), true
}

// part is a list of models that is evaluated for all models of the world: filters and
// orders of ai.models that read nothing but each model and its numbers. Its result for
// some of the models is its result for all of them without the others, because a filter
// looks at one model at a time and an order is stable.
type part struct {
	*memo
	root bool // it is the whole strategy
}

func (p *part) value(r *run) ref.Val { return &modelList{r.among(p)} }

// column is a value of each model that reads nothing but it and its numbers.
type column struct{ *memo }

func (c *column) value(r *run) ref.Val {
	if o, ok := r.element.(*object); ok {
		if m, ok := o.of.(*Model); ok && r.world.knows(m) {
			return c.result(r).values[m.index-1]
		}
	}
	return types.WrapErr(errUnshared)
}

// errUnshared ends an evaluation of the shared form. It is never returned: the plain
// form is evaluated next.
var errUnshared = errors.New("the shared form has no value for this")

// once is what is the same for all elements of a list. It is evaluated when it is first
// needed.
type once struct {
	program interpreter.InterpretableV2
	at      int // in run.values
}

func (o *once) value(r *run) ref.Val {
	if r.values[o.at] == nil {
		r.values[o.at] = r.exec(o.program)
	}
	return r.values[o.at]
}

// fnKeep is a filter: it takes a list, the loop, and the run.
const fnKeep = "@keep"

var loopKind = newKind("loop")

// loop is a filter over a list that may be different for each request. cel-go's own
// loop makes a new list for each element that it keeps.
type loop struct {
	object
	variable  string
	condition interpreter.InterpretableV2
	steps     int // of each element; 0 if the condition counts them itself
}

func keepFunctions() []cel.EnvOption {
	d := cel.DynType
	return []cel.EnvOption{cel.Function(fnKeep, lax, cel.Overload(fnKeep, []*cel.Type{d, d, d}, d, cel.FunctionBinding(func(args ...ref.Val) ref.Val {
		return args[1].(*loop).keep(args[0], runOf(args[2]))
	})))}
}

func (l *loop) keep(list ref.Val, r *run) ref.Val {
	var models []*Model
	var vals []ref.Val
	in, isModels := list.(*modelList)
	bad := r.each(l.variable, l.condition, l.steps, list, func(i int, element, v ref.Val) ref.Val {
		switch {
		case v == types.True && isModels:
			if models == nil {
				models = make([]*Model, 0, len(in.models)-i)
			}
			models = append(models, in.models[i])
		case v == types.True:
			vals = append(vals, element)
		case v != types.False:
			return types.WrapErr(errUnshared)
		}
		return nil
	})
	if bad != nil {
		return bad
	}
	if isModels {
		return &modelList{models}
	}
	return listOf(vals)
}

// each evaluates an expression for each element of a list, until do returns an error.
func (r *run) each(variable string, e interpreter.InterpretableV2, steps int, list ref.Val, do func(i int, element, v ref.Val) ref.Val) ref.Val {
	lister, ok := list.(traits.Lister)
	if !ok {
		return types.WrapErr(errUnshared)
	}
	frame, err := interpreter.NewExecutionFrame(r)
	if err != nil {
		return types.WrapErr(err)
	}
	defer frame.Close()
	r.variable = variable
	defer func() { r.variable, r.element = "", nil }()
	if steps > 0 {
		if n, ok := lister.Size().(types.Int); !ok || !r.spend(steps*int(n)) {
			return types.WrapErr(errCost)
		}
	}
	var count *counter
	i := 0
	for it := lister.Iterator(); it.HasNext() == types.True; i++ {
		r.element = it.Next()
		var v ref.Val
		if o, metered := e.(*interpreter.ObservableInterpretable); metered {
			v = o.ObserveExec(frame, func(state any) { count, _ = state.(*counter) })
		} else {
			v = e.Exec(frame)
		}
		if bad := do(i, r.element, v); bad != nil {
			return bad
		}
	}
	if count != nil && !r.spend(count.cost) {
		return types.WrapErr(errCost)
	}
	return nil
}

// exec evaluates an expression as a step of another.
func (r *run) exec(e interpreter.InterpretableV2) ref.Val {
	frame, err := interpreter.NewExecutionFrame(r)
	if err != nil {
		return types.WrapErr(err)
	}
	defer frame.Close()
	var count *counter
	v := e.(*interpreter.ObservableInterpretable).ObserveExec(frame, func(state any) { count, _ = state.(*counter) })
	if count != nil && !r.spend(count.cost) {
		return types.WrapErr(errCost)
	}
	return v
}

// spend adds to what slots and loops have cost, and reports whether that is within the
// limit.
func (r *run) spend(cost int) bool {
	r.cost += cost
	return r.cost <= costLimit
}

// shares reports whether the shared form can be evaluated: whether the candidates are
// models of the world, and there is a result of all that is shared.
func (r *run) shares(slots []slot) bool {
	w, before := r.world, 0
	memos := false
	for _, s := range slots {
		var m *memo
		switch s := s.(type) {
		case *part:
			m = s.memo
		case *column:
			m = s.memo
		default:
			continue
		}
		if m.result(r) == nil {
			return false
		}
		memos = true
	}
	r.ordered = true
	if !memos {
		return true
	}
	for _, m := range r.models.models {
		if !w.knows(m) {
			return false
		}
		r.ordered = r.ordered && m.index > before
		before = m.index
	}
	return true
}

// among returns the models of a part's result that are candidates. The caller must not
// change the list.
func (r *run) among(p *part) []*Model {
	result, candidates := p.result(r), r.models.models
	// Walking through the result takes less time than sorting, for many candidates.
	const many = 16
	if !r.ordered || len(candidates)*many < len(r.world.models) {
		return r.sorted(result)
	}
	all := result.models
	most := len(all)
	if p.root && r.most > 0 {
		most = min(most, r.most)
	}
	if len(candidates) == len(r.world.models) {
		return all[:most:most]
	}
	const bits = 64
	if n := len(r.world.models)/bits + 1; len(r.members) < n {
		r.members = make([]uint64, n)
	}
	clear(r.members)
	for _, m := range candidates {
		r.members[m.index/bits] |= 1 << (m.index % bits)
	}
	out := make([]*Model, 0, min(most, len(candidates)))
	for _, m := range all {
		if len(out) == most {
			break
		}
		if r.members[m.index/bits]>>(m.index%bits)&1 == 1 {
			out = append(out, m)
		}
	}
	return out
}

// sorted returns the candidates that are in a result, by their ranks there, and in their
// own order where ranks are the same.
func (r *run) sorted(result *result) []*Model {
	candidates := r.models.models
	r.places = r.places[:0]
	for i, m := range candidates {
		if rank := result.ranks[m.index-1]; rank > 0 {
			r.places = append(r.places, uint64(rank)<<32|uint64(i))
		}
	}
	slices.Sort(r.places)
	out := make([]*Model, len(r.places))
	for i, place := range r.places {
		out[i] = candidates[uint32(place)]
	}
	return out
}
