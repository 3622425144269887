package expression

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types/ref"
)

// part is a part of a strategy that is evaluated for all models of the world at once,
// and not for each request: filters and orders of ai.models that read nothing but each
// model and its numbers. Its result for some of the world's models, in the world's
// order, is its result for all of them without the others, because a filter looks at
// one model at a time and an order is stable. So one result serves every endpoint and
// every access key, and it holds nothing of any request.
type part struct {
	object
	program *program
	world   *World
	at      int  // in moment.results
	root    bool // it is the whole strategy
	// fixed is the result if that read no numbers: it never changes.
	fixed atomic.Pointer[result]
}

// result is the result of a part for all models of the world.
type result struct {
	once   sync.Once
	models []*Model
	ok     bool // false: an error
}

// moment holds the results of the parts of a world's strategies for the same Numbers.
// A world keeps the latest: there are as many results as parts.
type moment struct {
	numbers Numbers
	results []result
}

// moment returns the moment of the numbers.
func (w *World) moment(numbers Numbers) *moment {
	for {
		known := w.now.Load()
		if known != nil && known.numbers == numbers && len(known.results) == w.shared {
			return known
		}
		fresh := &moment{numbers, make([]result, w.shared)}
		if w.now.CompareAndSwap(known, fresh) {
			return fresh
		}
	}
}

// result evaluates the part for all models of the world, unless that has been done for
// these numbers. Requests that need it in the meantime wait.
func (p *part) result(numbers Numbers) *result {
	if fixed := p.fixed.Load(); fixed != nil {
		return fixed
	}
	out := &p.world.moment(numbers).results[p.at]
	out.once.Do(func() {
		in := Input{Numbers: numbers}
		r := in.start(p.world)
		r.models.models = p.world.models
		if v, err := p.program.eval(r); err == nil {
			models, bad := modelsOf(v)
			out.models, out.ok = models, bad == nil
		}
		if !r.readNumbers {
			p.fixed.Store(out)
		}
	})
	return out
}

// shares reports whether the results of parts can be used for the candidates: they have
// to be models of the world in its order, and so many that finding them in a result
// takes less time than evaluating the part for them.
func (r *run) shares(parts []*part) bool {
	const enough = 64
	w, candidates := r.world, r.models.models
	if len(parts) == 0 || len(candidates)*enough < len(w.models) {
		return false
	}
	before := 0
	for _, m := range candidates {
		if m.index <= before || !w.knows(m) {
			return false
		}
		before = m.index
	}
	for _, p := range parts {
		if !p.result(r.numbers).ok {
			return false
		}
	}
	return true
}

