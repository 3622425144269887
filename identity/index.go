package identity

import (
	"encoding/hex"
	"maps"
	"strings"
)

// shards is how many maps an Index has. A change of one key copies one of them:
// of 100,000 keys, 400.
const shards = 256

// Index finds access keys. It is immutable: a change makes another Index, which
// shares with the first all that is the same. So whoever holds one sees a
// consistent set of keys, and swapping an atomic pointer changes it for all. An Index
// without keys finds nothing.
type Index struct {
	shards [shards]map[Hash]*Key // by the first byte of the hash
	n      int
}

// NewIndex returns an Index of keys.
func NewIndex(keys map[Hash]*Key) *Index {
	x := &Index{n: len(keys)}
	var sizes [shards]int
	for h := range keys {
		sizes[h[0]]++
	}
	for h, k := range keys {
		if x.shards[h[0]] == nil {
			x.shards[h[0]] = make(map[Hash]*Key, sizes[h[0]])
		}
		x.shards[h[0]][h] = k
	}
	return x
}

// Find returns the key of a credential; nil: there is none. Only the hash of the
// credential is looked up, so the time that it takes tells nothing of a key.
func (x *Index) Find(credential string) *Key {
	h := HashOf(credential)
	return x.shards[h[0]][h]
}

// Put returns an Index that has the key too, in place of one with the same hash.
func (x *Index) Put(h Hash, k *Key) *Index {
	return x.change(h, func(shard map[Hash]*Key) { shard[h] = k })
}

// Remove returns an Index without the key.
func (x *Index) Remove(h Hash) *Index {
	return x.change(h, func(shard map[Hash]*Key) { delete(shard, h) })
}

func (x *Index) change(h Hash, change func(map[Hash]*Key)) *Index {
	next := *x
	shard := maps.Clone(x.shards[h[0]])
	if shard == nil {
		shard = map[Hash]*Key{}
	}
	change(shard)
	next.n += len(shard) - len(x.shards[h[0]])
	next.shards[h[0]] = shard
	return &next
}

// Len returns the number of keys.
func (x *Index) Len() int { return x.n }

// ByID returns the key with an id; nil: there is none.
func (x *Index) ByID(id string) *Key {
	digits, ok := strings.CutPrefix(id, idPrefix)
	first, err := hex.DecodeString(digits)
	if !ok || err != nil || len(first) != idBytes {
		return nil
	}
	for h, k := range x.shards[first[0]] {
		if [idBytes]byte(h[:idBytes]) == [idBytes]byte(first) {
			return k
		}
	}
	return nil
}

// Named returns the key with a name; nil: there is none. It looks at all keys.
func (x *Index) Named(name string) *Key {
	for _, shard := range x.shards {
		for _, k := range shard {
			if k.Name == name {
				return k
			}
		}
	}
	return nil
}
