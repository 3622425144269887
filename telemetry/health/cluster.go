package health

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/policy"
	"weir/telemetry/accesslog"
)

// cluster is the health of one cluster: for all clients, and for each access key that
// has met failures there.
type cluster struct {
	view // of all clients

	// keys are the views of access keys, by their ids; nil if there are none. The map
	// never changes: it is replaced.
	keys atomic.Pointer[map[string]*view]
	kept sync.Mutex // held while keys is replaced
}

// view is the health of a cluster as all clients, or one access key, have met it: of
// the cluster itself, and of each model that its provider limits.
type view struct {
	key string // the id of the access key; empty: of all clients
	all circuit

	// models are those that the provider has limited, or that failed while others did
	// not, by the provider's names; nil if there are none. The map never changes: it is replaced.
	models atomic.Pointer[map[string]*limited]
	mu     sync.Mutex // held while models is replaced
}

// limited is a model whose rate the provider has limited.
type limited struct {
	circuit
	configured bool
}

// Clients may invent names of models, and a provider may respond to all of them with 429:
// these constants bound what is kept for a cluster.
const (
	maxModels    = 100 // of all clients
	maxKeyModels = 20  // of an access key
	maxKeys      = 1000
)

// ejectionFor returns why the cluster is not in use for a model and an access key, or
// nil if it is in use.
func (c *cluster) ejectionFor(key, model string) *policy.Ejection {
	if c == nil {
		return nil
	}
	if e := c.ejection(model); e != nil {
		return e
	}
	return c.ofKey(key).ejection(model)
}

func (v *view) ejection(model string) *policy.Ejection {
	if v == nil {
		return nil
	}
	if e := v.all.ejection(); e != nil {
		return e
	}
	return v.ofModel(model).ejection()
}

// circuits returns the circuits that apply to a request of an access key for a model:
// those of the cluster and of the model, for all clients and for the key.
func (c *cluster) circuits(key, model string) (out [4]*circuit) {
	out[0], out[1] = c.ofModel(model), &c.all
	if v := c.ofKey(key); v != nil {
		out[2], out[3] = v.ofModel(model), &v.all
	}
	return out
}

// mayProbe reports whether claim would let a request start at the cluster at now.
func (c *cluster) mayProbe(key, model string, now time.Time) bool {
	if c == nil {
		return false
	}
	for _, one := range c.circuits(key, model) {
		if !one.open(key, now) {
			return false
		}
	}
	return true
}

// claim reports whether a request of an access key for a model may start at the
// cluster at now. It may if it may probe every circuit that is ejected.
func (c *cluster) claim(key, model string, now time.Time) bool {
	if !c.mayProbe(key, model, now) {
		return false // without claiming any of the others
	}
	circuits := c.circuits(key, model)
	var turns [len(circuits)]turn
	for i, one := range circuits {
		t, ok := one.probe(key, now)
		if !ok { // another request was faster
			for _, t := range turns[:i] {
				t.release()
			}
			return false
		}
		turns[i] = t
	}
	return true
}

// ofKey returns the view of an access key, or nil if the key has met no failure.
func (c *cluster) ofKey(key string) *view {
	if keys := c.keys.Load(); keys != nil {
		return (*keys)[key]
	}
	return nil
}

// ofModel returns the circuit of a model, or nil if the provider has not limited it.
func (v *view) ofModel(model string) *circuit {
	if models := v.models.Load(); models != nil {
		if m := (*models)[model]; m != nil {
			return &m.circuit
		}
	}
	return nil
}

// observe records an attempt. If single is set, there is one client. Otherwise the
// attempt counts for its access key, and together with those of other keys for all
// clients.
func (c *cluster) observe(now time.Time, a attempt, single bool, d policy.OutlierDetection, tell func(*circuit, *policy.Ejection)) {
	shared := a
	shared.alone = single || a.cause == accesslog.CauseConnectFailure
	c.view.observe(now, shared, d, tell)
	if single {
		return
	}
	own := c.ofKey(a.key)
	if own == nil && (a.verdict == failure || a.verdict == timeout) {
		own = c.keep(a.key, now)
	}
	if own != nil {
		a.alone = true
		own.observe(now, a, d, tell)
	}
}

