package rolling

import (
	"sync"
	"sync/atomic"
	"time"
)

// quotaLife is how long a remaining counts as known when the provider did not
// say when its limit resets: limits are mostly per minute.
const quotaLife = time.Minute

// Quota is what a provider's answer says is left of a key's rate limits. What
// it does not say is nil, or the zero time.
type Quota struct {
	RemainingRequests, RemainingTokens *int64
	// At these times the limits are full again.
	ResetRequests, ResetTokens time.Time
}

// Remaining is what is left of a limit, if that is known.
type Remaining struct {
	Value int64
	Known bool
}

// KeyNumbers are those of a provider's key; all are 0 and unknown when nothing
// was observed.
type KeyNumbers struct {
	RequestCount int64 // attempts
	Errors
	RemainingRequests Remaining
	RemainingTokens   Remaining
}

// limit is the last thing that a provider said of one of its limits.
type limit struct {
	value int64
	until time.Time // when it stops being known; zero: nothing is
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

// Key gathers the numbers of a provider's key.
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

// Quota notes what an answer said at now. Each limit that it names replaces
// what was known of that limit, until its reset; without one, for a minute.
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
