package expression

import (
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// Limits for the result of one call. Its cost is counted only after the call.
const (
	maxString = 4 << 20 // bytes
	maxPieces = 100_000
)

// fnFits wraps the operand of a function with a result that may be larger than its
// operands. It returns the operand, or an error if the result could be too long.
const fnFits = "@fits"

func fitFunctions() []cel.EnvOption {
	d := cel.DynType
	return []cel.EnvOption{cel.Function(fnFits, cel.Overload(fnFits, []*cel.Type{d, d, d}, d, cel.FunctionBinding(
		func(args ...ref.Val) ref.Val {
			var others []ref.Val
			for it := args[1].(traits.Lister).Iterator(); it.HasNext() == types.True; {
				others = append(others, it.Next())
			}
			name, _ := args[2].(types.String)
			bytes, pieces := growth(string(name), args[0], others)
			if bytes > maxString || pieces > maxPieces {
				return types.WrapErr(safef("%s would return more than %d MiB or %d parts", name, maxString>>20, maxPieces))
			}
			return args[0]
		})))}
}

// growth returns an upper bound for the size of a call's result.
func growth(function string, of ref.Val, args []ref.Val) (bytes, pieces int) {
	length := func(i int) int {
		if i < len(args) {
			s, _ := args[i].(types.String)
			return len(s)
		}
		return 0
	}
	s, _ := of.(types.String)
	switch function {
	case "replace":
		old, _ := args[0].(types.String)
		return len(s) + strings.Count(string(s), string(old))*length(1), 0
	case "split":
		by, _ := args[0].(types.String)
		if by == "" {
			return len(s), utf8.RuneCountInString(string(s))
		}
		return len(s), strings.Count(string(s), string(by)) + 1
	case "join":
		return textIn(of) + size(of)*length(0), 0
	case "format":
		return len(s) + textIn(args[0]), 0
	}
	return 2 * len(s), 0 // quote
}

// textIn returns an upper bound for the length of a list's elements as text.
func textIn(v ref.Val) int {
	const number = 400 // digits of the longest
	n := 0
	l, ok := v.(traits.Lister)
	if !ok {
		return 0
	}
	for it := l.Iterator(); n <= maxString && it.HasNext() == types.True; {
		switch e := it.Next().(type) {
		case types.String:
			n += len(e)
		case traits.Lister, traits.Mapper:
			n += maxMember
		default:
			n += number
		}
	}
	return n
}
