package expression

import (
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// What the macros and functions over models become where they are optimised:
// calls with the list, a rule and the run.
const (
	fnKeep   = "@modelsKeep"
	fnExists = "@modelsExists"
	fnAll    = "@modelsAll"
	fnOrder  = "@modelsOrder"
)

// optimiser rewrites a lowered expression for one world.
type optimiser struct {
	*tree
	language *language
	world    *World
	err      error
}

// optimise gives the optimised form of a lowered expression, or nil if that
// could cost much: then the plain form counts what it does.
func (l *language) optimise(lowered *tree, w *World) (*tree, error) {
	o := &optimiser{tree: newTree(lowered.AST), language: l, world: w}
	o.gaps = lowered.gaps
	o.rewrite(o.Expr())
	if o.err != nil || !o.cheap(o.Expr()) {
		return nil, o.err
	}
	o.root(o.Expr())
	return o.tree, nil
}

// root tells an order at the root of an expression how much of it is wanted.
func (o *optimiser) root(e ast.Expr) {
	wanted := asked
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == fnGet {
		i, ok := e.AsCall().Args()[1].AsLiteral().(types.Int)
		if !ok || i < 0 || i >= maxFirst {
			return
		}
		wanted, e = int(i)+1, e.AsCall().Args()[0]
	}
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == fnOrder {
		e.AsCall().Args()[1].AsLiteral().(*order).wanted = wanted
	}
}

// rewrite goes down to everything that is evaluated once: the loops that it
// cannot replace stay as they are.
func (o *optimiser) rewrite(e ast.Expr) {
	switch e.Kind() {
	case ast.SelectKind:
		o.rewrite(e.AsSelect().Operand())
	case ast.ListKind:
		for _, el := range e.AsList().Elements() {
			o.rewrite(el)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			o.rewrite(entry.AsMapEntry().Key())
			o.rewrite(entry.AsMapEntry().Value())
		}
	case ast.CallKind:
		c := e.AsCall()
		if c.IsMemberFunction() {
			o.rewrite(c.Target())
		}
		for _, arg := range c.Args() {
			o.rewrite(arg)
		}
		o.call(e)
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		o.rewrite(c.IterRange())
		if c.AccuVar() == sortVar {
			o.rewrite(c.AccuInit())
		}
		o.comprehension(e)
	}
}

// call replaces a filter whose arguments are constants, and sortBy('price').
func (o *optimiser) call(e ast.Expr) {
	c := e.AsCall()
	if !c.IsMemberFunction() || !isList(o.GetType(c.Target().ID()), modelKind) {
		return
	}
	args := make([]ref.Val, len(c.Args()))
	for i, arg := range c.Args() {
		v, ok := o.literal(arg)
		if !ok {
			return
		}
		args[i] = v
	}
	if filter := filters[c.FunctionName()]; filter != nil {
		keep, err := filter(args)
		if err != nil {
			return // it is CEL's to say
		}
		o.become(e, fnKeep, c.Target(), o.world.rule(func(m *Model) answer { return answerIf(keep(m)) }))
	}
	if c.FunctionName() == "sortBy" && len(args) == 1 {
		name, _ := args[0].(types.String)
		if key := sortFields[string(name)]; key != nil {
			o.become(e, fnOrder, c.Target(), o.world.order(key))
		}
	}
}

// become makes a node a call with a list of models, a rule and the run.
func (o *optimiser) become(e ast.Expr, function string, list ast.Expr, rule ref.Val) {
	o.replace(e, function, list, o.fac.NewLiteral(o.id(ruleKind.typ), rule), o.run())
}

// literal reads a constant, or a list of constants.
func (o *optimiser) literal(e ast.Expr) (ref.Val, bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		return e.AsLiteral(), true
	case ast.ListKind:
		vals := make([]ref.Val, 0, e.AsList().Size())
		for _, el := range e.AsList().Elements() {
			if el.Kind() != ast.LiteralKind {
				return nil, false
			}
			vals = append(vals, el.AsLiteral())
		}
		return listOf(vals), true
	}
	return nil, false
}

// comprehension replaces filter, exists, all and sortBy over models. Where some
// may be missing, it is CEL's: what is missing is no model, but counts.
func (o *optimiser) comprehension(e ast.Expr) {
	c := e.AsComprehension()
	if o.gaps[c.IterRange().ID()].holes || o.gaps[c.AccuInit().ID()].holes {
		return
	}
	if c.AccuVar() == sortVar {
		m := c.Result().AsCall().Args()[1].AsComprehension()
		key, ok := mapped(m)
		if !ok || !isList(o.GetType(c.AccuInit().ID()), modelKind) {
			return
		}
		if p := o.predicate(m.IterVar(), key); p != nil {
			by := p.order(o.world)
			if p.counted == nil {
				by.number = o.number(m.IterVar(), key)
			}
			o.become(e, fnOrder, c.AccuInit(), by)
		}
		return
	}
	function, condition := shape(c)
	if function == "" || !isList(o.GetType(c.IterRange().ID()), modelKind) {
		return
	}
	if p := o.predicate(c.IterVar(), condition); p != nil {
		r := p.rule(o.world)
		if p.counted == nil {
			r.ask = o.test(c.IterVar(), condition)
		}
		o.become(e, function, c.IterRange(), r)
	}
}

