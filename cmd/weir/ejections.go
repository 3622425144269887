package main

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/accesslog"
	"weir/health"
	"weir/policy"
	"weir/telemetry"
)

// sinks are who takes in what Envoy tells.
type sinks struct {
	recorder *telemetry.Recorder
	health   *health.Tracker
}

func (s sinks) Attempt(a *accesslog.Attempt) {
	s.recorder.Attempt(a)
	s.health.Attempt(a)
}

func (s sinks) Request(r *accesslog.Request) { s.recorder.Request(r) }

func (s sinks) Answering(cluster, _ string, began time.Time) { s.health.Answering(cluster, began) }

// healthEjected is an ejected cluster in /healthz.
type healthEjected struct {
	Provider    string    `json:"provider"`
	ProviderKey string    `json:"provider_key,omitempty"` // its id
	Cluster     string    `json:"cluster"`                // Envoy's
	Cause       string    `json:"cause"`
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until"`
}

func (g *gateway) ejected() []healthEjected {
	out := []healthEjected{}
	if p := g.current.Load(); p != nil {
		for _, c := range p.Clusters {
			if e := c.Ejection(); e != nil {
				out = append(out, healthEjected{c.Provider, c.Key, c.Name, e.Cause, e.Since, e.Until})
			}
		}
	}
	return out
}

// ejections are the metrics of ejected clusters. There are as many series as
// the configuration has providers and keys.
type ejections struct {
	current func() *policy.Policy
	log     *slog.Logger
	total   *prometheus.CounterVec
	ejected *prometheus.Desc
}

func newEjections(g *gateway) *ejections {
	e := &ejections{
		current: g.current.Load, log: g.log,
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_ejections_total",
			Help: "Ejections of a provider with one of its keys, by the cause of its last failed attempt. One that a failed probe prolongs counts again.",
		}, []string{"provider", "cause"}),
		ejected: prometheus.NewDesc("weir_ejected", "1 for a provider with one of its keys that is tried after all others, else 0.", []string{"provider", "provider_key"}, nil),
	}
	g.registry.MustRegister(e.total, e)
	return e
}

func (e *ejections) Describe(to chan<- *prometheus.Desc) { to <- e.ejected }

// Collect gives a provider's clusters with the same key, for several base URLs,
// as one: the most that is to be said of them.
func (e *ejections) Collect(to chan<- prometheus.Metric) {
	p := e.current()
	if p == nil || p.OutlierDetection == nil {
		return
	}
	type of struct{ provider, key string }
	values := map[of]float64{}
	for _, c := range p.Clusters {
		v := values[of{c.Provider, c.Key}]
		if c.Ejection() != nil {
			v = 1
		}
		values[of{c.Provider, c.Key}] = v
	}
	for k, v := range values {
		to <- prometheus.MustNewConstMetric(e.ejected, prometheus.GaugeValue, v, k.provider, k.key)
	}
}

// tell counts and logs a change.
func (e *ejections) tell(event health.Event) {
	provider, key := policy.ProviderOf(event.Cluster), ""
	if p := e.current(); p != nil {
		key = p.ProviderKeyOf(event.Cluster)
	}
	if event.Ejection == nil {
		e.log.Info("provider in use again", "provider", provider, "provider_key", key)
		return
	}
	e.total.WithLabelValues(provider, event.Ejection.Cause).Inc()
	e.log.Warn("provider ejected", "provider", provider, "provider_key", key, "cause", event.Ejection.Cause, "until", event.Ejection.Until)
}
