package policy

import (
	"time"

	"weir/identity"
	"weir/metadata"
	"weir/policy/config"
)

// Health is how a cluster fares, as far as its last attempts tell. Plans are
// made with it; whoever observes attempts keeps it. Its methods may be called
// at the same time, and do not wait.
type Health interface {
	// Ejection says why requests of an access key for a model, as it is sent, are to
	// start elsewhere; nil: they need not. The key is known by its id, which is
	// empty where there are no access keys.
	Ejection(key, model string) *Ejection
	// Probe reports whether, in spite of that, one request of the key for the model
	// may start at the cluster at now, to find out. That request must then start
	// there.
	Probe(key, model string, now time.Time) bool
}

// Ejection is the state of a cluster whose attempts go behind those of others,
// or of one of its models. It is not changed once it is there.
type Ejection struct {
	Key   string // the id of the access key that alone it is for; empty: it is for all
	Model string // as it is sent; empty: every model
	Cause string // of the attempt that led to it, or that prolonged it
	Since time.Time
	// Until is when the next request may start there.
	Until time.Time
}

// OutlierDetection says when a cluster is ejected.
type OutlierDetection struct {
	ConsecutiveFailures int
	BaseEjectionTime    time.Duration
	MaxEjectionTime     time.Duration
}

// Ejection is the cluster's or the model's for an access key, nil where they are
// in use or nothing is known of them.
func (c *Cluster) Ejection(key *identity.Key, model string) *Ejection {
	if c.health == nil {
		return nil
	}
	return c.health.Ejection(keyID(key), model)
}

// keyID is the id of a key, empty for the anonymous client.
func keyID(key *identity.Key) string {
	if key == nil {
		return ""
	}
	return key.ID
}

// try is an attempt before anything is made for it.
type try struct {
	choice  int // index
	cluster *Cluster
}

// order puts the attempts at ejected clusters, and those with ejected models,
// behind the others; both keep their order. Only that with which the request
// would start otherwise is a probe: at a later place it might never be made. An
// explanation probes nothing.
func order(tries []try, choices []choice, key *identity.Key, now time.Time, t *Trace) {
	if len(tries) < 2 {
		return
	}
	ejected := 0
	var behind [metadata.MaxAttempts]try
	front := 0
	for _, s := range tries {
		model := choices[s.choice].sent
		out := s.cluster.Ejection(key, model) != nil
		if out && front == 0 && t == nil && s.cluster.health.Probe(keyID(key), model, now) {
			out = false
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
}

// outlierDetection reads when clusters are ejected. Without telemetry nothing
// is learnt of attempts.
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

// observed gives clusters their health.
func (l *loader) observed(p *Policy) {
	if p.OutlierDetection == nil || l.src.Health == nil {
		return
	}
	for _, c := range p.Clusters {
		c.health = l.src.Health(c.Name)
	}
}
