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

func (s sinks) Answering(cluster, model string, began time.Time) {
	s.health.Answering(cluster, model, began)
}

// healthEjected is an ejected cluster, or model of it, in /healthz.
type healthEjected struct {
	Provider    string    `json:"provider"`
	ProviderKey string    `json:"provider_key,omitempty"` // its id
	Cluster     string    `json:"cluster"`                // Envoy's
	Model       string    `json:"model,omitempty"`        // of which alone it is, as it is sent
	Cause       string    `json:"cause"`
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until"`
}

func (g *gateway) ejected() []healthEjected {
	out := []healthEjected{}
	if p := g.current.Load(); p != nil {
		for _, c := range p.Clusters {
			for _, e := range g.health.Ejections(c.Name) {
				out = append(out, healthEjected{c.Provider, c.Key, c.Name, e.Model, e.Cause, e.Since, e.Until})
			}
		}
	}
	return out
}

// ejections are the metrics of ejected clusters and models. There are as many
// series as the configuration has providers, keys and models of them, and for
// all other models one.
type ejections struct {
	current func() *policy.Policy
	inForce func(cluster string) []*policy.Ejection
	log     *slog.Logger
	total   *prometheus.CounterVec
	ejected *prometheus.Desc
}

func newEjections(g *gateway) *ejections {
	e := &ejections{
		current: g.current.Load, log: g.log,
		inForce: func(cluster string) []*policy.Ejection { return g.health.Ejections(cluster) },
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_ejections_total",
			Help: "Ejections of a provider with one of its keys, or of one model there, by the cause of the last failed attempt. One that a failed probe prolongs counts again.",
		}, []string{"provider", "model", "cause"}),
		ejected: prometheus.NewDesc("weir_ejected", "1 for a provider with one of its keys that is tried after all others, else 0. With a model: 1 for as long as that one is.", []string{"provider", "provider_key", "model"}, nil),
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
	type of struct{ provider, key, model string }
	values := map[of]float64{}
	for _, c := range p.Clusters {
		values[of{c.Provider, c.Key, ""}] += 0 // there in any case
		for _, ejection := range e.inForce(c.Name) {
			values[of{c.Provider, c.Key, modelLabel(p, c.Provider, ejection.Model)}] = 1
		}
	}
	for k, v := range values {
		to <- prometheus.MustNewConstMetric(e.ejected, prometheus.GaugeValue, v, k.provider, k.key, k.model)
	}
}

// tell counts and logs a change.
func (e *ejections) tell(event health.Event) {
	provider, key, label := policy.ProviderOf(event.Cluster), "", ""
	if p := e.current(); p != nil {
		key, label = p.ProviderKeyOf(event.Cluster), modelLabel(p, provider, event.Model)
	}
	what, fields := "provider", []any{"provider", provider, "provider_key", key}
	if event.Model != "" {
		what, fields = "model", append(fields, "model", event.Model)
	}
	if event.Ejection == nil {
		e.log.Info(what+" in use again", fields...)
		return
	}
	e.total.WithLabelValues(provider, label, event.Ejection.Cause).Inc()
	e.log.Warn(what+" ejected", append(fields, "cause", event.Ejection.Cause, "until", event.Ejection.Until)...)
}

// modelLabel is the model of an ejection as a label; empty: it is of no model.
func modelLabel(p *policy.Policy, provider, sent string) string {
	if sent == "" {
		return ""
	}
	return p.ServedLabel(provider, sent)
}
