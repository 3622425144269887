package identity

import (
	"encoding/hex"
	"maps"
	"strings"
)

// shards is how many maps an Index has. A change of one key copies one of them:
// of 100,000 keys, 400.
const shards = 256

// Index finds access keys. It is immutable: Put and Remove return another Index, which
// shares the unchanged keys with the first. So the holder of an Index sees a consistent
// set of keys, and the swap of an atomic pointer changes the keys for all new requests.
// An Index without keys finds nothing.
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

// Find returns the key of a credential, or nil. It looks up the hash of the credential,
// so the time that it takes reveals nothing about a key.
func (x *Index) Find(credential string) *Key {
	h := HashOf(credential)
	return x.shards[h[0]][h]
}

// Put returns an Index that also has the key. It replaces a key with the same hash.
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

// ByID returns the key with an id, or nil.
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

// Named returns the key with a name, or nil. It looks at all keys.
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
