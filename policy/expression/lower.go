package expression

import (
	"maps"
	"regexp"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// tree is a checked expression that is being rewritten. New nodes get new ids.
type tree struct {
	*ast.AST
	fac  ast.ExprFactory
	last int64
	gaps map[int64]gap // by node
}

func newTree(checked *ast.AST) *tree {
	t := &tree{AST: ast.Copy(checked), fac: ast.NewExprFactory(), gaps: map[int64]gap{}}
	t.last = ast.MaxID(t.AST)
	return t
}

func (t *tree) id(typ *types.Type) int64 {
	t.last++
	t.SetType(t.last, typ)
	return t.last
}

func (t *tree) run() ast.Expr {
	id := t.id(runKind.typ)
	t.SetReference(id, ast.NewIdentReference(runName, nil))
	return t.fac.NewIdent(id, runName)
}

func (t *tree) text(s string) ast.Expr {
	return t.fac.NewLiteral(t.id(types.StringType), types.String(s))
}

// replace turns a node into a call. Its type stays.
func (t *tree) replace(e ast.Expr, function string, args ...ast.Expr) {
	e.SetKindCase(t.fac.NewCall(0, function, args...))
	t.SetReference(e.ID(), ast.NewFunctionReference(function))
}

// wrap returns a call with one argument.
func (t *tree) wrap(function string, arg ast.Expr) ast.Expr {
	id := t.id(types.DynType)
	t.SetReference(id, ast.NewFunctionReference(function))
	return t.fac.NewCall(id, function, arg)
}

// missing reports whether a node's value may be missing.
func (t *tree) missing(e ast.Expr) bool {
	if t.gaps[e.ID()].null {
		return true
	}
	typ := t.GetType(e.ID())
	switch typ.Kind() {
	case types.DynKind, types.AnyKind, types.NullTypeKind:
		return true
	case types.StructKind, types.OpaqueKind:
		return false
	}
	return typ.IsAssignableType(types.NullType)
}

// open reports whether an entry of a node's value may be missing without an error. It may
// in a map of any values, a list of models, a list of a header's values, and a value of an
// unknown type.
func (t *tree) open(e ast.Expr) bool {
	typ := t.GetType(e.ID())
	switch typ.Kind() {
	case types.DynKind, types.AnyKind:
		return true
	case types.MapKind:
		return typ.Parameters()[1].Kind() == types.DynKind || isHeaders(t.AST, e)
	case types.ListKind:
		of := typ.Parameters()[0]
		return strings.HasPrefix(of.TypeName(), typePrefix) || of.IsAssignableType(types.NullType) // a header's values
	}
	return false
}

// isHeaders reports whether a node is req.headers.
func isHeaders(a *ast.AST, e ast.Expr) bool {
	return e.Kind() == ast.SelectKind && e.AsSelect().FieldName() == "headers" &&
		a.GetType(e.AsSelect().Operand().ID()).TypeName() == reqKind.typ.TypeName()
}

// lower rewrites a checked expression into the form that is evaluated: operations on
// values that may be missing become lenient, and random gets the run.
func lower(checked *ast.AST) *tree {
	t := newTree(checked)
	t.lower(t.Expr(), nil)
	return t
}

// lower rewrites a node, its operands first. vars are the gaps of the variables of the
// loops around it.
func (t *tree) lower(e ast.Expr, vars map[string]gap) gap {
	g := t.lowered(e, vars)
	if g != (gap{}) {
		t.gaps[e.ID()] = g
	}
	return g
}

func (t *tree) lowered(e ast.Expr, vars map[string]gap) gap {
	switch e.Kind() {
	case ast.IdentKind:
		return vars[e.AsIdent()]
	case ast.SelectKind:
		s := e.AsSelect()
		t.lower(s.Operand(), vars)
		switch {
		case !s.IsTestOnly() && s.FieldName() == metricsField && t.GetType(s.Operand().ID()).TypeName() == modelKind.typ.TypeName():
			null := t.missing(s.Operand())
			t.replace(e, fnMetrics, s.Operand(), t.run())
			return gap{null: null}
		case !t.open(s.Operand()):
			// The fields of a missing object are missing, but its lists are empty.
			return gap{null: !s.IsTestOnly() && t.missing(s.Operand()) && t.GetType(e.ID()).Kind() != types.ListKind}
		case s.IsTestOnly():
			t.replace(e, fnHas, s.Operand(), t.text(s.FieldName()))
		case s.FieldName() == metricsField:
			t.replace(e, fnLive, s.Operand(), t.text(s.FieldName()), t.run())
		default:
			t.replace(e, fnGet, s.Operand(), t.text(s.FieldName()))
		}
	case ast.ListKind, ast.MapKind:
		holes := false
		for _, part := range parts(e) {
			t.lower(part, vars)
			holes = holes || t.missing(part)
		}
		return gap{holes: holes && e.Kind() == ast.ListKind}
	case ast.ComprehensionKind:
		return t.lowerLoop(e, vars)
	case ast.CallKind:
		args := parts(e)
		for _, arg := range args {
			t.lower(arg, vars)
		}
		g := t.gapOf(e, args)
		t.lowerCall(e)
		return g
	}
	return gap{}
}

func (t *tree) lowerLoop(e ast.Expr, vars map[string]gap) gap {
	c := e.AsComprehension()
	over, accu := t.lower(c.IterRange(), vars), t.lower(c.AccuInit(), vars)
	inner := maps.Clone(vars)
	if inner == nil {
		inner = map[string]gap{}
	}
	inner[c.AccuVar()] = accu
	inner[c.IterVar()] = gap{null: over.holes}
	delete(inner, c.IterVar2())
	t.lower(c.LoopCondition(), inner)
	step := t.lower(c.LoopStep(), inner)
	inner[c.AccuVar()] = accu.or(step)
	result := t.lower(c.Result(), inner)
	if t.missing(c.IterRange()) {
		e.SetKindCase(t.fac.NewComprehensionTwoVar(0, t.wrap(fnList, c.IterRange()), c.IterVar(), c.IterVar2(), c.AccuVar(),
			c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()))
	}
	return result
}

func (t *tree) lowerCall(e ast.Expr) {
	c := e.AsCall()
	args := parts(e)
	switch name := c.FunctionName(); name {
	case "random":
		t.replace(e, fnRandom, args[0], t.run())
	case "randomize":
		t.replace(e, fnRandomize, args[0], t.run())
	case operators.Index:
		if !t.open(args[0]) {
			return
		}
		if name, known := constant(args[1]); known && name != metricsField {
			t.replace(e, fnGet, args...)
		} else {
			t.replace(e, fnLive, append(args, t.run())...)
		}
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional:
		counts := len(args)
		if name == operators.Conditional {
			counts = 1 // the others are not conditions
		}
		changed := false
		for i, arg := range args[:counts] {
			if t.missing(arg) {
				args[i], changed = t.wrap(fnBool, arg), true
			}
		}
		if changed {
			e.SetKindCase(t.fac.NewCall(0, name, args...))
		}
	case "replace", "format", "join", "split", "quote":
		// The size of the result is checked before the call.
		if c.IsMemberFunction() {
			e.SetKindCase(t.fac.NewMemberCall(0, name, t.fits(name, c.Target(), c.Args()), c.Args()...))
		}
	default:
		to, ok := lenient[name]
		if !ok || !anyOf(args, t.missing) {
			return
		}
		if name == operators.In && !t.missing(args[1]) {
			return // null is an ordinary element
		}
		if to == fnMatches {
			args[1] = t.pattern(args[1])
		}
		t.replace(e, to, args...)
	}
}

// fits wraps the operand of a function in fnFits.
func (t *tree) fits(function string, of ast.Expr, args []ast.Expr) ast.Expr {
	id := t.id(t.GetType(of.ID()))
	t.SetReference(id, ast.NewFunctionReference(fnFits))
	list := t.fac.NewList(t.id(types.NewListType(types.DynType)), args, nil)
	return t.fac.NewCall(id, fnFits, of, list, t.text(function))
}

// pattern makes a constant pattern a compiled one. That it compiles has been
// checked.
func (t *tree) pattern(e ast.Expr) ast.Expr {
	p, _ := e.AsLiteral().(types.String)
	re, err := regexp.Compile(string(p))
	if err != nil {
		return e
	}
	return t.fac.NewLiteral(t.id(patternKind.typ), newPattern(re))
}

func anyOf(es []ast.Expr, is func(ast.Expr) bool) bool {
	for _, e := range es {
		if is(e) {
			return true
		}
	}
	return false
}
