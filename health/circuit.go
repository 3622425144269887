package health

import (
	"sync"
	"sync/atomic"
	"time"

	"weir/policy"
)

// circuit is how a cluster fares, or one of its models. Of a nil circuit
// nothing is known.
type circuit struct {
	model string // empty: it is a cluster's

	// state is nil while the circuit is in use. What it points to is not
	// changed.
	state atomic.Pointer[state]

	mu       sync.Mutex // of what observes
	failures int        // in a row; a timeout is two
	// When the newest attempts began that failed and that succeeded.
	failed, succeeded time.Time
}

// state is an ejection, and what the next one is made of.
type state struct {
	policy.Ejection
	// time is how long an ejection lasts of which the provider says nothing.
	time time.Duration
	// before is what the probe that is under way goes back to if it comes to
	// nothing; nil: none is. The probe began at probed.
	before *state
	probed time.Time
	max    time.Duration
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

// probe says whether a request may start at now. After an ejection, the first
// that asks may. Until it is known how that one fared, no other may, for as long
// as the ejection would last that follows if it fails: it may never be known.
// What it gives is for release.
func (c *circuit) probe(now time.Time) (*state, bool) {
	if c == nil {
		return nil, true
	}
	s := c.state.Load()
	if s == nil {
		return nil, true
	}
	if now.Before(s.Until) {
		return nil, false
	}
	next := *s
	next.time = s.longer()
	next.Until, next.probed, next.before = now.Add(next.time), now, s
	if s.before != nil { // it is not needed twice
		next.before = &state{Ejection: s.Ejection, time: s.time, max: s.max}
	}
	return &next, c.state.CompareAndSwap(s, &next)
}

// release takes back a probe that is not made.
func (c *circuit) release(probe *state) {
	if probe != nil {
		c.state.CompareAndSwap(probe, probe.before)
	}
}

// attempt is what is observed of one: when it began, and how it ended.
type attempt struct {
	model      string
	configured bool // the model is
	began      time.Time
	verdict
	cause string
	// hint is how long the provider says that it will refuse; 0: it does not.
	hint time.Duration
}

// observe takes in an attempt of which is learnt at now. It says whether the
// circuit is ejected or back in use thereby, and the state that it is in now.
//
// Attempts count in the order in which they began: a timeout becomes known
// long after answers to requests that came later.
func (c *circuit) observe(now time.Time, a attempt, d policy.OutlierDetection) (*policy.Ejection, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed.After(now) || c.succeeded.After(now) { // the clock was set back
		c.failed, c.succeeded = time.Time{}, time.Time{}
	}
	switch a.verdict {
	case success:
		if a.began.After(c.succeeded) {
			c.succeeded = a.began
		}
		if !a.began.After(c.failed) {
			return nil, false
		}
		c.failures = 0
		return nil, c.state.Swap(nil) != nil
	case failure, timeout:
		if !a.began.After(c.succeeded) {
			return nil, false
		}
		if a.began.After(c.failed) {
			c.failed = a.began
		}
	}
	for {
		s := c.state.Load()
		var next *state
		told := false
		switch probe := s != nil && s.before != nil && !a.began.Before(s.probed); {
		case a.verdict == nothing && !probe:
			return nil, false
		case a.verdict == nothing:
			next = s.before // the next request may probe at once
		case s == nil:
			next, told = c.count(now, a, d), true
		case probe:
			next, told = s.again(now, a, d), true
		case now.Add(a.hint).After(s.Until) && a.hint > 0:
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

// count adds a failure of a circuit in use; nil: that ejects it not yet.
func (c *circuit) count(now time.Time, a attempt, d policy.OutlierDetection) *state {
	lasts := min(a.hint, d.MaxEjectionTime)
	if c.failures += a.verdict.weight(); c.failures < d.ConsecutiveFailures && lasts <= 0 {
		return nil
	}
	c.failures = 0
	if lasts <= 0 {
		lasts = d.BaseEjectionTime
	}
	return &state{
		Ejection: policy.Ejection{Model: c.model, Cause: a.cause, Since: now, Until: now.Add(lasts)},
		time:     d.BaseEjectionTime, max: d.MaxEjectionTime,
	}
}

// again is the ejection after a probe that failed.
func (s *state) again(now time.Time, a attempt, d policy.OutlierDetection) *state {
	lasts := min(a.hint, d.MaxEjectionTime)
	if lasts <= 0 {
		lasts = s.time
	}
	return &state{
		Ejection: policy.Ejection{Model: s.Model, Cause: a.cause, Since: s.Since, Until: now.Add(lasts)},
		time:     s.time, max: d.MaxEjectionTime,
	}
}

// prolonged is the same ejection that lasts longer.
func (s *state) prolonged(t time.Time) *state {
	next := *s
	next.Until = t
	return &next
}
