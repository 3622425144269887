package expression

import (
	"math"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// What follows turns predicates and keys over live numbers into Go: they
// change with every request, so that nothing can be known before, and CEL
// takes a quarter of a microsecond to compare one.

// test makes a predicate of comparisons of live numbers and constants, and of
// parts that read nothing but the model; nil is what has to stay CEL's.
func (o *optimiser) test(variable string, e ast.Expr) func(*Model) answer {
	if onlyOf(variable, e) {
		return o.known(variable, e)
	}
	if e.Kind() != ast.CallKind {
		return nil
	}
	name, args := e.AsCall().FunctionName(), parts(e)
	if name == operators.LogicalNot {
		if is := o.test(variable, args[0]); is != nil {
			return func(m *Model) answer { return negated[is(m)] }
		}
		return nil
	}
	if len(args) != 2 {
		return nil
	}
	switch name {
	case operators.LogicalAnd, operators.LogicalOr:
		// What comes first may decide alone. An error may not: the other side
		// can make CEL forget it, so that the plain form has to say.
		a, b := o.test(variable, args[0]), o.test(variable, args[1])
		if a == nil || b == nil {
			return nil
		}
		goesOn := yes
		if name == operators.LogicalOr {
			goesOn = no
		}
		return func(m *Model) answer {
			if first := a(m); first != goesOn {
				return first
			}
			return b(m)
		}
	}
	a, b := o.number(variable, args[0]), o.number(variable, args[1])
	if a == nil || b == nil {
		return nil
	}
	return comparison(name, a, b)
}

// known is a part of a predicate that reads nothing but the model.
func (o *optimiser) known(variable string, e ast.Expr) func(*Model) answer {
	p := o.predicate(variable, e)
	if p == nil {
		return nil
	}
	world, table := o.world, p.table(o.world)
	return func(m *Model) answer {
		if world.knows(m) {
			return table[m.index-1]
		}
		return answerOf(p.once(m))
	}
}

var negated = [...]answer{no: yes, yes: no, wrong: wrong}

// comparison compares two numbers as CEL does. To CEL, NaN has no order.
func comparison(operator string, a, b func(*Model) float64) func(*Model) answer {
	var is func(x, y float64) bool
	switch operator {
	case operators.Less:
		is = func(x, y float64) bool { return x < y }
	case operators.LessEquals:
		is = func(x, y float64) bool { return x <= y }
	case operators.Greater:
		is = func(x, y float64) bool { return x > y }
	case operators.GreaterEquals:
		is = func(x, y float64) bool { return x >= y }
	case operators.Equals:
		is = func(x, y float64) bool { return x == y }
	case operators.NotEquals:
		is = func(x, y float64) bool { return x != y }
	default:
		return nil
	}
	return func(m *Model) answer {
		x, y := a(m), b(m)
		if math.IsNaN(x) || math.IsNaN(y) {
			return wrong
		}
		return answerIf(is(x, y))
	}
}

// number makes a function of a live number, a constant, or one of them
// negated; nil is what has to stay CEL's. NaN says that CEL has to decide.
func (o *optimiser) number(variable string, e ast.Expr) func(*Model) float64 {
	switch e.Kind() {
	case ast.LiteralKind:
		switch v := e.AsLiteral().(type) {
		case types.Double:
			return func(*Model) float64 { return float64(v) }
		case types.Int:
			return func(*Model) float64 { return exactly(int64(v)) }
		}
	case ast.SelectKind:
		if metric := o.metric(variable, e); metric != nil {
			of := *metric
			return func(m *Model) float64 { return m.number(of) }
		}
	case ast.CallKind:
		if e.AsCall().FunctionName() != operators.Negate {
			return nil
		}
		if f := o.number(variable, parts(e)[0]); f != nil {
			return func(m *Model) float64 { return -f(m) }
		}
	}
	return nil
}

// liveKinds are the kinds with live numbers, by the names of their types.
var liveKinds = map[string]*kind{
	scopeKind.typ.TypeName(): scopeKind, latencyKind.typ.TypeName(): latencyKind, errorRateKind.typ.TypeName(): errorRateKind,
}

// metric finds the live number that a chain of fields, from a variable on, ends
// in. All that have such a type are of the variable's model.
func (o *optimiser) metric(variable string, e ast.Expr) *Metric {
	of := liveKinds[o.GetType(e.AsSelect().Operand().ID()).TypeName()]
	if of == nil {
		return nil
	}
	metric := of.metrics[e.AsSelect().FieldName()]
	for e.Kind() == ast.SelectKind {
		if e.AsSelect().IsTestOnly() {
			return nil
		}
		e = e.AsSelect().Operand()
	}
	if !isIdent(e, variable) {
		return nil
	}
	return metric
}

// exactly is a whole number as float64, NaN where it would be rounded.
func exactly(n int64) float64 {
	const most = 1 << 53
	if n < -most || n > most {
		return math.NaN()
	}
	return float64(n)
}
