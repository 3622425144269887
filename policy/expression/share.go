package expression

import (
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"
)

// sharing rewrites a strategy into its shared form: it replaces subexpressions by
// variables, whose values are the slots, and filters by calls of fnKeep.
type sharing struct {
	*tree
	language *language
	world    *World
	slots    []slot
	loops    int
	err      error
}

// share returns the shared form of a lowered expression. Where nothing can be
// replaced, it has no slots and no loops.
func (l *language) share(lowered *tree, w *World) (*sharing, error) {
	s := &sharing{tree: newTree(lowered.AST), language: l, world: w}
	s.take(s.Expr())
	return s, s.err
}

// take replaces the parts and the filters of an expression, except those inside of
// loops: the meter has to count them as often as they are evaluated.
func (s *sharing) take(e ast.Expr) {
	s.sortFirst(e)
	if s.common(e) && e.Kind() != ast.SelectKind {
		s.takePart(e)
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
		c := e.AsComprehension()
		if keeps(c) {
			s.split(e)
			c = e.AsComprehension()
		}
		s.take(c.IterRange())
		s.take(c.AccuInit())
		if keeps(c) && !shadows(c.IterVar()) {
			s.takeLoop(e)
		}
	}
}

// slot replaces an expression by a variable with the value of a slot.
func (s *sharing) slot(e ast.Expr, value slot) string {
	name := slotPrefix + string(rune(len(s.slots)))
	s.slots = append(s.slots, value)
	e.SetKindCase(s.fac.NewIdent(0, name))
	s.SetReference(e.ID(), ast.NewIdentReference(name, nil))
	return name
}

// program compiles a copy of a subexpression.
func (s *sharing) program(e ast.Expr, options ...interpreter.PlannerOption) interpreter.InterpretableV2 {
	copied := ast.NewCheckedAST(ast.NewAST(s.fac.CopyExpr(e), s.SourceInfo()), s.TypeMap(), s.ReferenceMap())
	program, err := s.language.metered(copied)
	if options != nil {
		program, err = s.language.interp.NewInterpretable(copied, options...)
	}
	if err != nil {
		s.err = err
	}
	return program
}

func (s *sharing) takePart(e ast.Expr) {
	p := &part{root: e.ID() == s.Expr().ID()}
	p.memo = s.world.memo(s.program(e), "", sorts(e), readsNumbers(e))
	s.slot(e, p)
}

// takeLoop replaces a filter by a call of fnKeep.
func (s *sharing) takeLoop(e ast.Expr) {
	c := e.AsComprehension()
	condition := c.LoopStep().AsCall().Args()[0]
	of := s.GetType(c.IterRange().ID())
	inner := &inner{sharing: s, variable: c.IterVar()}
	inner.models = of.Kind() == types.ListKind && of.Parameters()[0].TypeName() == modelKind.typ.TypeName()
	inner.take(condition)
	l := &loop{object: object{kind: loopKind}, variable: c.IterVar()}
	if inner.bounded(condition) {
		l.condition = s.program(condition, interpreter.Optimize())
		l.steps = nodes(condition)
	} else {
		l.condition = s.program(condition)
	}
	s.loops++
	s.replace(e, fnKeep, c.IterRange(), s.fac.NewLiteral(s.id(loopKind.typ), l), s.run())
}

// split makes list.filter(m, a && b) into list.filter(m, a).filter(m, b), where a reads
// only m and b does not: the first filter may then be a part. A model that a refuses
// is not asked b, which && does not need either.
func (s *sharing) split(e ast.Expr) {
	c := e.AsComprehension()
	step := c.LoopStep().AsCall().Args()
	var own, others []ast.Expr
	for _, operand := range conjuncts(step[0]) {
		if readsOnly(operand, []string{c.IterVar()}) {
			own = append(own, operand)
		} else {
			others = append(others, operand)
		}
	}
	if len(own) == 0 || len(others) == 0 {
		return
	}
	filter := func(list ast.Expr, id int64, conditions []ast.Expr) ast.Expr {
		condition := conditions[0]
		for _, next := range conditions[1:] {
			both := s.id(types.BoolType)
			s.SetReference(both, s.ReferenceMap()[step[0].ID()])
			condition = s.fac.NewCall(both, operators.LogicalAnd, condition, next)
		}
		choice := s.fac.NewCall(s.copyOf(c.LoopStep()), operators.Conditional, condition, s.copied(step[1]), s.copied(step[2]))
		return s.fac.NewComprehension(id, list, c.IterVar(), c.AccuVar(), s.copied(c.AccuInit()), s.copied(c.LoopCondition()), choice, s.copied(c.Result()))
	}
	first := filter(c.IterRange(), s.copyOf(e), own)
	e.SetKindCase(filter(first, 0, others))
}

