package expression

import (
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/decls"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	"github.com/google/cel-go/interpreter"
	"github.com/google/cel-go/parser"
)

// The limits of an expression and its evaluation.
const (
	// maxSource is the longest expression, in characters.
	maxSource = 4096
	maxNodes  = 4000 // after macros
	maxDepth  = 60

	// costLimit is the limit for the cost of an evaluation. A step costs 1, and a call
	// also the size of what it walks through. It allows two hundred steps for each of
	// 5,000 models, but not one for each pair of 1,000 models. It is reached within some
	// tenths of a second.
	costLimit = 1_000_000
)

// MaxCost is the limit for the cost of a run, and a limit for those who run a strategy more
// than once for a request.
const MaxCost = costLimit

// ErrCost is the error of a run that costs more. It is safe to log.
var ErrCost = fmt.Errorf("it takes more than %d steps, as nested loops over many elements do", costLimit)

// language is CEL with the names of one place in the configuration. It is immutable.
type language struct {
	env    *cel.Env
	interp interpreter.Interpreter
}

// The three languages. They are made when they are first used, which takes some
// milliseconds.
var (
	modelLanguage    = sync.OnceValue(func() *language { return newLanguage(aiKind, nil) })
	keyLanguage      = sync.OnceValue(func() *language { return newLanguage(aiKeyKind, nil) })
	templateLanguage = sync.OnceValue(func() *language { return newLanguage(nil, secretsKind) })
)

// newLanguage makes a language with some of the roots. With ai it is a language of
// strategies, where the result of an operation on a missing value is missing. In a
// template that is an error: the template would send something else than was meant.
// newLanguage panics if the declarations of this package contradict each other.
func newLanguage(ai, secrets *kind) *language {
	registry, err := types.NewRegistry()
	if err != nil {
		panic(err)
	}
	all := []*kind{
		pricingKind, latencyKind, errorRateKind, scopeKind, metricsKind, modelKind, providerKind, authorKind,
		quotaKind, keyErrorRateKind, keyKind, connKind, accessKeyKind, reqKind,
	}
	opts := []cel.EnvOption{
		cel.Variable("req", reqKind.typ),
		cel.Variable("conn", connKind.typ),
		cel.Variable("key", accessKeyKind.typ),
	}
	if ai != nil {
		all = append(all, ai)
		opts = append(opts, cel.Variable("ai", ai.typ))
	}
	if secrets != nil {
		all = append(all, secrets)
		opts = append(opts, cel.Variable("secrets", secrets.typ))
		opts = append(opts, secretFunctions()...)
	}
	opts = append([]cel.EnvOption{
		cel.CustomTypeAdapter(adapter{registry}),
		cel.CustomTypeProvider(newKinds(registry, all...)),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxSource),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserErrorRecoveryLimit(4),
		cel.ExpressionNodeLimit(maxNodes),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals()),
		ext.Strings(),
		ext.Math(),
		cel.Macros(cel.ReceiverMacro("sortBy", 2, sortByMacro)),
	}, opts...)
	opts = append(opts, missingFunctions()...)
	opts = append(opts, listFunctions()...)
	opts = append(opts, fitFunctions()...)
	env, err := cel.NewEnv(opts...)
	if err != nil {
		panic(err)
	}
	dispatcher := interpreter.NewDispatcher()
	for _, f := range env.Functions() {
		bindings, err := f.Bindings()
		if ai != nil && carries(f.Name()) {
			for i, b := range bindings {
				bindings[i] = carrying(b)
			}
		}
		if err == nil {
			err = dispatcher.Add(bindings...)
		}
		if err != nil {
			panic(err)
		}
	}
	attributes := interpreter.NewAttributeFactory(env.Container, env.CELTypeAdapter(), env.CELTypeProvider())
	return &language{
		env:    env,
		interp: interpreter.NewInterpreter(dispatcher, env.Container, env.CELTypeProvider(), env.CELTypeAdapter(), attributes),
	}
}

// The names of functions and variables that cannot be written in an expression.
const (
	fnSortByKeys = "@sortByKeys"
	fnRandom     = "@random"
	fnRandomize  = "@randomize"
	fnShuffle    = "@shuffle"
	sortVar      = "@sorted"
)

// lax functions check the types of their arguments themselves, which may be missing.
var lax = decls.DisableTypeGuards(true)

