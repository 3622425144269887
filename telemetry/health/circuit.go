package health

import (
	"sync"
	"sync/atomic"
	"time"

	"weir/policy"
)

// circuit is how a cluster fares, or one of its models: for every client, or for
// one access key. Of a nil circuit nothing is known.
type circuit struct {
	model string // empty: it is a cluster's
	key   string // the id of the access key that alone it is for; empty: it is for all

	// state is nil while the circuit is in use. What it points to is not
	// changed.
	state atomic.Pointer[state]

	mu        sync.Mutex // of what observes
	row       row
	succeeded time.Time // when the newest attempt began that succeeded
}

// state is an ejection, and what the next one is made of.
type state struct {
	policy.Ejection
	// time is how long an ejection lasts of which the provider says nothing.
	time time.Duration
	max  time.Duration
	// before is what the probe that is under way goes back to if it comes to
	// nothing; nil: none is. The probe began at probed, by a request of the access
	// key first. In a circuit for all, one request of another key, second, may
	// probe beside it.
	before        *state
	probed        time.Time
	first, second string
}

// longer is the time of the next ejection.
func (s *state) longer() time.Duration { return min(2*s.time, max(s.max, s.time)) }

// ejection is why the circuit is not in use; nil: it is.
func (c *circuit) ejection() *policy.Ejection {
	if c == nil {
		return nil
	}
	if s := c.state.Load(); s != nil {
		return &s.Ejection
	}
	return nil
}

// until is when the circuit's ejection is over. That of one in use always is.
func (c *circuit) until() time.Time {
	if e := c.ejection(); e != nil {
		return e.Until
	}
	return time.Time{}
}

// turn is a probe that was taken, with the state before it.
type turn struct {
	circuit *circuit
	was, is *state
}

// release takes back a probe that is not made.
func (t turn) release() {
	if t.is != nil {
		t.circuit.state.CompareAndSwap(t.is, t.was)
	}
}

// open reports whether probe would let a request of the key start at now.
func (c *circuit) open(key string, now time.Time) bool {
	if c == nil {
		return true
	}
	s := c.state.Load()
	return s == nil || !now.Before(s.Until) || c.beside(s, key)
}

// beside reports whether a request of the key may probe beside the probe that is
// under way.
func (c *circuit) beside(s *state, key string) bool {
	return c.key == "" && s.before != nil && s.second == "" && s.first != key
}

// probe reports whether a request of a key may start at now. After an ejection,
// the first that asks may. Until it is known how that one fared, no other may,
// for as long as the ejection would last that follows if it fails: it may never
// be known. Only where the ejection is for all clients, a request of one other
// key may: a key whose probes fail or hang must not keep the provider from the
// others.
func (c *circuit) probe(key string, now time.Time) (turn, bool) {
	if c == nil {
		return turn{}, true
	}
	s := c.state.Load()
	if s == nil {
		return turn{}, true
	}
	next := *s
	switch {
	case !now.Before(s.Until):
		next.time = s.longer()
		next.Until, next.probed, next.before = now.Add(next.time), now, s
		next.first, next.second = key, ""
		if s.before != nil { // it is not needed twice
			next.before = &state{Ejection: s.Ejection, time: s.time, max: s.max}
		}
	case c.beside(s, key):
		next.second = key
	default:
		return turn{}, false
	}
	return turn{c, s, &next}, c.state.CompareAndSwap(s, &next)
}

// attempt is what is observed of one: when it began, and how it ended.
type attempt struct {
	key        string // the id of the client's access key
	model      string
	configured bool // the model is
	began      time.Time
	verdict
	cause string
	// alone reports whether a failure counts by itself. All others may be caused
	// by one client, and count only together with those of another key.
	alone bool
	// hint is how long the provider says that it will refuse; 0: it does not.
	hint time.Duration
}

// observe takes in an attempt of which is learnt at now. It reports whether the
// circuit is ejected or back in use thereby, and the state that it is in now.
//
// Attempts count in the order in which they began: a timeout becomes known
// long after answers to requests that came later.
func (c *circuit) observe(now time.Time, a attempt, d policy.OutlierDetection) (*policy.Ejection, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.row.newest.After(now) || c.succeeded.After(now) { // the clock was set back
		c.row.forgetTimes()
		c.succeeded = time.Time{}
	}
	switch a.verdict {
	case success:
		if a.began.After(c.succeeded) {
			c.succeeded = a.began
		}
		if !c.row.succeed(a.began) {
			return nil, false
		}
		return nil, c.state.Swap(nil) != nil
	case failure, timeout:
		if !a.began.After(c.succeeded) {
			return nil, false
		}
		c.row.fail(a, d)
	}
	for {
		s := c.state.Load()
		var next *state
		told := false
		switch probe := s != nil && s.before != nil && !a.began.Before(s.probed); {
		case a.verdict == nothing && !probe:
			return nil, false
		case a.verdict == nothing:
			next = s.without(a) // the next request may probe at once
		case s == nil:
			next, told = c.count(now, a, d), true
		case probe && c.row.proves(a, s.probed):
			next, told = s.again(now, a, d), true
		case probe:
		case now.Add(a.hint).After(s.Until) && a.hint > 0 && c.row.proves(a, s.Since):
			next = s.prolonged(now.Add(min(a.hint, d.MaxEjectionTime)))
		}
		if next == nil {
			return nil, false
		}
		if c.state.CompareAndSwap(s, next) { // else a probe began
			return &next.Ejection, told
		}
	}
}

// count decides on a circuit in use after a failure; nil: that ejects it not yet.
func (c *circuit) count(now time.Time, a attempt, d policy.OutlierDetection) *state {
	lasts := min(a.hint, d.MaxEjectionTime)
	if !c.row.several() || c.row.weight() < d.ConsecutiveFailures && lasts <= 0 {
		return nil
	}
	if lasts <= 0 {
		lasts = d.BaseEjectionTime
	}
	return &state{
		Ejection: policy.Ejection{Key: c.key, Model: c.model, Cause: a.cause, Since: now, Until: now.Add(lasts)},
		time:     d.BaseEjectionTime, max: d.MaxEjectionTime,
	}
}

// again is the ejection after a probe that failed.
func (s *state) again(now time.Time, a attempt, d policy.OutlierDetection) *state {
	lasts := min(a.hint, d.MaxEjectionTime)
	if lasts <= 0 {
		lasts = s.time
	}
	next := &state{Ejection: s.Ejection, time: s.time, max: d.MaxEjectionTime}
	next.Cause, next.Until = a.cause, now.Add(lasts)
	return next
}

// without is the state after a probe that came to nothing; nil: it is not
// changed, because the attempt was no probe.
func (s *state) without(a attempt) *state {
	next := *s
	switch {
	case a.alone, a.key == s.first && s.second == "":
		return s.before
	case a.key == s.first:
		next.first, next.second = s.second, ""
	case a.key == s.second:
		next.second = ""
	default:
		return nil
	}
	return &next
}

// prolonged is the same ejection that lasts longer.
func (s *state) prolonged(t time.Time) *state {
	next := *s
	next.Until = t
	return &next
}
