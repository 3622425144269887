package expression

import (
	"cmp"
	"math"
	"slices"

	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// order sorts models. It is a constant of an optimised expression.
type order struct {
	object
	world  *World
	ranks  []uint32 // of the known models: their places, equal ones sharing one
	key    func(*Model) sortKey
	loop   *predicate           // instead of key
	number func(*Model) float64 // what loop gives, or nil
	wanted int                  // how many of the result are; 0 is all
}

// asked as what is wanted stands for what Input.Most says.
const asked = -1

// maxFirst is how many are found without sorting the rest.
const maxFirst = 32

// order makes an order of a function of the model alone.
func (w *World) order(key func(*Model) sortKey) *order {
	return &order{object: object{kind: ruleKind}, world: w, key: key, ranks: w.ranks(func(m *Model) (sortKey, bool) { return key(m), true })}
}

func (p *predicate) order(w *World) *order {
	o := &order{object: object{kind: ruleKind}, world: w, loop: p}
	if p.counted != nil {
		o.ranks = w.ranks(func(m *Model) (sortKey, bool) {
			k, bad := sortKeyOf(p.once(m))
			return k, bad == nil
		})
	}
	return o
}

// ranks sorts all models of the world: nil if one has no key.
func (w *World) ranks(key func(*Model) (sortKey, bool)) []uint32 {
	all := make([]keyed[int], len(w.models))
	for i, m := range w.models {
		k, ok := key(m)
		if !ok {
			return nil
		}
		all[i] = keyed[int]{k, i}
	}
	sortKeyed(all)
	ranks := make([]uint32, len(all))
	for i := range all {
		ranks[all[i].of] = uint32(i)
		if i > 0 && all[i].key.compare(all[i-1].key) == 0 {
			ranks[all[i].of] = ranks[all[i-1].of]
		}
	}
	return ranks
}

// sort sorts models, or gives the error that makes the plain form decide.
func (o *order) sort(models []*Model, in *run) ref.Val {
	switch {
	case len(models) > placeBits:
	case o.number != nil:
		return o.by(models, in, func(m *Model) (uint64, bool) {
			n := o.number(m)
			return ordered(n), !math.IsNaN(n)
		})
	case o.ranks != nil && !slices.ContainsFunc(models, func(m *Model) bool { return !o.world.knows(m) }):
		return o.by(models, in, func(m *Model) (uint64, bool) { return uint64(o.ranks[m.index-1]) << 32, true })
	}
	all := make([]keyed[*Model], len(models))
	var frame *interpreter.ExecutionFrame
	for i, m := range models {
		all[i].of = m
		if o.loop == nil {
			all[i].key = o.key(m)
			continue
		}
		if frame == nil {
			frame = in.frame(o.loop.variable)
			defer frame.Close()
		}
		in.loop.val = &m.view().model
		k, bad := sortKeyOf(o.loop.exec.Exec(frame))
		if bad != nil {
			return in.giveUp()
		}
		all[i].key = k
	}
	return sorted(all)
}

// ordered gives a number whose order is that of f: its bits, which IEEE 754
// made to be compared, with the negative ones turned around.
func ordered(f float64) uint64 {
	b := math.Float64bits(f + 0) // -0 and 0 are one
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

// by sorts models by keys, of which false is none that this form knows.
func (o *order) by(models []*Model, in *run, key func(*Model) (uint64, bool)) ref.Val {
	var out []*Model
	var ok bool
	if n := o.first(models, in); n > 0 {
		out, ok = first(models, n, key)
	} else {
		out, ok = whole(models, key)
	}
	if !ok {
		return in.giveUp()
	}
	return &modelList{out}
}

// place is a model of a list, and what it is sorted by. Where it was makes the
// sort stable.
type place struct {
	key uint64
	at  uint32
}

func (p place) compare(q place) int {
	if c := cmp.Compare(p.key, q.key); c != 0 {
		return c
	}
	return cmp.Compare(p.at, q.at)
}

// first gives the first n of the sorted models: it keeps the best so far.
func first(models []*Model, n int, key func(*Model) (uint64, bool)) ([]*Model, bool) {
	var buffer [maxFirst]place
	best := buffer[:0]
	for i, m := range models {
		k, ok := key(m)
		if !ok {
			return nil, false
		}
		if len(best) == n {
			if k >= best[n-1].key {
				continue
			}
			best = best[:n-1]
		}
		p := place{k, uint32(i)}
		at, _ := slices.BinarySearchFunc(best, p, place.compare)
		best = slices.Insert(best, at, p)
	}
	out := make([]*Model, len(best))
	for i, p := range best {
		out[i] = models[p.at]
	}
	return out, true
}

// placeBits hold a model's place in a list.
const placeBits = 1<<20 - 1

// whole sorts all models. Numbers alone are sorted several times as fast as
// structures: so it sorts the keys with places in their last bits, and then
// again what is equal but for those.
func whole(models []*Model, key func(*Model) (uint64, bool)) ([]*Model, bool) {
	keys := make([]uint64, 2*len(models))
	keys, packed := keys[:len(models)], keys[len(models):]
	for i, m := range models {
		k, ok := key(m)
		if !ok {
			return nil, false
		}
		keys[i], packed[i] = k, k&^placeBits|uint64(i)
	}
	slices.Sort(packed)
	for i := 0; i < len(packed); {
		k := i + 1
		for k < len(packed) && packed[k]&^placeBits == packed[i]&^placeBits {
			k++
		}
		if k > i+1 {
			slices.SortStableFunc(packed[i:k], func(a, b uint64) int { return cmp.Compare(keys[a&placeBits], keys[b&placeBits]) })
		}
		i = k
	}
	out := make([]*Model, len(models))
	for i, p := range packed {
		out[i] = models[p&placeBits]
	}
	return out, true
}

// first is how many of the sorted models are wanted, 0 for all.
func (o *order) first(models []*Model, in *run) int {
	n := o.wanted
	if n == asked {
		n = in.most
		// A model that is there twice is wanted once. In a list in the order
		// of the world, none is.
		before := 0
		for _, m := range models {
			if m.index <= before || !o.world.knows(m) {
				return 0
			}
			before = m.index
		}
	}
	if n > maxFirst || n >= len(models) {
		return 0
	}
	return n
}
