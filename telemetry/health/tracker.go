package health

import (
	"maps"
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
	clusters atomic.Pointer[map[string]*Cluster]

	mu    sync.Mutex
	known map[string]*Cluster // also those of policies that are not in force
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
	t := &Tracker{now: now, tell: tell, known: map[string]*Cluster{}}
	t.clusters.Store(&map[string]*Cluster{})
	return t
}

// Cluster gives what is known of a cluster, which is nothing if it is asked for
// the first time. The same name gives the same Cluster until Adopt forgets it.
func (t *Tracker) Cluster(name string) policy.Health {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.known[name]
	if !ok {
		c = &Cluster{}
		t.known[name] = c
	}
	return c
}

// Adopt goes by a policy and access keys that are now in force, and forgets other
// clusters and keys.
func (t *Tracker) Adopt(p *policy.Policy, keys *identity.Index) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[string]*Cluster{}
	if p.OutlierDetection == nil {
		t.settings.Store(nil)
	} else {
		single := keys.Len() < 2
		t.settings.Store(&settings{p.Failover, *p.OutlierDetection, single})
		for _, c := range p.Clusters {
			if k, ok := t.known[c.Name]; ok {
				k.retain(func(id string) bool { return !single && keys.ByID(id) != nil })
				next[c.Name] = k
			}
		}
	}
	t.known = maps.Clone(next)
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
	if c := (*t.clusters.Load())[cluster]; c != nil {
		return c.ejections(t.now())
	}
	return nil
}

func (t *Tracker) observe(name string, now time.Time, a attempt, s *settings) {
	c := (*t.clusters.Load())[name]
	if c == nil {
		return
	}
	c.observe(now, a, s.single, s.outliers, func(of *circuit, e *policy.Ejection) { t.tell(Event{name, of.key, of.model, e}) })
}
