package expression

import (
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// What follows decides, from the form of an expression, that it can do no more
// than a few passes over lists of the configuration, whatever a client sends.
// Only then it is evaluated without counting.

// cheap says so of what is evaluated once.
func (t *tree) cheap(e ast.Expr) bool {
	switch e.Kind() {
	case ast.SelectKind:
		return t.cheap(e.AsSelect().Operand())
	case ast.ListKind, ast.MapKind, ast.CallKind:
		if e.Kind() == ast.CallKind && grows(e.AsCall().FunctionName()) {
			return false
		}
		for _, part := range parts(e) {
			if !t.cheap(part) {
				return false
			}
		}
		return true
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		if c.AccuVar() == sortVar {
			keys := c.Result().AsCall().Args()[1].AsComprehension()
			body, ok := mapped(keys)
			return ok && ofObjects(t.GetType(c.AccuInit().ID())) && t.cheap(c.AccuInit()) &&
				t.cheapBody(body, map[string]bool{keys.IterVar(): true})
		}
		if !ofObjects(t.GetType(c.IterRange().ID())) || !t.cheap(c.IterRange()) || !t.cheap(c.AccuInit()) {
			return false
		}
		bound := map[string]bool{c.IterVar(): true, c.AccuVar(): true}
		return t.cheapBody(c.LoopCondition(), bound) && t.cheapBody(c.LoopStep(), bound)
	}
	return e.Kind() == ast.IdentKind || e.Kind() == ast.LiteralKind
}

// cheapBody says so of the body of a loop over models or the like: it loops
// only over parts of what the loop is at, and of the request it reads values
// to compare them.
func (t *tree) cheapBody(e ast.Expr, bound map[string]bool) bool {
	switch e.Kind() {
	case ast.IdentKind:
		name := e.AsIdent()
		return bound[name] || name == "conn" || name == "key"
	case ast.SelectKind:
		return t.cheapBody(e.AsSelect().Operand(), bound)
	case ast.ListKind, ast.MapKind:
		return t.cheapParts(e, bound)
	case ast.CallKind:
		name := e.AsCall().FunctionName()
		switch {
		case grows(name) || walks(name):
			return false
		case name == operators.In || name == "@within":
			args := parts(e)
			return (args[1].Kind() == ast.ListKind || path(args[1], bound)) && t.cheapParts(e, bound, args[0])
		case comparisons[name]:
			args := parts(e)
			if requested(args[0]) {
				return t.cheapBody(args[1], bound)
			}
			return t.cheapBody(args[0], bound) && (requested(args[1]) || t.cheapBody(args[1], bound))
		case conditions[name]:
			return t.cheapParts(e, bound, parts(e)...)
		}
		return t.cheapParts(e, bound)
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		if c.HasIterVar2() || c.AccuVar() == sortVar || !path(c.IterRange(), bound) || ofObjects(t.GetType(c.IterRange().ID())) {
			return false
		}
		inner := map[string]bool{c.IterVar(): true, c.AccuVar(): true}
		for name := range bound {
			inner[name] = true
		}
		return t.cheapBody(c.AccuInit(), bound) && t.cheapBody(c.LoopCondition(), inner) &&
			t.cheapBody(c.LoopStep(), inner) && t.cheapBody(c.Result(), inner)
	}
	return e.Kind() == ast.LiteralKind
}

// cheapParts is cheapBody of all parts of a node. Some of them may also be
// values of the request.
func (t *tree) cheapParts(e ast.Expr, bound map[string]bool, request ...ast.Expr) bool {
	for _, part := range parts(e) {
		ok := t.cheapBody(part, bound)
		for _, r := range request {
			ok = ok || r == part && requested(part)
		}
		if !ok {
			return false
		}
	}
	return true
}

// comparisons stop at the end of the shorter value.
var comparisons = map[string]bool{
	operators.Equals: true, operators.NotEquals: true, operators.Less: true, operators.LessEquals: true,
	operators.Greater: true, operators.GreaterEquals: true, "@lt": true, "@le": true, "@gt": true, "@ge": true,
}

// conditions look at whether a value is true.
var conditions = map[string]bool{
	operators.LogicalAnd: true, operators.LogicalOr: true, operators.LogicalNot: true, operators.Conditional: true, fnBool: true,
}

// requested says whether an expression is a value of the request: req, and
// then fields and entries with constant names.
func requested(e ast.Expr) bool {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent() == "req"
	case ast.SelectKind:
		return requested(e.AsSelect().Operand())
	case ast.CallKind:
		c := e.AsCall()
		switch c.FunctionName() {
		case fnGet, fnHas:
			return c.Args()[1].Kind() == ast.LiteralKind && requested(c.Args()[0])
		}
	}
	return false
}

// path says whether an expression is a part of a bound variable.
func path(e ast.Expr, bound map[string]bool) bool {
	switch e.Kind() {
	case ast.IdentKind:
		return bound[e.AsIdent()]
	case ast.SelectKind:
		return path(e.AsSelect().Operand(), bound)
	case ast.CallKind:
		c := e.AsCall()
		switch c.FunctionName() {
		case fnGet:
			return c.Args()[1].Kind() == ast.LiteralKind && path(c.Args()[0], bound)
		case fnList:
			return path(c.Args()[0], bound)
		}
	}
	return false
}

// parts are the operands of a call, or the elements of a list or a map.
func parts(e ast.Expr) []ast.Expr {
	switch e.Kind() {
	case ast.CallKind:
		c := e.AsCall()
		if c.IsMemberFunction() {
			return append([]ast.Expr{c.Target()}, c.Args()...)
		}
		return c.Args()
	case ast.ListKind:
		return e.AsList().Elements()
	case ast.MapKind:
		var out []ast.Expr
		for _, entry := range e.AsMap().Entries() {
			out = append(out, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
		return out
	}
	return nil
}

// grows are the functions whose results can be much longer than what they are
// given: inside of a loop, or one upon another, they are counted.
func grows(function string) bool {
	switch function {
	case "replace", "format", "join", "split", "quote":
		return true
	}
	return false
}

// walks says whether a function goes through a list of models, providers or
// keys.
func walks(function string) bool {
	switch function {
	case "get", "getModel", "sortBy", "random", "randomize", fnRandom, fnRandomize, fnSortByKeys:
		return true
	}
	_, filter := filters[function]
	return filter || strings.HasPrefix(function, "@models")
}
