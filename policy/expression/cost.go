package expression

import (
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// costs are what calls cost where CEL's own model says 1 and it is more: it is
// the size of what they walk through, and of what they make.
type costs struct{}

func (costs) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	if _, ours := filters[function]; !ours {
		switch function {
		case "get", "getModel", "sortBy", fnSortByKeys, fnRandom, fnRandomize, "@within", "@contains", fnMatches, "format", "quote":
		case "_+_":
			if _, isText := result.(types.String); !isText {
				return nil
			}
		default:
			return nil
		}
	}
	var cost uint64 = 1
	for _, arg := range args {
		cost += size(arg)
	}
	cost += size(result)
	return &cost
}

// size is the number of elements, or of tens of bytes.
func size(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v)) / 10
	case traits.Sizer:
		if n, ok := v.Size().(types.Int); ok && n > 0 {
			return uint64(n)
		}
	}
	return 0
}

// grows are the functions whose results can be much longer than what they are
// given, and those that walk lists of this package: inside of a loop, or one
// upon another, they are counted.
func grows(function string) bool {
	switch function {
	case "replace", "format", "join", "split", "quote", "@sortByKeys":
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
