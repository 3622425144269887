package expression

import (
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// gap tells that a value may be missing although its type does not say so. For example,
// get may find no model; then the fields of its result are missing too, and so is
// everything that is computed from them.
type gap struct {
	null  bool // it may be null
	holes bool // it is a list, and elements of it may be null
}

func (g gap) or(h gap) gap { return gap{g.null || h.null, g.holes || h.holes} }

// gapOf returns the gap of a call that is not lowered yet, but whose operands are.
func (t *tree) gapOf(e ast.Expr, args []ast.Expr) gap {
	switch name := e.AsCall().FunctionName(); name {
	case "get", "getModel":
		return gap{null: strings.HasPrefix(t.GetType(e.ID()).TypeName(), typePrefix)}
	case "random":
		return gap{null: true}
	case operators.Index:
		return gap{null: t.open(args[0]) || t.missing(args[0])}
	case operators.Conditional:
		g := t.gaps[args[1].ID()].or(t.gaps[args[2].ID()])
		g.null = g.null || anyOf(args[1:], t.missing)
		return g
	case operators.Add:
		return gap{anyOf(args, t.missing), t.gaps[args[0].ID()].holes || t.gaps[args[1].ID()].holes}
	case "randomize", fnSortByKeys:
		return t.gaps[args[0].ID()]
	default:
		return gap{null: carries(name) && anyOf(args, t.missing)}
	}
}

// carriers are the functions that return null in a strategy if an operand is null.
var carriers = []string{
	operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate,
	"int", "uint", "double", "string", "bool", "timestamp", "duration",
	"getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds",
	"charAt", "indexOf", "lastIndexOf", "join", "lowerAscii", "upperAscii", "quote", "replace", "reverse", "split", "substring", "trim",
}

func carries(function string) bool {
	return slices.Contains(carriers, function) || strings.HasPrefix(function, "math.")
}

// carrying makes an overload return null if an operand is null.
func carrying(o *functions.Overload) *functions.Overload {
	out := *o
	// cel-go looks at the operand's trait first, and null has none.
	out.OperandTrait = 0
	fits := func(v ref.Val) bool { return o.OperandTrait == 0 || v.Type().HasTrait(o.OperandTrait) }
	if o.Unary != nil {
		out.Unary = func(v ref.Val) ref.Val {
			switch {
			case v == types.NullValue:
				return v
			case !fits(v):
				return types.MaybeNoSuchOverloadErr(v)
			}
			return o.Unary(v)
		}
	}
	if o.Binary != nil {
		out.Binary = func(a, b ref.Val) ref.Val {
			switch {
			case a == types.NullValue || b == types.NullValue:
				return types.NullValue
			case !fits(a):
				return types.MaybeNoSuchOverloadErr(a)
			}
			return o.Binary(a, b)
		}
	}
	if o.Function != nil {
		out.Function = func(args ...ref.Val) ref.Val {
			switch {
			case slices.Contains(args, ref.Val(types.NullValue)):
				return types.NullValue
			case len(args) > 0 && !fits(args[0]):
				return types.MaybeNoSuchOverloadErr(args[0])
			}
			return o.Function(args...)
		}
	}
	return &out
}
