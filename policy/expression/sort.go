package expression

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// sortKey is a value to sort by, prepared for comparing. Numbers come first, then strings,
// then other values, and missing values last.
type sortKey struct {
	class  sortClass
	exact  bool // number is whole: compare it
	number int64
	float  float64
	text   string
}

type sortClass uint8

const (
	sortNumber sortClass = iota
	sortText
	sortTime
	sortBool
	sortMissing
)

func sortKeyOf(v ref.Val) (sortKey, ref.Val) {
	switch v := v.(type) {
	case types.Double:
		if math.IsNaN(float64(v)) {
			return sortKey{class: sortMissing}, nil
		}
		return sortKey{float: float64(v)}, nil
	case types.Int:
		return sortKey{exact: true, number: int64(v), float: float64(v)}, nil
	case types.Uint:
		return sortKey{float: float64(v)}, nil
	case types.String:
		return sortKey{class: sortText, text: string(v)}, nil
	case types.Timestamp:
		return sortKey{class: sortTime, exact: true, number: v.UnixNano()}, nil
	case types.Duration:
		return sortKey{class: sortTime, exact: true, number: int64(v.Duration)}, nil
	case types.Bool:
		k := sortKey{class: sortBool, exact: true}
		if v {
			k.number = 1
		}
		return k, nil
	case types.Null:
		return sortKey{class: sortMissing}, nil
	}
	if types.IsUnknownOrError(v) {
		return sortKey{}, v
	}
	return sortKey{}, types.WrapErr(safef("sortBy cannot compare a %s", v.Type().TypeName()))
}

func (k sortKey) compare(other sortKey) int {
	if c := cmp.Compare(k.class, other.class); c != 0 {
		return c
	}
	if k.class == sortText {
		return strings.Compare(k.text, other.text)
	}
	if k.exact && other.exact {
		return cmp.Compare(k.number, other.number)
	}
	return cmp.Compare(k.float, other.float)
}

// keyed is an element to sort, with its key.
type keyed[T any] struct {
	key sortKey
	of  T
}

// sortKeyed returns the elements in order. The sort is stable. It moves indexes, because a
// keyed is eight times as long.
func sortKeyed[T any](all []keyed[T]) []T {
	places := make([]int, len(all))
	for i := range places {
		places[i] = i
	}
	slices.SortFunc(places, func(a, b int) int {
		if c := all[a].key.compare(all[b].key); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	out := make([]T, len(all))
	for i, place := range places {
		out[i] = all[place].of
	}
	return out
}

// sortByKeys sorts a list by a list of keys. The macro sortBy(x, key) expands to it.
func sortByKeys(list, keys ref.Val) ref.Val {
	if list == types.NullValue {
		return list
	}
	l, ok1 := list.(traits.Lister)
	by, ok2 := keys.(traits.Lister)
	if !ok1 || !ok2 {
		return types.NewErrFromString("no such overload")
	}
	all := make([]keyed[ref.Val], 0, int(l.Size().(types.Int)))
	it, kit := l.Iterator(), by.Iterator()
	for it.HasNext() == types.True && kit.HasNext() == types.True {
		k, bad := sortKeyOf(kit.Next())
		if bad != nil {
			return bad
		}
		all = append(all, keyed[ref.Val]{k, it.Next()})
	}
	return listOf(sortKeyed(all))
}

// sortFields are the arguments that sortBy('…') accepts.
var sortFields = map[string]func(*Model) sortKey{
	"price": func(m *Model) sortKey {
		if !m.Pricing.Input.Known || math.IsNaN(m.Pricing.Input.USD) {
			return sortKey{class: sortMissing}
		}
		return sortKey{float: m.Pricing.Input.USD}
	},
}

func sortByField(list, field ref.Val) ref.Val {
	name, _ := field.(types.String)
	key := sortFields[string(name)]
	if key == nil {
		return types.WrapErr(safef("sortBy has no such field"))
	}
	models, bad := modelsOf(list)
	if bad != nil {
		return bad
	}
	all := make([]keyed[*Model], len(models))
	for i, m := range models {
		all[i] = keyed[*Model]{key(m), m}
	}
	return &modelList{sortKeyed(all)}
}
