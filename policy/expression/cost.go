package expression

import (
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

// meter knows how to compute the cost of the calls in one expression.
type meter struct {
	calls []metered // by the node's id
}

type metered struct {
	rate rate
	args []int64
}

// rate is how the cost of a call depends on its operands. Each step costs 1 in addition.
type rate uint8

const (
	flat    rate = iota // no further cost
	linear              // the sizes of its operands and its result
	scan                // the sizes of operands that are strings
	compare             // the size of the smaller operand
	search              // the size of the list that is searched
	product             // the product of the sizes of two lists
)

func rateOf(function string) rate {
	switch function {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional, operators.NotStrictlyFalse,
		operators.Index, fnGet, fnMetrics, fnLive, fnHas, fnBool, fnList, fnRandom, fnKeep:
		return flat
	case operators.Add, "size", "@size":
		return scan
	case operators.In, "@within":
		return search
	}
	if comparisons[function] {
		return compare
	}
	if _, filter := filters[function]; filter {
		return product
	}
	return linear
}

func newMeter(a *ast.AST) *meter {
	m := &meter{calls: make([]metered, ast.MaxID(a)+1)}
	ast.PostOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		if r := rateOf(e.AsCall().FunctionName()); r != flat {
			call := metered{rate: r}
			for _, arg := range parts(e) {
				call.args = append(call.args, arg.ID())
			}
			m.calls[e.ID()] = call
		}
	}))
	return m
}

// start returns a counter for one evaluation.
func (m *meter) start() interpreter.EvalState {
	return &counter{meter: m, vals: make([]ref.Val, len(m.calls))}
}

// counter counts the cost of one evaluation. cel-go calls it with the value of each step.
// cel-go's own cost tracker is not used: its work for one step grows with the number of
// earlier steps, so that its limit does not bound the time.
type counter struct {
	*meter
	vals []ref.Val
	cost int
}

// spent returns the cost; nil is that of an evaluation that did not begin.
func (c *counter) spent() int {
	if c == nil {
		return 0
	}
	return c.cost
}

var errCost = interpreter.EvalCancelledError{Cause: interpreter.CostLimitExceeded, Message: "cost limit"}

// SetValue implements interpreter.EvalState. It panics above the limit, as cel-go's own
// tracker does: nothing else ends a loop.
func (c *counter) SetValue(id int64, v ref.Val) {
	if id < 0 || id >= int64(len(c.vals)) {
		return
	}
	c.vals[id] = v
	c.cost++
	if call := &c.calls[id]; call.rate != flat {
		c.cost += c.price(call, v)
	}
	if c.cost > costLimit {
		panic(errCost)
	}
}

func (c *counter) price(call *metered, result ref.Val) int {
	arg := func(i int) ref.Val { return c.vals[call.args[i]] }
	switch call.rate {
	case scan:
		cost := 0
		for _, id := range call.args {
			if s, ok := c.vals[id].(types.String); ok {
				cost += len(s) / bytesPerStep
			}
		}
		return cost
	case compare:
		return least(arg(0), arg(1))
	case search:
		switch arg(0).(type) {
		case traits.Lister, traits.Mapper:
			return size(arg(1)) + deep(arg(1), costLimit)
		}
		return size(arg(1))
	case product:
		n := size(arg(0))
		return n + n*size(arg(1))
	}
	cost := size(result)
	for _, id := range call.args {
		cost += size(c.vals[id])
	}
	return cost
}

func (*counter) IDs() []int64                { return nil }
func (*counter) Value(int64) (ref.Val, bool) { return nil, false }
func (*counter) Reset()                      {}

const bytesPerStep = 10

// size returns the number of elements of a list or map, or the steps that a string costs.
func size(v ref.Val) int {
	switch v := v.(type) {
	case types.String:
		return len(v) / bytesPerStep
	case traits.Sizer:
		if n, ok := v.Size().(types.Int); ok {
			return int(n)
		}
	}
	return 0
}

// least returns the size of the smaller of two values with everything in it, without
// walking through all of the larger one.
func least(a, b ref.Val) int {
	for most := 16; ; most *= 4 {
		if n := min(deep(a, most), deep(b, most)); n < most || most > costLimit {
			return n
		}
	}
}

// deep returns the size of a value with everything in it, counted up to about most.
func deep(v ref.Val, most int) int {
	switch v := v.(type) {
	case types.String:
		return len(v) / bytesPerStep
	case *modelList:
		return len(v.models)
	case traits.Lister:
		n := 0
		for it := v.Iterator(); n < most && it.HasNext() == types.True; {
			n++
			n += deep(it.Next(), most-n)
		}
		return n
	case traits.Mapper:
		n := 0
		for it := v.Iterator(); n < most && it.HasNext() == types.True; {
			n += 2
			n += deep(v.Get(it.Next()), most-n)
		}
		return n
	}
	return 0
}

// comparisons are the functions whose time depends on the smaller operand only.
var comparisons = map[string]bool{
	operators.Equals: true, operators.NotEquals: true, operators.Less: true, operators.LessEquals: true,
	operators.Greater: true, operators.GreaterEquals: true, "@lt": true, "@le": true, "@gt": true, "@ge": true,
}
