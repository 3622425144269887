// Package requestkey makes short keys from request ids, for maps of running requests:
// a key keeps no memory of the request alive.
package requestkey

import "hash/maphash"

// Key identifies a request. Two ids have the same key only by chance, and nobody
// outside the process can search for such a pair.
type Key [2]uint64

// Maker makes keys. Those of two Makers are not comparable.
type Maker struct{ seeds [2]maphash.Seed }

// New returns a Maker.
func New() Maker { return Maker{[2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}} }

// Of returns the key of an id.
func (m *Maker) Of(id string) Key {
	return Key{maphash.String(m.seeds[0], id), maphash.String(m.seeds[1], id)}
}
