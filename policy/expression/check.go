package expression

import (
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"

	"weir/policy/header"
)

// SecretRef is a secret that an expression names.
type SecretRef struct{ Store, Key string }

// Uses tells which parts of a request an expression reads. The caller need not provide
// the others.
type Uses struct{ Headers, Body, Request, Conn, Key bool }

// found is what check finds in an expression.
type found struct {
	uses    Uses
	secrets []SecretRef
}

// check applies Weir's own rules to an expression that CEL has checked, and returns what
// it reads.
func check(a *ast.AST) (found, []Issue) {
	out, p := found{}, &problems{of: a}
	// Roots that are used as a whole, without selecting a field.
	whole := map[int64]string{}
	ast.PostOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			whole[e.ID()] = a.GetType(e.ID()).TypeName()
		case ast.StructKind:
			p.add(e, "objects cannot be made in an expression")
		case ast.SelectKind:
			s := e.AsSelect()
			delete(whole, s.Operand().ID())
			switch a.GetType(s.Operand().ID()).TypeName() {
			case reqKind.typ.TypeName():
				out.uses.Headers = out.uses.Headers || s.FieldName() == "headers"
				out.uses.Body = out.uses.Body || s.FieldName() == "body"
				out.uses.Request = out.uses.Request || s.FieldName() != "headers" && s.FieldName() != "body"
			case connKind.typ.TypeName():
				out.uses.Conn = true
			case accessKeyKind.typ.TypeName():
				out.uses.Key = true
			}
			if isHeaders(a, s.Operand()) {
				p.header(e, s.FieldName())
			}
		case ast.CallKind:
			p.call(e, &out)
		case ast.ComprehensionKind:
			p.sortKeys(e)
		}
	}))
	for _, name := range whole {
		switch name {
		case reqKind.typ.TypeName():
			out.uses.Headers, out.uses.Body, out.uses.Request = true, true, true
		case connKind.typ.TypeName():
			out.uses.Conn = true
		case accessKeyKind.typ.TypeName():
			out.uses.Key = true
		}
	}
	return out, p.list
}

func (p *problems) header(e ast.Expr, name string) {
	if header.RuleOf(strings.ToLower(name)).Credential {
		p.add(e, "the header %s holds a client's credential, which an expression may not read", strings.ToLower(name))
	}
}

func (p *problems) call(e ast.Expr, out *found) {
	c := e.AsCall()
	args := c.Args()
	switch name := c.FunctionName(); name {
	case operators.Index:
		if isHeaders(p.of, args[0]) {
			if s, ok := constant(args[1]); ok {
				p.header(args[1], s)
			}
		}
	case operators.In:
		if isHeaders(p.of, args[1]) {
			if s, ok := constant(args[0]); ok {
				p.header(args[0], s)
			}
		}
	case "matches":
		if _, ok := constant(args[len(args)-1]); !ok {
			p.add(args[len(args)-1], "the pattern of matches must be a constant string")
		}
	case "underCost":
		if s, ok := constant(args[0]); ok && priceTypes[s] == nil {
			p.add(args[0], "unknown type of price %q in underCost: write one of %s", s, priceTypeNames)
		}
	case "sortBy":
		switch s, ok := constant(args[0]); {
		case !ok:
			p.add(args[0], "sortBy with one argument takes the constant 'price'; to sort by anything else write sortBy(m, m.id)")
		case sortFields[s] == nil:
			p.add(args[0], "sortBy cannot sort by %q, only by 'price'; to sort by anything else write sortBy(m, m.id)", s)
		}
	case "get":
		if !c.IsMemberFunction() || p.of.GetType(c.Target().ID()).TypeName() != secretsKind.typ.TypeName() {
			return
		}
		store, ok1 := constant(args[0])
		key, ok2 := constant(args[1])
		if !ok1 || !ok2 {
			p.add(e, "secrets.get takes two constant strings, so that a missing secret is found when the configuration is loaded")
			return
		}
		out.secrets = append(out.secrets, SecretRef{store, key})
	}
}

// sortKeys reports sort keys of a type that cannot be compared.
func (p *problems) sortKeys(e ast.Expr) {
	c := e.AsComprehension()
	if c.AccuVar() != sortVar {
		return
	}
	keys := c.Result().AsCall().Args()[1]
	switch of := p.of.GetType(keys.ID()).Parameters()[0]; of.Kind() {
	case types.ListKind, types.MapKind, types.StructKind, types.BytesKind, types.TypeKind:
		p.add(keys, "sortBy cannot compare a %s; a key to sort by is a number, a string or a time", typeName(of))
	}
}

func constant(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

// typeName returns a type as messages show it.
func typeName(t *cel.Type) string {
	return plainTypes(cel.FormatCELType(t))
}

// gives checks that a strategy returns an object of a kind or a list of them.
func gives(a *ast.AST, k *kind) []Issue {
	p := &problems{of: a, whole: true}
	e := a.Expr()
	t := a.GetType(e.ID())
	of, list := t, false
	if t.Kind() == types.ListKind {
		of, list = t.Parameters()[0], true
	}
	is := func(other *kind) bool { return of.TypeName() == other.typ.TypeName() }
	switch {
	case is(k):
	case k == modelKind && (is(providerKind) || is(authorKind)):
		p.add(e, "a strategy must return models, but this returns %s: take their models", typeName(t))
	case list && !strings.HasPrefix(of.TypeName(), typePrefix):
		p.add(e, "a strategy must return %ss, but this returns %s: use filter, not map", k.name, typeName(t))
	case of.Kind() == types.BoolKind:
		p.add(e, "a strategy must return %ss, but this returns bool: put the condition into ai.%ss.filter(x, …)", k.name, k.name)
	default:
		p.add(e, "a strategy must return a %s or a list of %ss, but this returns %s", k.name, k.name, typeName(t))
	}
	return p.list
}
