package expression

import (
	"slices"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// Random is the randomness of random and randomize: *rand.Rand of
// math/rand/v2.
type Random interface {
	// IntN is uniform in [0, n).
	IntN(n int) int
}

// Health is what random and randomize ask of the elements that they shuffle.
type Health interface {
	// ModelEjected reports whether a request should not start with a model.
	ModelEjected(*Model) bool
	// KeyEjected reports the same of a key of the model that a key strategy chooses for.
	KeyEjected(*Key) bool
}

// drawLast makes random the function fnShuffle where it is the last call of a strategy: the
// element that is drawn comes first, and the others are what is left if it fails. randomize
// there is the same. The last call may be a branch of a conditional.
func (t *tree) drawLast(e ast.Expr) {
	switch {
	case isCall(e, fnRandom) || isCall(e, fnRandomize):
		t.replace(e, fnShuffle, e.AsCall().Args()...)
	case isCall(e, operators.Conditional):
		t.drawLast(e.AsCall().Args()[1])
		t.drawLast(e.AsCall().Args()[2])
	}
}

// random returns one element, each with the same probability.
func random(list, in ref.Val) ref.Val {
	l, ok := list.(traits.Lister)
	if !ok {
		return nullOrMismatch(list)
	}
	n := int(l.Size().(types.Int))
	if n == 0 {
		return types.NullValue
	}
	i := 0
	if r := runOf(in).random; r != nil {
		i = r.IntN(n)
	}
	return l.Get(types.Int(i))
}

// randomize returns all elements in a random order, those that are ejected last.
func randomize(list, in ref.Val) ref.Val { return runOf(in).shuffled(list, 0) }

// shuffleLast is fnShuffle: it returns as much of the order as the caller needs.
func shuffleLast(list, in ref.Val) ref.Val {
	r := runOf(in)
	return r.shuffled(list, r.most)
}

func (r *run) shuffled(list ref.Val, most int) ref.Val {
	l, ok := list.(traits.Lister)
	if !ok {
		return nullOrMismatch(list)
	}
	if l, ok := l.(*modelList); ok {
		if len(l.models) < 2 {
			return l
		}
		if most == 0 || most >= len(l.models) {
			return &modelList{shuffle(slices.Clone(l.models), r.random, most, r.modelEjected)}
		}
		r.shuffling = append(r.shuffling[:0], l.models...)
		return &modelList{slices.Clone(shuffle(r.shuffling, r.random, most, r.modelEjected))}
	}
	var vals []ref.Val
	for it := l.Iterator(); it.HasNext() == types.True; {
		vals = append(vals, it.Next())
	}
	return listOf(shuffle(vals, r.random, 0, r.ejected))
}

func (r *run) modelEjected(m *Model) bool { return r.health != nil && r.health.ModelEjected(m) }

func (r *run) ejected(v ref.Val) bool {
	if o, ok := v.(*object); ok && r.health != nil {
		switch of := o.of.(type) {
		case *Model:
			return r.health.ModelEjected(of)
		case liveKey:
			return r.health.KeyEjected(of.key)
		}
	}
	return false
}

// shuffle changes all into a random order, with what is ejected last. Each order of the
// elements that are not ejected has the same probability, and so has each order of the others
// (Fisher and Yates). If most is not 0, it may return only the first elements of the order, at
// least that many different ones. It asks about no more elements than it draws.
func shuffle[T comparable](all []T, random Random, most int, ejected func(T) bool) []T {
	front := all[:0]
	var behind []T
	for i := range all {
		if most > 0 && len(front) == most {
			return front
		}
		if random != nil {
			j := i + random.IntN(len(all)-i)
			all[i], all[j] = all[j], all[i]
		}
		switch drawn := all[i]; {
		case most > 0 && slices.Contains(front, drawn):
		case ejected(drawn):
			behind = append(behind, drawn)
		default:
			front = append(front, drawn)
		}
	}
	return append(front, behind...)
}
