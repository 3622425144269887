package health

import (
	"sync"
	"sync/atomic"
	"time"

	"weir/identity"
	"weir/policy"
	"weir/telemetry/accesslog"
)

// Event is a change of the health of a cluster, or of one of its models.
type Event struct {
	Cluster string
	Key     string // the id of the access key, if it concerns this key alone; empty: all clients
	Model   string // as it is sent; empty: the cluster
	// Ejection says why it is not in use: because it was ejected, or because a probe
	// failed. It is nil if the cluster or model is in use again.
	Ejection *policy.Ejection
}

// Tracker tracks the health of clusters. Its methods may be called concurrently.
type Tracker struct {
	now  func() time.Time
	tell func(Event)

	settings atomic.Pointer[settings]
	// clusters are those of the current policy. The map never changes: it is replaced.
	clusters atomic.Pointer[map[string]*cluster]
	mu       sync.Mutex // of Adopt
}

// settings are those of the current configuration.
type settings struct {
	failover policy.Failover
	outliers policy.OutlierDetection
	// single is set if there are fewer than two access keys: clients cannot be told
	// apart.
	single bool
}

// New returns a Tracker that ejects nothing until Adopt gives it a policy. tell is
// called for each Event and must not block.
func New(now func() time.Time, tell func(Event)) *Tracker {
	t := &Tracker{now: now, tell: tell}
	t.clusters.Store(&map[string]*cluster{})
	return t
}

// Ejection implements policy.Health.
func (t *Tracker) Ejection(name, key, model string) *policy.Ejection {
	return t.cluster(name).ejectionFor(key, model)
}

// MayProbe implements policy.Health.
func (t *Tracker) MayProbe(name, key, model string, now time.Time) bool {
	return t.cluster(name).mayProbe(key, model, now)
}

// Claim reports whether a request of an access key for a model may start at the
// cluster at now, as a probe if it is ejected. If it returns true, the request must
// start there. A request may start if it may probe everything that is ejected: the
// cluster and the model, for all clients and for the key.
func (t *Tracker) Claim(name, key, model string, now time.Time) bool {
	return t.cluster(name).claim(key, model, now)
}

// cluster returns the health of a cluster, or nil if the current policy does not have
// it.
func (t *Tracker) cluster(name string) *cluster { return (*t.clusters.Load())[name] }

// Adopt makes p and keys current, and drops other clusters and keys.
func (t *Tracker) Adopt(p *policy.Policy, keys *identity.Index) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[string]*cluster{}
	if p.OutlierDetection == nil {
		t.settings.Store(nil)
	} else {
		single := keys.Len() < 2
		t.settings.Store(&settings{p.Failover, *p.OutlierDetection, single})
		for _, c := range p.Clusters {
			if next[c.Name] = t.cluster(c.Name); next[c.Name] == nil {
				next[c.Name] = &cluster{}
			}
			next[c.Name].retain(func(id string) bool { return !single && keys.ByID(id) != nil })
		}
	}
	t.clusters.Store(&next)
}

// stale is the age from which an attempt is ignored. Envoy reports attempts within
// seconds, but keeps them for longer while no Weir is connected.
const stale = 30 * time.Second

// Attempt records an attempt that has ended. One for what a provider stores says little of
// whether its models work.
func (t *Tracker) Attempt(a *accesslog.Attempt) {
	s := t.settings.Load()
	if s == nil || a.Stored {
		return
	}
	now := t.now()
	if now.Sub(a.Start.Add(a.Duration)) > stale {
		return
	}
	t.observe(a.Cluster, now, attempt{
		key: a.KeyID, model: a.Model, configured: a.ModelLabel != accesslog.OtherLabel,
		began: a.Start, verdict: judge(a, s.failover), cause: a.Cause, hint: hint(a, now),
	}, s)
}

// Responding records that a cluster has begun a good response for a model, to a request
// of an access key that began at began. The response need not end for the cluster and
// the model to be healthy.
func (t *Tracker) Responding(cluster, key, model string, began time.Time) {
	if s := t.settings.Load(); s != nil {
		t.observe(cluster, t.now(), attempt{key: key, model: model, began: began, verdict: success}, s)
	}
}

// Ejections returns the current ejections of a cluster and of its models: those for
// all clients, then those for single access keys.
func (t *Tracker) Ejections(cluster string) []*policy.Ejection {
	if c := t.cluster(cluster); c != nil {
		return c.ejections(t.now())
	}
	return nil
}

func (t *Tracker) observe(name string, now time.Time, a attempt, s *settings) {
	c := t.cluster(name)
	if c == nil {
		return
	}
	c.observe(now, a, s.single, s.outliers, func(of *circuit, e *policy.Ejection) { t.tell(Event{name, of.key, of.model, e}) })
}
