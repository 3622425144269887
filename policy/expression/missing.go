package expression

import (
	"regexp"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// Where an operand may be missing, an operation is replaced by one of these functions. A
// missing value is null to them. The package comment has the rules.
const (
	fnGet     = "@get"
	fnMetrics = "@metrics" // the live numbers of a model
	fnLive    = "@live"    // fnGet for a field that may be a model's live numbers
	fnHas     = "@has"
	fnBool    = "@bool"
	fnList    = "@list"
	fnMatches = "@matches"
)

// metricsField is the field of a model with its live numbers.
const metricsField = "metrics"

// lenient are the functions that replace operations on values that may be missing.
var lenient = map[string]string{
	operators.Less:          "@lt",
	operators.LessEquals:    "@le",
	operators.Greater:       "@gt",
	operators.GreaterEquals: "@ge",
	operators.In:            "@within",
	operators.Negate:        "@negate",
	"contains":              "@contains",
	"startsWith":            "@startsWith",
	"endsWith":              "@endsWith",
	"matches":               fnMatches,
	"size":                  "@size",
}

func missingFunctions() []cel.EnvOption {
	d := cel.DynType
	unary := func(name string, f func(ref.Val) ref.Val) cel.EnvOption {
		return cel.Function(name, lax, cel.Overload(name, []*cel.Type{d}, d, cel.UnaryBinding(f)))
	}
	binary := func(name string, f func(a, b ref.Val) ref.Val) cel.EnvOption {
		return cel.Function(name, lax, cel.Overload(name, []*cel.Type{d, d}, d, cel.BinaryBinding(f)))
	}
	compare := func(name string, is func(int) bool) cel.EnvOption {
		return binary(name, func(a, b ref.Val) ref.Val {
			if a == types.NullValue || b == types.NullValue {
				return types.False
			}
			c, ok := a.(traits.Comparer)
			if !ok {
				return types.MaybeNoSuchOverloadErr(a)
			}
			order := c.Compare(b)
			if i, ok := order.(types.Int); ok {
				return types.Bool(is(int(i)))
			}
			return order
		})
	}
	words := func(name string, f func(s, word ref.Val) ref.Val) cel.EnvOption {
		return binary(name, func(s, word ref.Val) ref.Val {
			if s == types.NullValue || word == types.NullValue {
				return types.False
			}
			_, ok1 := s.(types.String)
			_, ok2 := word.(types.String)
			if !ok1 || !ok2 {
				return types.NewErrFromString("no such overload")
			}
			return f(s, word)
		})
	}
	return []cel.EnvOption{
		binary(fnGet, lookup),
		binary(fnMetrics, func(m, in ref.Val) ref.Val {
			if m == types.NullValue {
				return m
			}
			return &newLive(m.(*object).of.(*Model), runOf(in)).metrics
		}),
		cel.Function(fnLive, lax, cel.Overload(fnLive, []*cel.Type{d, d, d}, d, cel.FunctionBinding(func(args ...ref.Val) ref.Val {
			if o, ok := args[0].(*object); ok && o.kind == modelKind && args[1] == types.String(metricsField) {
				return &newLive(o.of.(*Model), runOf(args[2])).metrics
			}
			return lookup(args[0], args[1])
		}))),
		binary(fnHas, present),
		unary(fnBool, func(v ref.Val) ref.Val {
			if v == types.NullValue {
				return types.False
			}
			return v
		}),
		unary(fnList, func(v ref.Val) ref.Val {
			if v == types.NullValue {
				return emptyList
			}
			return v
		}),
		unary("@size", func(v ref.Val) ref.Val {
			if v == types.NullValue {
				return types.IntZero
			}
			if s, ok := v.(traits.Sizer); ok {
				return s.Size()
			}
			return types.MaybeNoSuchOverloadErr(v)
		}),
		unary("@negate", func(v ref.Val) ref.Val {
			if v == types.NullValue {
				return v
			}
			if n, ok := v.(traits.Negater); ok {
				return n.Negate()
			}
			return types.MaybeNoSuchOverloadErr(v)
		}),
		compare("@lt", func(c int) bool { return c < 0 }),
		compare("@le", func(c int) bool { return c <= 0 }),
		compare("@gt", func(c int) bool { return c > 0 }),
		compare("@ge", func(c int) bool { return c >= 0 }),
		binary("@within", func(v, in ref.Val) ref.Val {
			if in == types.NullValue {
				return types.False
			}
			if c, ok := in.(traits.Container); ok {
				return c.Contains(v)
			}
			return types.MaybeNoSuchOverloadErr(in)
		}),
		words("@contains", types.StringContains),
		words("@startsWith", types.StringStartsWith),
		words("@endsWith", types.StringEndsWith),
		// The pattern is compiled: it is a constant.
		binary(fnMatches, func(s, p ref.Val) ref.Val {
			switch s := s.(type) {
			case types.String:
				return types.Bool(p.(*pattern).MatchString(string(s)))
			case types.Null:
				return types.False
			}
			return types.MaybeNoSuchOverloadErr(s)
		}),
	}
}

// lookup returns an entry of a map, an element of a list or a field of an object, and null
// if there is none.
func lookup(from, key ref.Val) ref.Val {
	switch from := from.(type) {
	case types.Null:
		return from
	case *headers:
		name, ok := key.(types.String)
		if !ok {
			return noHeader
		}
		return from.values(string(name))
	case traits.Mapper:
		v, found := from.Find(key)
		if !found {
			return types.NullValue
		}
		return v
	case traits.Lister:
		i, err := types.IndexOrError(key)
		if err != nil || i < 0 || types.Int(i) >= from.Size().(types.Int) {
			return types.NullValue
		}
		return from.Get(types.Int(i))
	case *object:
		if name, ok := key.(types.String); ok && from.kind.fields[string(name)] != nil {
			v, _ := from.field(string(name))
			return v
		}
		return types.NewErrFromString("no such field")
	}
	return types.NullValue // a string, a number: it has no entries
}

// present is has() for what lookup returns.
func present(from, key ref.Val) ref.Val {
	switch from := from.(type) {
	case traits.Mapper:
		return from.Contains(key)
	case *object:
		name, _ := key.(types.String)
		_, ok := from.field(string(name))
		return types.Bool(ok)
	}
	return types.False
}

// pattern is a compiled regular expression, as an argument.
type pattern struct {
	object
	*regexp.Regexp
}

var patternKind = newKind("pattern")

func newPattern(re *regexp.Regexp) *pattern {
	return &pattern{object{patternKind, re}, re}
}
