package rolling

import (
	"sync"
	"sync/atomic"
	"time"
)

// quotaLife is how long a remaining quota is considered known if the provider did not
// say when its limit resets: most limits are per minute.
const quotaLife = time.Minute

// Quota is what a provider's response says remains of a key's rate limits. A value
// that it does not contain is nil, or the zero time.
type Quota struct {
	RemainingRequests, RemainingTokens *int64
	// ResetRequests and ResetTokens are the times at which the limits are full again.
	ResetRequests, ResetTokens time.Time
}

// Remaining is what remains of a limit, if that is known.
type Remaining struct {
	Value int64
	Known bool
}

// KeyNumbers are the numbers of a provider's key: 0 and unknown if nothing was
// observed.
type KeyNumbers struct {
	RequestCount int64 // attempts
	Errors
	RemainingRequests Remaining
	RemainingTokens   Remaining
}

// limit is what a provider last said about one of its limits.
type limit struct {
	value int64
	until time.Time // when it stops being known; zero: nothing is known
}

func (l *limit) set(now time.Time, value *int64, reset time.Time) {
	if value == nil {
		return
	}
	if reset.IsZero() {
		reset = now.Add(quotaLife)
	}
	*l = limit{*value, reset}
}

func (l limit) at(now time.Time) Remaining {
	if !now.Before(l.until) {
		return Remaining{}
	}
	return Remaining{l.value, true}
}

// Key collects the numbers of a provider's key.
type Key struct {
	numbers atomic.Pointer[KeyNumbers]

	mu       sync.Mutex
	ring     ring
	sum      counts
	slots    [slots]counts
	requests limit
	tokens   limit
}

// Observe counts an attempt that used the key and ended at now. It allocates
// nothing.
func (k *Key) Observe(now time.Time, class Class) {
	if class >= classes {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.advance(now)
	k.sum[class]++
	k.slots[place(k.ring.head)][class]++
}

// Quota records what a response that arrived at now said. Each limit in q replaces
// what was known of that limit, until its reset; without a reset, for a minute.
func (k *Key) Quota(now time.Time, q Quota) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests.set(now, q.RemainingRequests, q.ResetRequests)
	k.tokens.set(now, q.RemainingTokens, q.ResetTokens)
}

// Read returns the numbers as of the last Tick.
func (k *Key) Read() KeyNumbers {
	if n := k.numbers.Load(); n != nil {
		return *n
	}
	return KeyNumbers{}
}

func (k *Key) advance(now time.Time) {
	k.ring.advance(now, func(i int) {
		k.sum.subtract(&k.slots[i])
		k.slots[i] = counts{}
	})
}

func (k *Key) tick(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.advance(now)
	n := KeyNumbers{
		RequestCount:      k.sum.total(),
		Errors:            k.sum.errors(),
		RemainingRequests: k.requests.at(now),
		RemainingTokens:   k.tokens.at(now),
	}
	if old := k.numbers.Load(); n != (KeyNumbers{}) && (old == nil || n != *old) {
		k.numbers.Store(&n)
	} else if n == (KeyNumbers{}) && old != nil {
		k.numbers.Store(nil)
	}
}
