package policy

import (
	"time"

	"weir/identity"
	"weir/metadata"
	"weir/policy/config"
)

// Health is what is known of clusters while a request is planned. Reading it changes
// nothing: whoever makes the plan's first attempt claims the probe that it may be.
// Methods may be called at the same time, and do not wait. A key is an access key's
// id, which is empty for clients without one; a model is as it is sent.
type Health interface {
	// Ejection returns why requests of the key for the model start elsewhere than at
	// the cluster; nil: they need not.
	Ejection(cluster, key, model string) *Ejection
	// MayProbe reports whether one of them may start there at now in spite of that, to
	// find out.
	MayProbe(cluster, key, model string, now time.Time) bool
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

// ejection returns why an attempt follows others; nil: it does not.
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

// order puts the attempts at ejected clusters, and those with ejected models,
// behind the others; both keep their order. Only that with which the request
// would start otherwise may be a probe: at a later place it might never be made. It
// reports whether the first is one.
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
