package rolling

import (
	"maps"
	"strings"
	"sync"
	"time"
)

// The window of a Store is between these.
const (
	MinWindow = time.Second
	MaxWindow = time.Hour
)

// maxEntries bounds the models, and the keys, of a Store. A configuration has
// far fewer; the bound holds when a caller asks for names that a client made.
const maxEntries = 10_000

// modelID names a model of a provider.
type modelID struct{ provider, model string }

// Store holds the numbers of all models and provider keys. All its methods may
// be called at the same time.
type Store struct {
	clock clock

	mu     sync.RWMutex // of the maps
	models map[modelID]*Model
	keys   map[string]*Key

	// These take what is observed when there is no room for another entry.
	// They are never read.
	otherModel *Model
	otherKey   *Key
}

// New makes a store whose numbers cover the given window, which is brought
// between MinWindow and MaxWindow.
func New(window time.Duration) *Store {
	window = min(max(window, MinWindow), MaxWindow)
	c := clock{origin: time.Now(), slot: window / slots}
	return &Store{
		clock: c, models: map[modelID]*Model{}, keys: map[string]*Key{},
		otherModel: &Model{ring: newRing(c)}, otherKey: &Key{ring: newRing(c)},
	}
}

// Model returns the numbers of a model, of which there are none yet if it is
// asked for the first time. The same names give the same Model until Retain
// forgets it. The store keeps copies of names.
func (s *Store) Model(provider, model string) *Model {
	if m := find(s, s.models, modelID{provider, model}); m != nil {
		return m
	}
	id := modelID{strings.Clone(provider), strings.Clone(model)}
	return add(s, s.models, id, s.otherModel, func() *Model { return &Model{ring: newRing(s.clock)} })
}

// Key returns the numbers of a provider's key, in the same way.
func (s *Store) Key(id string) *Key {
	if k := find(s, s.keys, id); k != nil {
		return k
	}
	return add(s, s.keys, strings.Clone(id), s.otherKey, func() *Key { return &Key{ring: newRing(s.clock)} })
}

func find[K comparable, V any](s *Store, in map[K]*V, id K) *V {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return in[id]
}

func add[K comparable, V any](s *Store, to map[K]*V, id K, other *V, fresh func() *V) *V {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := to[id]
	if v == nil && len(to) >= maxEntries {
		return other
	}
	if v == nil {
		v = fresh()
		to[id] = v
	}
	return v
}

// Retain forgets the models and keys for which the functions say false: those
// that a new configuration no longer has. Call it after the new configuration
// is in force, for what is still observed brings an entry back.
func (s *Store) Retain(model func(provider, model string) bool, key func(id string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.models, func(id modelID, _ *Model) bool { return !model(id.provider, id.model) })
	maps.DeleteFunc(s.keys, func(id string, _ *Key) bool { return !key(id) })
}

// Interval is how often Tick is to be called: a twentieth of the window, and
// between 100 ms and 1 s. Numbers that are read are at most that old.
func (s *Store) Interval() time.Duration {
	return min(max(s.clock.slot*slots/20, 100*time.Millisecond), time.Second)
}

// Tick brings what is read up to date: it takes in what was observed since the
// last call, and lets go of what is older than the window.
func (s *Store) Tick(now time.Time) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, m := range s.models {
		m.tick(now)
	}
	for _, k := range s.keys {
		k.tick(now)
	}
}
