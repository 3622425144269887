package health

import (
	"sync"
	"sync/atomic"
	"time"

	"weir/policy"
)

// circuit is the health of a cluster, or of one model of a cluster, either for all
// clients or for one access key. A nil circuit is in use and has no history.
type circuit struct {
	model string // empty: it is a cluster's
	key   string // the id of the access key, if it is for this key alone; empty: for all clients

	// state is nil while the circuit is in use. The value that it points to never
	// changes.
	state atomic.Pointer[state]

	mu        sync.Mutex // held by observe
	row       row
	succeeded time.Time // when the newest attempt began that succeeded
}

// state is an ejection, with what is needed to compute the next one.
type state struct {
	policy.Ejection
	// time is how long an ejection lasts if the provider does not say how long.
	time time.Duration
	max  time.Duration
	// before is the state to return to if the running probe shows nothing; nil if no
	// probe is running. The probe began at probed, with a request of the access key
	// first. In a circuit for all clients, a request of one other key, second, may
	// probe at the same time.
	before        *state
	probed        time.Time
	first, second string
}

// longer returns the duration of the next ejection.
func (s *state) longer() time.Duration { return min(2*s.time, max(s.max, s.time)) }

// ejection returns why the circuit is not in use, or nil if it is.
func (c *circuit) ejection() *policy.Ejection {
	if c == nil {
		return nil
	}
	if s := c.state.Load(); s != nil {
		return &s.Ejection
	}
	return nil
}

// until returns when the circuit's ejection ends; the zero time if it is in use.
func (c *circuit) until() time.Time {
	if e := c.ejection(); e != nil {
		return e.Until
	}
	return time.Time{}
}

// turn is a claimed probe, with the state before the claim.
type turn struct {
	circuit *circuit
	was, is *state
}

// release returns a claimed probe that will not be made.
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

// beside reports whether a request of the key may probe while another key's probe is
// running.
func (c *circuit) beside(s *state, key string) bool {
	return c.key == "" && s.before != nil && s.second == "" && s.first != key
}

// probe reports whether a request of a key may start at now. After an ejection, the
// first request that asks may start. Until its result is known, no other may, for as
// long as the ejection would last that follows if it fails, because its result may
// never become known. If the ejection is for all clients, a request of one other key
// may start too: a key whose probes fail or hang must not keep the provider from the
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
		if s.before != nil { // the state before the first probe is the one to return to
			next.before = &state{Ejection: s.Ejection, time: s.time, max: s.max}
		}
	case c.beside(s, key):
		next.second = key
	default:
		return turn{}, false
	}
	return turn{c, s, &next}, c.state.CompareAndSwap(s, &next)
}

// well reports whether the newest attempt before one that began at began, of those that
// count, was a success.
func (c *circuit) well(began time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.succeeded.IsZero() && began.After(c.succeeded) && c.row.weight() == 0 && c.state.Load() == nil
}

// attempt is what was observed of one attempt.
type attempt struct {
	key        string // the id of the client's access key
	model      string
	configured bool // the model is configured
	began      time.Time
	verdict
	cause string
	// alone is set if the failure counts by itself. Any other failure may be caused by
	// one client, and counts only together with failures of another key.
	alone bool
	// hint is how long the provider says that it will refuse requests; 0 if it does
	// not say.
	hint time.Duration
}

// observe records an attempt whose result became known at now. It reports whether the
// attempt ejected the circuit or put it back in use, and returns the resulting state.
//
// Attempts count in the order in which they began: a timeout becomes known long after
// the responses to later requests.
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

// count returns the ejection of a circuit in use after a failure, or nil if the
// failures are not yet enough.
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

// again returns the ejection after a failed probe.
func (s *state) again(now time.Time, a attempt, d policy.OutlierDetection) *state {
	lasts := min(a.hint, d.MaxEjectionTime)
	if lasts <= 0 {
		lasts = s.time
	}
	next := &state{Ejection: s.Ejection, time: s.time, max: d.MaxEjectionTime}
	next.Cause, next.Until = a.cause, now.Add(lasts)
	return next
}

// without returns the state after a probe that showed nothing, or nil if the attempt
// was not a probe.
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

// prolonged returns the same ejection with a later end.
func (s *state) prolonged(t time.Time) *state {
	next := *s
	next.Until = t
	return &next
}
