package rolling

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
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
	// The maps are never changed: a new one takes the place of the old.
	models atomic.Pointer[map[modelID]*Model]
	keys   atomic.Pointer[map[string]*Key]
	mu     sync.Mutex // of those who replace the maps

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
	s := &Store{clock: c, otherModel: &Model{ring: newRing(c)}, otherKey: &Key{ring: newRing(c)}}
	s.models.Store(&map[modelID]*Model{})
	s.keys.Store(&map[string]*Key{})
	return s
}

// Model returns the numbers of a model, of which there are none yet if it is
// asked for the first time. The same names give the same Model until Retain
// forgets it. The store keeps copies of names.
func (s *Store) Model(provider, model string) *Model {
	id := modelID{provider, model}
	if m, ok := (*s.models.Load())[id]; ok {
		return m
	}
	id = modelID{strings.Clone(provider), strings.Clone(model)}
	s.mu.Lock()
	defer s.mu.Unlock()
	return add(&s.models, id, s.otherModel, func() *Model { return &Model{ring: newRing(s.clock)} })
}

// Key returns the numbers of a provider's key, in the same way.
func (s *Store) Key(id string) *Key {
	if k, ok := (*s.keys.Load())[id]; ok {
		return k
	}
	id = strings.Clone(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return add(&s.keys, id, s.otherKey, func() *Key { return &Key{ring: newRing(s.clock)} })
}

func add[K comparable, V any](at *atomic.Pointer[map[K]*V], id K, other *V, fresh func() *V) *V {
	old := *at.Load()
	if v, ok := old[id]; ok {
		return v
	}
	if len(old) >= maxEntries {
		return other
	}
	next, v := maps.Clone(old), fresh()
	next[id] = v
	at.Store(&next)
	return v
}

// Retain forgets the models and keys for which the functions say false: those
// that a new configuration no longer has. Call it after the new configuration
// is in force, for what is still observed brings an entry back.
func (s *Store) Retain(model func(provider, model string) bool, key func(id string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	models := maps.Clone(*s.models.Load())
	maps.DeleteFunc(models, func(id modelID, _ *Model) bool { return !model(id.provider, id.model) })
	s.models.Store(&models)
	keys := maps.Clone(*s.keys.Load())
	maps.DeleteFunc(keys, func(id string, _ *Key) bool { return !key(id) })
	s.keys.Store(&keys)
}

// Interval is how often Tick is to be called: a twentieth of the window, and
// between 100 ms and 1 s. Numbers that are read are at most that old.
func (s *Store) Interval() time.Duration {
	return min(max(s.clock.slot*slots/20, 100*time.Millisecond), time.Second)
}

// Tick brings what is read up to date: it takes in what was observed since the
// last call, and lets go of what is older than the window.
func (s *Store) Tick(now time.Time) {
	for _, m := range *s.models.Load() {
		m.tick(now)
	}
	for _, k := range *s.keys.Load() {
		k.tick(now)
	}
}
