package health

import (
	"sync"
	"sync/atomic"
	"time"

	"weir/identity"
	"weir/policy"
	"weir/telemetry/accesslog"
)

// Event is a change of a cluster, or of one of its models, that is worth telling.
type Event struct {
	Cluster string
	Key     string // the id of the access key that alone it is for; empty: it is for all
	Model   string // as it is sent; empty: the cluster
	// Ejection is why it is not in use, for the first time or still after a
	// probe; nil: it is in use again.
	Ejection *policy.Ejection
}

// Tracker knows how clusters fare. All its methods may be called at the same
// time.
type Tracker struct {
	now  func() time.Time
	tell func(Event)

	settings atomic.Pointer[settings]
	// clusters are those of the policy in force. The map is never changed: a new
	// one takes the place of the old.
	clusters atomic.Pointer[map[string]*cluster]
	mu       sync.Mutex // of Adopt
}

// settings are those of the configuration in force.
type settings struct {
	failover policy.Failover
	outliers policy.OutlierDetection
	// single says that there are no two access keys: clients are not told apart.
	single bool
}

// New makes a Tracker that ejects nothing before it is given a policy. tell
// must not wait.
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
// cluster at now, to find out whether it is well again. If so, the request must
// start there. It may if it may find out about each that is ejected: the cluster
// and the model, for all clients and for the key.
func (t *Tracker) Claim(name, key, model string, now time.Time) bool {
	return t.cluster(name).claim(key, model, now)
}

// cluster is what is known of a cluster; nil: it is not one of the current policy.
func (t *Tracker) cluster(name string) *cluster { return (*t.clusters.Load())[name] }

// Adopt goes by a policy and access keys that are now in force, and forgets other
// clusters and keys.
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

// stale is the age of news that is none. Envoy tells within seconds; it keeps
// for longer what it could not tell while no Weir was there.
const stale = 30 * time.Second

// Attempt takes in an attempt that has ended.
func (t *Tracker) Attempt(a *accesslog.Attempt) {
	s := t.settings.Load()
	if s == nil {
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

// Answering takes in that a cluster has begun an answer of a model, to a request
// of an access key that began at a time: it need not end for both to be well.
func (t *Tracker) Answering(cluster, key, model string, began time.Time) {
	if s := t.settings.Load(); s != nil {
		t.observe(cluster, t.now(), attempt{key: key, model: model, began: began, verdict: success}, s)
	}
}

// Ejections are those of a cluster and of its models that are in force: for all
// clients, and then for single access keys.
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