// sortFirst makes list.filter(m, a).sortBy(…) into list.sortBy(…).filter(m, a), where the
// sort keys read only the model and a does not: the sorted list may then be a part. The
// result is the same, because an order is stable.
func (s *sharing) sortFirst(e ast.Expr) {
	filter := s.sorted(e)
	if filter == nil || filter.Kind() != ast.ComprehensionKind || !keeps(filter.AsComprehension()) {
		return
	}
	s.split(filter)
	s.sortFirst(filter.AsComprehension().IterRange()) // what split left there may sort, too
	c := filter.AsComprehension()
	if readsOnly(c.LoopStep(), []string{c.IterVar(), c.AccuVar()}) || anyNode(c.LoopStep(), isRandom) {
		return
	}
	id := s.copyOf(e)
	var sorted ast.Expr
	if e.Kind() == ast.CallKind {
		sorted = s.fac.NewMemberCall(id, e.AsCall().FunctionName(), c.IterRange(), e.AsCall().Args()...)
	} else {
		o := e.AsComprehension()
		sorted = s.fac.NewComprehension(id, o.IterRange(), o.IterVar(), o.AccuVar(), c.IterRange(), o.LoopCondition(), o.LoopStep(), o.Result())
	}
	s.sortFirst(sorted)
	e.SetKindCase(s.fac.NewComprehension(0, sorted, c.IterVar(), c.AccuVar(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()))
}

// sorted returns the list that an expression sorts by keys which read only the element;
// nil if it does something else.
func (s *sharing) sorted(e ast.Expr) ast.Expr {
	switch e.Kind() {
	case ast.CallKind:
		if c := e.AsCall(); c.IsMemberFunction() && c.FunctionName() == "sortBy" {
			return c.Target()
		}
	case ast.ComprehensionKind:
		if c := e.AsComprehension(); c.AccuVar() == sortVar {
			keys := c.Result().AsCall().Args()[1].AsComprehension()
			if readsOnly(keys.LoopStep(), []string{keys.IterVar(), keys.AccuVar()}) {
				return c.AccuInit()
			}
		}
	}
	return nil
}

// copyOf returns the id of a new node with the type and the reference of another.
func (s *sharing) copyOf(e ast.Expr) int64 {
	id := s.id(s.GetType(e.ID()))
	if ref := s.ReferenceMap()[e.ID()]; ref != nil {
		s.SetReference(id, ref)
	}
	return id
}

// copied returns a copy of an expression, whose nodes have their own ids.
func (s *sharing) copied(e ast.Expr) ast.Expr {
	out := s.fac.CopyExpr(e)
	out.RenumberIDs(func(old int64) int64 {
		id := s.id(s.GetType(old))
		if ref := s.ReferenceMap()[old]; ref != nil {
			s.SetReference(id, ref)
		}
		return id
	})
	return out
}

func conjuncts(e ast.Expr) []ast.Expr {
	if !isCall(e, operators.LogicalAnd) {
		return []ast.Expr{e}
	}
	var out []ast.Expr
	for _, operand := range e.AsCall().Args() {
		out = append(out, conjuncts(operand)...)
	}
	return out
}

// inner rewrites the condition of a filter.
type inner struct {
	*sharing
	variable string
	models   bool     // the list is one of models
	small    []string // variables that hold nothing of the request
}

// take replaces what does not read the element, and what reads nothing else.
func (i *inner) take(e ast.Expr) {
	switch {
	case e.Kind() == ast.IdentKind || e.Kind() == ast.LiteralKind:
	case !reads(e, i.variable):
		i.slot(e, &once{program: i.program(e), at: len(i.slots)})
	case i.models && readsOnly(e, []string{i.variable}) && calls(e):
		c := &column{memo: i.world.memo(i.program(e), i.variable, false, readsNumbers(e))}
		i.small = append(i.small, i.slot(e, c))
	case e.Kind() == ast.SelectKind:
		i.take(e.AsSelect().Operand())
	case e.Kind() == ast.ComprehensionKind:
		i.take(e.AsComprehension().IterRange())
	default:
		for _, operand := range parts(e) {
			i.take(operand)
		}
	}
}

// bounded reports whether each step of a condition takes about the same time, whatever
// the request holds: then it need not be metered step by step.
func (i *inner) bounded(e ast.Expr) bool {
	small := func(e ast.Expr) bool {
		return e.Kind() == ast.LiteralKind || readsOnly(e, append(i.small, i.variable))
	}
	bounded := true
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.ComprehensionKind:
			bounded = false
		case ast.CallKind:
			args := parts(e)
			switch rateOf(e.AsCall().FunctionName()) {
			case flat:
			case compare:
				bounded = bounded && slices.ContainsFunc(args, small)
			case search:
				bounded = bounded && small(args[1])
			default:
				bounded = false
			}
		}
	}))
	return bounded
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

// anyNode reports whether a node of an expression is such.
func anyNode(e ast.Expr, is func(ast.Expr) bool) bool {
	found := false
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) { found = found || is(e) }))
	return found
}

func nodes(e ast.Expr) int {
	n := 0
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(ast.Expr) { n++ }))
	return n
}

func calls(e ast.Expr) bool {
	return anyNode(e, func(e ast.Expr) bool { return e.Kind() == ast.CallKind })
}

func sorts(e ast.Expr) bool {
	return anyNode(e, func(e ast.Expr) bool { return isCall(e, "sortBy") || isCall(e, fnSortByKeys) })
}

// readsNumbers reports whether an expression may read the numbers of models.
func readsNumbers(e ast.Expr) bool {
	return anyNode(e, func(e ast.Expr) bool { return isCall(e, fnMetrics) || isCall(e, fnLive) })
}

// isRandom reports whether a node may have another value each time.
func isRandom(e ast.Expr) bool {
	return isCall(e, fnRandom) || isCall(e, fnRandomize) || isCall(e, fnShuffle)
}

// reads reports whether the value of an expression may depend on a variable, or be
// another one each time.
func reads(e ast.Expr, variable string) bool {
	return anyNode(e, func(e ast.Expr) bool {
		return isRandom(e) || e.Kind() == ast.IdentKind && strings.TrimPrefix(e.AsIdent(), ".") == variable
	})
}

// shadows reports whether a variable has the name of a root. Which of the two a name
// then means is not worth finding out.
func shadows(variable string) bool {
	return variable == "ai" || variable == "req" || variable == "conn" || variable == "key"
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
	for name := range bound {
		if shadows(name) {
			return false
		}
	}
	return !anyNode(e, func(e ast.Expr) bool {
		return isRandom(e) || e.Kind() == ast.IdentKind && !bound[strings.TrimPrefix(e.AsIdent(), ".")]
	})
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