// listFunctions declares the functions on models, providers, authors and keys.
func listFunctions() []cel.EnvOption {
	models := cel.ListType(modelKind.typ)
	providers, authors := cel.ListType(providerKind.typ), cel.ListType(authorKind.typ)
	element := cel.TypeParamType("A")
	list, keys := cel.ListType(element), cel.ListType(cel.TypeParamType("B"))
	str := cel.StringType

	filter := func(name string, args ...*cel.Type) cel.FunctionOpt {
		return cel.MemberOverload("models_"+name, append([]*cel.Type{models}, args...), models,
			cel.FunctionBinding(filterModels(name)))
	}
	filterOf := func(of string, list *cel.Type, name string) cel.FunctionOpt {
		return cel.MemberOverload(of+"_"+name, []*cel.Type{list, stringList}, list, cel.FunctionBinding(filterModels(name)))
	}
	get := func(id string, gives *cel.Type, args ...*cel.Type) cel.FunctionOpt {
		return cel.MemberOverload(id, args, gives, cel.FunctionBinding(getByID))
	}
	underCost := func(id string, price *cel.Type) cel.FunctionOpt {
		return cel.MemberOverload(id, []*cel.Type{models, str, price}, models, cel.FunctionBinding(filterModels("underCost")))
	}
	metadata := func(id string, of *cel.Type) cel.FunctionOpt {
		return cel.MemberOverload(id, []*cel.Type{of, str}, cel.DynType, cel.BinaryBinding(metadataAt))
	}
	opts := []cel.EnvOption{
		cel.Function("only", lax, filter("only", stringList), filterOf("providers", providers, "only"), filterOf("authors", authors, "only")),
		cel.Function("ignore", lax, filter("ignore", stringList), filterOf("providers", providers, "ignore"), filterOf("authors", authors, "ignore")),
		cel.Function("underCost", lax, underCost("models_underCost_double", cel.DoubleType), underCost("models_underCost_int", cel.IntType)),
		cel.Function("get", lax,
			get("models_get", modelKind.typ, models, str),
			get("models_get_provider", modelKind.typ, models, str, str),
			get("providers_get", providerKind.typ, providers, str),
			get("authors_get", authorKind.typ, authors, str)),
		cel.Function("getModel", lax,
			cel.MemberOverload("provider_getModel", []*cel.Type{providerKind.typ, str}, modelKind.typ, cel.BinaryBinding(getModel))),
		cel.Function("getMetadata", lax, metadata("model_getMetadata", modelKind.typ), metadata("provider_getMetadata", providerKind.typ)),
		cel.Function("sortBy", lax, cel.MemberOverload("models_sortBy", []*cel.Type{models, str}, models, cel.BinaryBinding(sortByField))),
		cel.Function(fnSortByKeys, lax, cel.Overload(fnSortByKeys, []*cel.Type{list, keys}, list, cel.BinaryBinding(sortByKeys))),
		// random and randomize get the run when the expression is lowered. These
		// declarations are for the checker.
		cel.Function("random", cel.MemberOverload("list_random", []*cel.Type{list}, element)),
		cel.Function("randomize", cel.MemberOverload("list_randomize", []*cel.Type{list}, list)),
		cel.Function(fnRandom, cel.Overload(fnRandom, []*cel.Type{cel.DynType, cel.DynType}, cel.DynType, cel.BinaryBinding(random))),
		cel.Function(fnRandomize, cel.Overload(fnRandomize, []*cel.Type{cel.DynType, cel.DynType}, cel.DynType, cel.BinaryBinding(randomize))),
		cel.Function(fnShuffle, cel.Overload(fnShuffle, []*cel.Type{cel.DynType, cel.DynType}, cel.DynType, cel.BinaryBinding(shuffleLast))),
	}
	for _, name := range []string{"onlyProviders", "ignoreProviders", "onlyAuthors", "ignoreAuthors"} {
		opts = append(opts, cel.Function(name, lax, filter(name, stringList)))
	}
	for _, name := range []string{"inRegion", "inCountryCode"} {
		opts = append(opts, cel.Function(name, lax, filter(name, str)))
	}
	return append(opts, keepFunctions()...)
}

// sortByMacro expands list.sortBy(x, key). The list is evaluated once and sorted by the
// list of its keys. It is bound to a variable by a comprehension over an empty list.
func sortByMacro(f cel.MacroExprFactory, list ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
	if args[0].Kind() != ast.IdentKind {
		return nil, f.NewError(args[0].ID(), "sortBy needs a variable first: sortBy(m, m.id)")
	}
	keys, err := parser.MakeMap(f, f.NewIdent(sortVar), args)
	if err != nil {
		return nil, err
	}
	return f.NewComprehension(f.NewList(), "#unused", sortVar, list, f.NewLiteral(types.False), f.NewIdent(sortVar),
		f.NewCall(fnSortByKeys, f.NewIdent(sortVar), keys)), nil
}
