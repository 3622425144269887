package health

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/accesslog"
	"weir/policy"
)

// Cluster is how one cluster fares: whatever is asked of it, and with each model
// that its provider limits. It is a policy.Health.
type Cluster struct {
	all circuit

	// models are those that the provider has limited, by what it calls them; nil:
	// none. The map is never changed: a new one takes the place of the old.
	models atomic.Pointer[map[string]*limited]
	mu     sync.Mutex // of what puts a map there
}

// limited is a model that its provider has limited.
type limited struct {
	circuit
	configured bool
}

// maxModels bounds what is kept of a cluster's models: clients may invent names,
// and a provider may answer all of them with 429.
const maxModels = 100

// Ejection is why the cluster is not in use for a model; nil: it is.
func (c *Cluster) Ejection(model string) *policy.Ejection {
	if e := c.all.ejection(); e != nil {
		return e
	}
	return c.of(model).ejection()
}

// Probe says whether a request for a model may start at the cluster at now. It
// may if it may find out about each that is ejected: the cluster, the model.
func (c *Cluster) Probe(model string, now time.Time) bool {
	one := c.of(model)
	if now.Before(c.all.until()) {
		return false // without taking the model's turn
	}
	probe, ok := one.probe(now)
	if !ok {
		return false
	}
	if _, ok := c.all.probe(now); !ok {
		one.release(probe) // another request was faster
		return false
	}
	return true
}

// of gives what is known of a model.
func (c *Cluster) of(model string) *circuit {
	if models := c.models.Load(); models != nil {
		if m := (*models)[model]; m != nil {
			return &m.circuit
		}
	}
	return nil
}

// observe takes in an attempt, as circuit does. A 429 is about the model that
// was asked for, any other failure about the cluster, and success about both;
// what is about the one says nothing of the other.
func (c *Cluster) observe(now time.Time, a attempt, d policy.OutlierDetection, tell func(model string, e *policy.Ejection)) {
	all, one := a, a
	switch {
	case a.verdict == success:
	case a.cause == accesslog.CauseRateLimit:
		all.verdict = nothing
	default:
		one.verdict = nothing
	}
	if e, told := c.all.observe(now, all, d); told {
		tell("", e)
	}
	m := c.of(a.model)
	if m == nil && one.verdict == failure {
		m = c.limit(a.model, a.configured, now)
	}
	if m == nil {
		return
	}
	if e, told := m.observe(now, one, d); told {
		tell(m.model, e)
	}
}

// limit adds a model to those that the provider limits; nil: there is no room.
func (c *Cluster) limit(model string, configured bool, now time.Time) *circuit {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.of(model); m != nil {
		return m
	}
	next := map[string]*limited{}
	if models := c.models.Load(); models != nil {
		next = maps.Clone(*models)
	}
	if len(next) >= maxModels {
		last := slices.MinFunc(slices.Collect(maps.Values(next)), func(a, b *limited) int { return a.worth(b, now) })
		if last.configured && !configured && last.until().After(now) {
			return nil
		}
		delete(next, last.model)
	}
	m := &limited{configured: configured}
	m.model = strings.Clone(model) // it is a part of what Envoy sent
	next[m.model] = m
	c.models.Store(&next)
	return &m.circuit
}

// worth compares what would be lost with two models: least with one that is not
// ejected or whose time is over, then with one that is not configured, then with
// the one whose time is over first.
func (m *limited) worth(other *limited, now time.Time) int {
	a, b := m.until(), other.until()
	if m.configured != other.configured && a.After(now) == b.After(now) {
		if m.configured {
			return 1
		}
		return -1
	}
	return a.Compare(b)
}

// ejections are those that keep requests away at now. That of a model whose time
// is over does not, and may be of a name that nobody asks for again.
func (c *Cluster) ejections(now time.Time) []*policy.Ejection {
	var out []*policy.Ejection
	if e := c.all.ejection(); e != nil {
		out = append(out, e)
	}
	if models := c.models.Load(); models != nil {
		for _, name := range slices.Sorted(maps.Keys(*models)) {
			if e := (*models)[name].ejection(); e != nil && e.Until.After(now) {
				out = append(out, e)
			}
		}
	}
	return out
}