// shape recognises what the macros filter, exists and all expand to (see
// cel-go/parser/macro.go).
func shape(c ast.ComprehensionExpr) (function string, condition ast.Expr) {
	accu := c.AccuVar()
	if c.HasIterVar2() || !isIdent(c.Result(), accu) {
		return "", nil
	}
	step := c.LoopStep()
	if step.Kind() != ast.CallKind {
		return "", nil
	}
	args := step.AsCall().Args()
	init := c.AccuInit()
	switch name := step.AsCall().FunctionName(); {
	case name == operators.Conditional && init.Kind() == ast.ListKind && init.AsList().Size() == 0 &&
		isLiteral(c.LoopCondition(), types.True) && isIdent(args[2], accu) && appends(args[1], accu, c.IterVar()):
		return fnKeep, args[0]
	case name == operators.LogicalOr && isLiteral(init, types.False) && isIdent(args[0], accu):
		return fnExists, args[1]
	case name == operators.LogicalAnd && isLiteral(init, types.True) && isIdent(args[0], accu):
		return fnAll, args[1]
	}
	return "", nil
}

// mapped recognises what the macro map(x, e) expands to.
func mapped(c ast.ComprehensionExpr) (ast.Expr, bool) {
	step := c.LoopStep()
	if step.Kind() != ast.CallKind || step.AsCall().FunctionName() != operators.Add || !isLiteral(c.LoopCondition(), types.True) {
		return nil, false
	}
	list := step.AsCall().Args()[1]
	if list.Kind() != ast.ListKind || list.AsList().Size() != 1 {
		return nil, false
	}
	return list.AsList().Elements()[0], true
}

func appends(e ast.Expr, accu, variable string) bool {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.Add {
		return false
	}
	args := e.AsCall().Args()
	return isIdent(args[0], accu) && args[1].Kind() == ast.ListKind && args[1].AsList().Size() == 1 &&
		isIdent(args[1].AsList().Elements()[0], variable)
}

func isIdent(e ast.Expr, name string) bool {
	return e.Kind() == ast.IdentKind && e.AsIdent() == name
}

func isLiteral(e ast.Expr, v ref.Val) bool {
	return e.Kind() == ast.LiteralKind && e.AsLiteral() == v
}

// predicate is a part of an expression that is evaluated for each model.
type predicate struct {
	variable string
	exec     interpreter.InterpretableV2
	counted  interpreter.InterpretableV2 // for a predicate that only reads the model
}

// predicate compiles the body of a loop over models; nil is one that has to
// stay in its loop.
func (o *optimiser) predicate(variable string, body ast.Expr) *predicate {
	static := onlyOf(variable, body)
	if o.err != nil || !static && !o.cheapBody(body, map[string]bool{variable: true}) {
		return nil
	}
	part := ast.NewCheckedAST(ast.NewAST(body, o.SourceInfo()), o.TypeMap(), o.ReferenceMap())
	p := &predicate{variable: variable}
	if static {
		p.counted, o.err = o.language.plain(part)
	}
	if o.err == nil {
		p.exec, o.err = o.language.bare(part)
	}
	return p
}

// onlyOf says whether an expression depends on a model and nothing else: not
// on the request, and not on live numbers.
func onlyOf(variable string, body ast.Expr) bool {
	// Names that inner loops bind are names of parts of the model.
	bound := map[string]bool{variable: true}
	ast.PostOrderVisit(body, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.ComprehensionKind {
			c := e.AsComprehension()
			bound[c.IterVar()], bound[c.IterVar2()], bound[c.AccuVar()] = true, true, true
		}
	}))
	for _, root := range []string{"ai", "req", "conn", "key", runName} {
		if bound[root] {
			return false // which of the two a name means is not worth finding out
		}
	}
	only := true
	ast.PostOrderVisit(body, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			only = only && bound[strings.TrimPrefix(e.AsIdent(), ".")]
		case ast.SelectKind:
			only = only && e.AsSelect().FieldName() != "metrics"
		case ast.CallKind:
			c := e.AsCall()
			if c.FunctionName() == fnGet && len(c.Args()) == 2 {
				// Of a value whose type is not known, any field may be meant.
				name, known := constant(c.Args()[1])
				only = only && (known && name != "metrics" || isMetadata(c.Args()[0]))
			}
		}
	}))
	return only
}

// isMetadata says whether a value is, or is out of, a model's metadata.
func isMetadata(e ast.Expr) bool {
	switch e.Kind() {
	case ast.SelectKind:
		return e.AsSelect().FieldName() == "metadata"
	case ast.CallKind:
		c := e.AsCall()
		return c.FunctionName() == "getMetadata" || c.FunctionName() == fnGet && isMetadata(c.Args()[0])
	}
	return false
}
