// Package limits counts how often each limit of the gateway was reached.
//
// The code that enforces a limit registers it once, and calls Hit each time that it refuses,
// closes or cuts something because of it. /healthz lists the limits that were
// reached, with what to do; the metrics are weir_limit_reached_total,
// weir_limit_active and weir_limit_value.
//
//	full := registry.Register(limits.Limit{
//		Name:   "concurrent_requests",
//		Advice: "raise limits.max_requests, or add a gateway",
//	})
//	full.SetValue(1000)
//	...
//	full.Hit()
//
// The package enforces nothing and starts no goroutine.
package limits

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Quiet is how long a limit must not be reached until it is no longer active.
const Quiet = time.Minute

// Limit describes a limit.
type Limit struct {
	// Name is the value of the metrics' label, in snake_case. It is unique.
	Name string
	// Advice tells an operator what to do when the limit is reached: one
	// sentence, with the names of the settings.
	Advice string
	// OneClient marks a limit of a single client or access key. Such a limit
	// does not make the gateway's status "degraded": only the others do.
	OneClient bool
	// InUse, if set, returns how much of the limit is in use; for a limit of a single
	// client, by the client that uses the most.
	InUse func() int64
}

// Registry holds the limits of a gateway. Its methods may be called
// concurrently.
type Registry struct {
	log *slog.Logger
	now func() time.Time

	mu       sync.Mutex
	counters []*Counter // by name
}

// New returns an empty registry. now returns the current time. The beginning of each
// period in which a limit is reached is logged as a warning.
func New(log *slog.Logger, now func() time.Time) *Registry {
	return &Registry{log: log, now: now}
}

// Register adds a limit and returns its counter; its metrics exist from then on. If
// the name is already registered, Register returns that counter.
func (r *Registry) Register(l Limit) *Counter {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, found := slices.BinarySearchFunc(r.counters, l.Name, func(c *Counter, name string) int { return cmp.Compare(c.limit.Name, name) })
	if !found {
		r.counters = slices.Insert(r.counters, at, &Counter{registry: r, limit: l})
	}
	return r.counters[at]
}

// Counter counts how often one limit was reached.
type Counter struct {
	registry *Registry
	limit    Limit

	mu          sync.Mutex
	total       uint64
	since, last time.Time
	value       int64
	known       bool // value is set
}

// Hit counts that the limit was reached once.
func (c *Counter) Hit() { c.Add(1) }

// Add counts that the limit was reached n times.
func (c *Counter) Add(n uint64) {
	if n == 0 {
		return
	}
	now := c.registry.now()
	c.mu.Lock()
	begins := c.last.IsZero() || now.Sub(c.last) > Quiet
	if begins {
		c.since = now
	}
	c.total += n
	c.last = now
	c.mu.Unlock()
	if begins {
		c.registry.log.Warn("limit reached", "limit", c.limit.Name, "advice", c.limit.Advice)
	}
}

// SetValue sets the value of the limit, for the metric and for /healthz. It may change
// with the configuration.
func (c *Counter) SetValue(value int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value, c.known = value, true
}

// ClearValue records that the limit is no longer configured.
func (c *Counter) ClearValue() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value, c.known = 0, false
}

// Reached describes a limit that was reached at least once. It is an element of
// /healthz; times are RFC 3339.
type Reached struct {
	Limit string `json:"limit"`
	Value *int64 `json:"value,omitempty"`
	// Active reports whether the limit was reached within the last minute. Since
	// is when the last such period began, Last when the limit was last reached.
	Active bool      `json:"active"`
	Since  time.Time `json:"since"`
	Last   time.Time `json:"last"`
	Total  uint64    `json:"total"`
	Advice string    `json:"advice"`
	// OneClient is set for a limit of a single client or access key.
	OneClient bool `json:"one_client,omitempty"`
}

// Reached returns the limits that were reached since the start, by name.
func (r *Registry) Reached() []Reached {
	out := []Reached{}
	for _, c := range r.list() {
		if s := c.state(); s.Total > 0 {
			out = append(out, s)
		}
	}
	return out
}

// Degraded reports whether any limit is active, except those of a single client.
func (r *Registry) Degraded() bool {
	return slices.ContainsFunc(r.list(), func(c *Counter) bool {
		s := c.state()
		return s.Active && !s.OneClient
	})
}

func (r *Registry) list() []*Counter {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.counters)
}

func (c *Counter) state() Reached {
	now := c.registry.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Reached{
		Limit: c.limit.Name, Advice: c.limit.Advice, OneClient: c.limit.OneClient,
		Active: c.total > 0 && now.Sub(c.last) <= Quiet,
		Since:  c.since, Last: c.last, Total: c.total,
	}
	if value := c.value; c.known {
		s.Value = &value
	}
	return s
}

var (
	reachedTotal = prometheus.NewDesc("weir_limit_reached_total", "Requests or connections that were refused, closed or cut because a limit was reached.", []string{"limit"}, nil)
	active       = prometheus.NewDesc("weir_limit_active", "1 if a limit was reached within the last minute, else 0.", []string{"limit"}, nil)
	inUse        = prometheus.NewDesc("weir_limit_in_use", "How much of a limit is in use, in its own unit. For a limit of a single client: by the client that uses the most.", []string{"limit"}, nil)
	valueOf      = prometheus.NewDesc("weir_limit_value", "The value of a limit, in its own unit.", []string{"limit"}, nil)
)

// Describe implements prometheus.Collector.
func (r *Registry) Describe(to chan<- *prometheus.Desc) {
	to <- reachedTotal
	to <- active
	to <- valueOf
	to <- inUse
}

// Collect implements prometheus.Collector.
func (r *Registry) Collect(to chan<- prometheus.Metric) {
	for _, c := range r.list() {
		s := c.state()
		on := 0.0
		if s.Active {
			on = 1
		}
		to <- prometheus.MustNewConstMetric(reachedTotal, prometheus.CounterValue, float64(s.Total), s.Limit)
		to <- prometheus.MustNewConstMetric(active, prometheus.GaugeValue, on, s.Limit)
		if s.Value != nil {
			to <- prometheus.MustNewConstMetric(valueOf, prometheus.GaugeValue, float64(*s.Value), s.Limit)
		}
		if use := c.limit.InUse; use != nil {
			to <- prometheus.MustNewConstMetric(inUse, prometheus.GaugeValue, float64(use()), s.Limit)
		}
	}
}
