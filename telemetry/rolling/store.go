package rolling

import (
	"maps"
	"strings"
	"sync"
	"time"
)

// MinWindow and MaxWindow bound the window of a Store.
const (
	MinWindow = time.Second
	MaxWindow = time.Hour
)

// maxEntries bounds the models, and the keys, of a Store. A configuration has far
// fewer; the bound matters if a caller asks for names that a client made up.
const maxEntries = 10_000

// modelID identifies a model of a provider.
type modelID struct{ provider, model string }

// Store holds the numbers of all models and provider keys. Its methods may be called
// concurrently.
type Store struct {
	clock clock

	mu     sync.RWMutex // of the maps
	models map[modelID]*Model
	keys   map[string]*Key

	// otherModel and otherKey receive observations when there is no room for another
	// entry. They are never read.
	otherModel *Model
	otherKey   *Key
}

// New returns a Store whose numbers cover window, which is clamped to MinWindow and
// MaxWindow.
func New(window time.Duration) *Store {
	window = min(max(window, MinWindow), MaxWindow)
	c := clock{origin: time.Now(), slot: window / slots}
	return &Store{
		clock: c, models: map[modelID]*Model{}, keys: map[string]*Key{},
		otherModel: &Model{ring: newRing(c)}, otherKey: &Key{ring: newRing(c)},
	}
}

// Model returns the numbers of a model, and creates them if needed. The same names
// return the same Model until Retain drops it. The store copies the names.
func (s *Store) Model(provider, model string) *Model {
	if m := find(s, s.models, modelID{provider, model}); m != nil {
		return m
	}
	id := modelID{strings.Clone(provider), strings.Clone(model)}
	return add(s, s.models, id, s.otherModel, func() *Model { return &Model{ring: newRing(s.clock)} })
}

// Key returns the numbers of a provider's key, and creates them if needed, like Model.
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

// Retain drops the models and keys for which the functions return false: those that a
// new configuration no longer has. Call it after the new configuration is current,
// because an observation creates a dropped entry again.
func (s *Store) Retain(model func(provider, model string) bool, key func(id string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.models, func(id modelID, _ *Model) bool { return !model(id.provider, id.model) })
	maps.DeleteFunc(s.keys, func(id string, _ *Key) bool { return !key(id) })
}

// Interval returns how often Tick must be called: every twentieth of the window, but
// at least 100 ms and at most 1 s apart. Numbers that are read are at most that old.
func (s *Store) Interval() time.Duration {
	return min(max(s.clock.slot*slots/20, 100*time.Millisecond), time.Second)
}

// Tick updates the numbers that are read: it adds what was observed since the last
// call, and drops what is older than the window.
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
