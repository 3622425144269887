package policy

import (
	"slices"
	"time"

	"weir/identity"
	"weir/metadata"
	"weir/policy/config"
	"weir/policy/expression"
)

// Health is the state of the clusters while a request is planned. Reading it changes
// nothing: if the first attempt is a probe, its caller claims the probe. Its methods may be
// called concurrently and do not block. key is the id of an access key, empty for clients
// without one; model is the name that the provider receives.
type Health interface {
	// Ejection returns why requests of the key for the model should not start at the
	// cluster, or nil if they may.
	Ejection(cluster, key, model string) *Ejection
	// MayProbe reports whether one of them may start there at now nevertheless, to find
	// out whether the cluster has recovered.
	MayProbe(cluster, key, model string, now time.Time) bool
}

// Ejection is the state of an ejected cluster, or of an ejected model of a cluster: its
// attempts come after all others. It is immutable.
type Ejection struct {
	Key   string // the id of the only access key affected; empty: all
	Model string // as it is sent; empty: every model
	Cause string // of the attempt that led to it, or that prolonged it
	Since time.Time
	// Until is when the next request may start there.
	Until time.Time
}

// OutlierDetection configures when a cluster is ejected.
type OutlierDetection struct {
	ConsecutiveFailures int
	BaseEjectionTime    time.Duration
	MaxEjectionTime     time.Duration
}

// keyID returns the id of a key, empty for the anonymous client.
func keyID(key *identity.Key) string {
	if key == nil {
		return ""
	}
	return key.ID
}

// ejection returns why an attempt follows others, or nil.
func (r *Request) ejection(a *Attempt) *Ejection {
	if r.Health == nil {
		return nil
	}
	return r.Health.Ejection(a.Cluster.Name, keyID(r.Key), a.Model)
}

// try is an attempt before anything is made for it.
type try struct {
	choice  int // index
	cluster *Cluster
}

// starts reports whether requests may start at a cluster, with a model as it is sent: it is
// not ejected, or this request may probe it.
func (r *Request) starts(cluster *Cluster, model string) bool {
	key := keyID(r.Key)
	return r.Health.Ejection(cluster.Name, key, model) == nil || r.Probe && r.Health.MayProbe(cluster.Name, key, model, r.Now)
}

// candidateHealth tells strategies which candidates of a request are ejected.
type candidateHealth struct {
	request *Request
	choice  choice // that a key is chosen for
}

// ModelEjected implements expression.Health: no key of the model's provider may start.
func (h *candidateHealth) ModelEjected(m *expression.Model) bool {
	var surface *surface
	var sent string
	switch of := m.Tag.(type) {
	case *choice:
		surface, sent = of.surface, of.sent
	case *model:
		surface, sent = of.provider.serves(h.request.Endpoint), of.sent
	}
	if surface == nil {
		return false
	}
	return !slices.ContainsFunc(surface.clusters, func(c *Cluster) bool { return h.request.starts(c, sent) })
}

// KeyEjected implements expression.Health.
func (h *candidateHealth) KeyEjected(k *expression.Key) bool {
	return !h.request.starts(h.choice.surface.clusters[k.Tag.(int)], h.choice.sent)
}

// order moves the attempts at ejected clusters, and those with ejected models, behind the
// others; both groups keep their order. Only the attempt that would be the first without
// ejections may be a probe: a later attempt might never be made. It reports whether the
// first attempt is a probe.
func (r *Request) order(tries []try, choices []choice) (probe bool) {
	if len(tries) < 2 || r.Health == nil {
		return false
	}
	key := keyID(r.Key)
	ejected := 0
	var behind [metadata.MaxAttempts]try
	front := 0
	for _, s := range tries {
		name, model := s.cluster.Name, choices[s.choice].sent
		out := r.Health.Ejection(name, key, model) != nil
		if out && front == 0 && r.Probe && r.Health.MayProbe(name, key, model, r.Now) {
			out, probe = false, true
		}
		if out {
			behind[ejected] = s
			ejected++
			continue
		}
		tries[front] = s
		front++
	}
	copy(tries[front:], behind[:ejected])
	return probe
}

// outlierDetection reads when clusters are ejected. Without telemetry, nothing is known of
// attempts.
func (l *loader) outlierDetection(p *Policy, g *config.GatewayConfig, path string) {
	c := config.OutlierDetectionConfig{}
	if g.OutlierDetection != nil {
		c = *g.OutlierDetection
	}
	d := &OutlierDetection{ConsecutiveFailures: config.DefaultConsecutiveFailures}
	if c.ConsecutiveFailures != 0 {
		d.ConsecutiveFailures = c.ConsecutiveFailures
	}
	if d.ConsecutiveFailures < 1 || d.ConsecutiveFailures > config.MaxConsecutiveFailures {
		l.problem(path+".consecutive_failures", "must be from 1 to %d", config.MaxConsecutiveFailures)
	}
	d.BaseEjectionTime = l.duration(path+".base_ejection_time", c.BaseEjectionTime, config.DefaultBaseEjectionTime)
	d.MaxEjectionTime = l.duration(path+".max_ejection_time", c.MaxEjectionTime, config.DefaultMaxEjectionTime)
	if d.MaxEjectionTime < d.BaseEjectionTime {
		l.problem(path+".max_ejection_time", "%s is less than base_ejection_time, %s", d.MaxEjectionTime, d.BaseEjectionTime)
	}
	if p.Telemetry && !c.Disabled {
		p.OutlierDetection = d
	}
}