// among returns the models of a part's result that are candidates. The caller must not
// change the list.
func (r *run) among(p *part) []*Model {
	all := p.result(r.numbers).models
	most := len(all)
	if p.root && r.most > 0 {
		most = min(most, r.most)
	}
	candidates := r.models.models
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

// fnPart is what takes the place of a part in an expression.
const fnPart = "@part"

var partKind = newKind("part")

func partFunctions() []cel.EnvOption {
	d := cel.DynType
	return []cel.EnvOption{cel.Function(fnPart, lax, cel.Overload(fnPart, []*cel.Type{d, d}, d, cel.BinaryBinding(func(p, in ref.Val) ref.Val {
		return &modelList{runOf(in).among(p.(*part))}
	})))}
}

// sharing takes the parts out of an expression.
type sharing struct {
	*tree
	language *language
	world    *World
	parts    []*part
	err      error
}

// share returns a lowered expression with its parts taken out, and those.
func (l *language) share(lowered *tree, w *World) (*sharing, error) {
	s := &sharing{tree: newTree(lowered.AST), language: l, world: w}
	s.take(s.Expr())
	return s, s.err
}

// take takes out the parts of an expression, except those inside of loops,
// which a meter has to count as often as they are evaluated.
func (s *sharing) take(e ast.Expr) {
	if s.common(e) && e.Kind() != ast.SelectKind {
		s.takeOut(e)
		return
	}
	switch e.Kind() {
	case ast.SelectKind:
		s.take(e.AsSelect().Operand())
	case ast.ListKind, ast.MapKind, ast.CallKind:
		for _, operand := range parts(e) {
			s.take(operand)
		}
	case ast.ComprehensionKind:
		s.take(e.AsComprehension().IterRange())
		s.take(e.AsComprehension().AccuInit())
	}
}

func (s *sharing) takeOut(e ast.Expr) {
	copied := ast.NewCheckedAST(ast.NewAST(s.fac.CopyExpr(e), s.SourceInfo()), s.TypeMap(), s.ReferenceMap())
	program, err := s.language.program(&tree{AST: copied})
	if err != nil {
		s.err = err
		return
	}
	p := &part{object: object{kind: partKind}, program: program, world: s.world, at: s.world.shared, root: e.ID() == s.Expr().ID()}
	s.world.shared++
	s.parts = append(s.parts, p)
	s.replace(e, fnPart, s.fac.NewLiteral(s.id(partKind.typ), p), s.run())
}

// common reports whether an expression is ai.models with filters and orders
// that read nothing but each model.
func (s *sharing) common(e ast.Expr) bool {
	switch e.Kind() {
	case ast.SelectKind:
		field := e.AsSelect()
		return !field.IsTestOnly() && field.FieldName() == "models" && s.GetType(field.Operand().ID()).TypeName() == aiKind.typ.TypeName()
	case ast.CallKind:
		c := e.AsCall()
		if _, filter := filters[c.FunctionName()]; !c.IsMemberFunction() || !filter && c.FunctionName() != "sortBy" || !s.common(c.Target()) {
			return false
		}
		for _, arg := range c.Args() {
			if !readsOnly(arg, nil) {
				return false
			}
		}
		return true
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		if c.AccuVar() == sortVar {
			keys := c.Result().AsCall().Args()[1].AsComprehension()
			return s.common(c.AccuInit()) && readsOnly(keys.LoopStep(), []string{keys.IterVar(), keys.AccuVar()})
		}
		return keeps(c) && s.common(c.IterRange()) && readsOnly(c.LoopStep(), []string{c.IterVar(), c.AccuVar()})
	}
	return false
}

// keeps reports whether a loop is a filter: whether its step is
// condition ? result + [element] : result. A map may make null of a model, which then
// counts as an element, but is not in a part's result.
func keeps(c ast.ComprehensionExpr) bool {
	if c.HasIterVar2() || !isCall(c.LoopStep(), operators.Conditional) {
		return false
	}
	longer := c.LoopStep().AsCall().Args()[1]
	if !isCall(longer, operators.Add) {
		return false
	}
	added := longer.AsCall().Args()[1]
	if added.Kind() != ast.ListKind || added.AsList().Size() != 1 {
		return false
	}
	element := added.AsList().Elements()[0]
	return element.Kind() == ast.IdentKind && element.AsIdent() == c.IterVar()
}

func isCall(e ast.Expr, function string) bool {
	return e.Kind() == ast.CallKind && e.AsCall().FunctionName() == function
}

// readsOnly reports whether an expression reads nothing but these variables,
// and parts of them.
func readsOnly(e ast.Expr, variables []string) bool {
	bound := map[string]bool{runName: true} // which gives a model its numbers
	for _, name := range variables {
		bound[name] = true
	}
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.ComprehensionKind {
			c := e.AsComprehension()
			bound[c.IterVar()], bound[c.IterVar2()], bound[c.AccuVar()] = true, true, true
		}
	}))
	for _, root := range []string{"ai", "req", "conn", "key"} {
		if bound[root] {
			return false // which of the two a name means is not worth finding out
		}
	}
	only := true
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			only = only && bound[strings.TrimPrefix(e.AsIdent(), ".")]
		case ast.CallKind:
			name := e.AsCall().FunctionName()
			only = only && name != fnRandom && name != fnRandomize
		}
	}))
	return only
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