// observe records an attempt. A 429 concerns the requested model, any other failure
// the cluster, and a success both. But a failure right after a success of the cluster may
// well be the model's alone: it counts for both, so that a model that always fails is
// ejected although another one, to which its requests fail over, succeeds every time.
func (v *view) observe(now time.Time, a attempt, d policy.OutlierDetection, tell func(*circuit, *policy.Ejection)) {
	all, one := a, a
	switch {
	case a.verdict == success:
	case a.cause == accesslog.CauseRateLimit:
		all.verdict = nothing
	case !v.all.well(a.began):
		one.verdict = nothing
	}
	if e, told := v.all.observe(now, all, d); told {
		tell(&v.all, e)
	}
	m := v.ofModel(a.model)
	if m == nil && (one.verdict == failure || one.verdict == timeout) {
		m = v.limit(a.model, a.configured, now)
	}
	if m == nil {
		return
	}
	if e, told := m.observe(now, one, d); told {
		tell(m, e)
	}
}

// keep adds the view of an access key. If there are too many, it replaces a view that
// is not ejected, or else the one whose ejection ends first.
func (c *cluster) keep(key string, now time.Time) *view {
	c.kept.Lock()
	defer c.kept.Unlock()
	if v := c.ofKey(key); v != nil {
		return v
	}
	next := map[string]*view{}
	if keys := c.keys.Load(); keys != nil {
		next = maps.Clone(*keys)
	}
	if len(next) >= maxKeys {
		first := slices.MinFunc(slices.Collect(maps.Values(next)), func(a, b *view) int { return a.until().Compare(b.until()) })
		delete(next, first.key)
	}
	v := &view{key: strings.Clone(key)} // it is a part of what Envoy sent
	v.all.key = v.key
	next[v.key] = v
	c.keys.Store(&next)
	return v
}

// retain drops the views of access keys whose ids are not known.
func (c *cluster) retain(known func(id string) bool) {
	c.kept.Lock()
	defer c.kept.Unlock()
	keys := c.keys.Load()
	if keys == nil {
		return
	}
	next := maps.Clone(*keys)
	maps.DeleteFunc(next, func(id string, _ *view) bool { return !known(id) })
	if len(next) == 0 {
		c.keys.Store(nil)
	} else {
		c.keys.Store(&next)
	}
}

// until returns the end of the view's last ejection.
func (v *view) until() time.Time {
	out := v.all.until()
	if models := v.models.Load(); models != nil {
		for _, m := range *models {
			out = later(out, m.until())
		}
	}
	return out
}

// limit adds a model that the provider limits. It returns nil if there is no room.
func (v *view) limit(model string, configured bool, now time.Time) *circuit {
	v.mu.Lock()
	defer v.mu.Unlock()
	if m := v.ofModel(model); m != nil {
		return m
	}
	room := maxModels
	if v.key != "" {
		room = maxKeyModels
	}
	next := map[string]*limited{}
	if models := v.models.Load(); models != nil {
		next = maps.Clone(*models)
	}
	if len(next) >= room {
		last := slices.MinFunc(slices.Collect(maps.Values(next)), func(a, b *limited) int { return a.worth(b, now) })
		if last.configured && !configured && last.until().After(now) {
			return nil
		}
		delete(next, last.model)
	}
	m := &limited{configured: configured}
	m.key, m.model = v.key, strings.Clone(model) // it is a part of what Envoy sent
	next[m.model] = m
	v.models.Store(&next)
	return &m.circuit
}

// worth compares two models by how much is lost when one is dropped: least for one
// that is not ejected or whose ejection is over, then for one that is not configured,
// then for the one whose ejection ends first.
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

// ejections returns the ejections that keep requests of all clients away at now, and
// after them those of access keys. It leaves out an expired ejection of a model or for
// a key: no request may ever ask for it again.
func (c *cluster) ejections(now time.Time) []*policy.Ejection {
	out := c.view.ejections(nil, now)
	if keys := c.keys.Load(); keys != nil {
		for _, id := range slices.Sorted(maps.Keys(*keys)) {
			out = (*keys)[id].ejections(out, now)
		}
	}
	return out
}

func (v *view) ejections(out []*policy.Ejection, now time.Time) []*policy.Ejection {
	if e := v.all.ejection(); e != nil && (v.key == "" || e.Until.After(now)) {
		out = append(out, e)
	}
	if models := v.models.Load(); models != nil {
		for _, name := range slices.Sorted(maps.Keys(*models)) {
			if e := (*models)[name].ejection(); e != nil && e.Until.After(now) {
				out = append(out, e)
			}
		}
	}
	return out
}
