package rolling

import (
	"sync"
	"sync/atomic"
	"time"
)

// Class is the result of an attempt.
type Class uint8

const (
	// OK: the provider responded without an error.
	OK Class = iota
	// Timeout: the attempt's timeout passed, or the status was 408 or 504.
	Timeout
	// RateLimit: status 429.
	RateLimit
	// Client: any other status from 400 to 499.
	Client
	// Server: any other status from 500, a failure to connect, or a connection
	// that broke.
	Server

	classes = iota
)

// Outcome is what was observed of one attempt.
type Outcome struct {
	Class Class
	// Upstream is how long the whole attempt took; 0 means unknown.
	Upstream time.Duration
	// FirstToken is how long the first token took; 0 means unknown, or not a stream.
	FirstToken time.Duration
}

// Errors are shares of all attempts, from 0 to 1. ErrorTotal is the sum of the
// others.
type Errors struct {
	ErrorTotal     float64
	ErrorTimeout   float64
	ErrorRateLimit float64
	ErrorClient    float64
	ErrorServer    float64
}

// Numbers are the numbers of a model; all are 0 if nothing was observed. Latencies are
// in milliseconds and of successful attempts only: a provider that refuses quickly
// must not look fast.
type Numbers struct {
	RequestCount int64 // attempts
	UpstreamAvg  float64
	UpstreamP95  float64 // off by at most 4.8 %
	TTFTAvg      float64
	TTFTP95      float64 // off by at most 4.8 %
	Errors
}

// counts are the attempts by class: up to 2 billion of each in a window.
type counts [classes]int32

func (c *counts) total() int64 {
	var n int64
	for _, v := range c {
		n += int64(v)
	}
	return n
}

func (c *counts) subtract(o *counts) {
	for i := range c {
		c[i] -= o[i]
	}
}

func (c *counts) errors() Errors {
	total := c.total()
	if total == 0 {
		return Errors{}
	}
	share := func(n int64) float64 { return float64(n) / float64(total) }
	return Errors{
		ErrorTotal:     share(total - int64(c[OK])),
		ErrorTimeout:   share(int64(c[Timeout])),
		ErrorRateLimit: share(int64(c[RateLimit])),
		ErrorClient:    share(int64(c[Client])),
		ErrorServer:    share(int64(c[Server])),
	}
}

// slot is what was observed in one part of the window.
type slot struct {
	counts
	upstream, first hist
}

// window holds all slots, and their sum.
type window struct {
	sum   slot
	slots [slots]slot
}

// Model collects the numbers of a model of a provider. A Model that was observed takes
// 33 KB, any other 100 bytes.
type Model struct {
	numbers atomic.Pointer[Numbers]

	mu      sync.Mutex
	ring    ring
	window  *window // nil when nothing was observed
	changed bool    // something was observed since numbers were made
}

// Observe counts an attempt that ended at now. It allocates only the first
// time, and after a whole window without attempts.
func (m *Model) Observe(now time.Time, o Outcome) {
	if o.Class >= classes {
		return
	}
	upstream, first := bucketOf(o.Upstream), bucketOf(o.FirstToken)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.window == nil {
		m.window = new(window)
	}
	m.advance(now)
	m.changed = true
	s := &m.window.slots[place(m.ring.head)]
	for _, s := range [...]*slot{s, &m.window.sum} {
		s.counts[o.Class]++
		if o.Class != OK {
			continue
		}
		if o.Upstream > 0 {
			s.upstream.add(o.Upstream, upstream)
		}
		if o.FirstToken > 0 {
			s.first.add(o.FirstToken, first)
		}
	}
}

// Read returns the numbers as of the last Tick, or nil if all are 0. The returned
// value never changes.
func (m *Model) Read() *Numbers { return m.numbers.Load() }

func (m *Model) advance(now time.Time) {
	m.ring.advance(now, func(i int) {
		s := &m.window.slots[i]
		if s.total() == 0 {
			return
		}
		sum := &m.window.sum
		sum.counts.subtract(&s.counts)
		sum.upstream.subtract(&s.upstream)
		sum.first.subtract(&s.first)
		*s = slot{}
		m.changed = true
	})
}

func (m *Model) tick(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.window == nil {
		return
	}
	m.advance(now)
	if !m.changed {
		return
	}
	m.changed = false
	sum := &m.window.sum
	n := sum.total()
	if n == 0 {
		m.window = nil
		m.numbers.Store(nil)
		return
	}
	m.numbers.Store(&Numbers{
		RequestCount: n,
		UpstreamAvg:  sum.upstream.avg(),
		UpstreamP95:  sum.upstream.p95(),
		TTFTAvg:      sum.first.avg(),
		TTFTP95:      sum.first.p95(),
		Errors:       sum.errors(),
	})
}
