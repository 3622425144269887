package gateway

import (
	"log/slog"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"weir/admin"
	"weir/policy"
	"weir/telemetry/health"
)

// maxEjectedKeys bounds how many ejections for single access keys /healthz lists;
// weir_ejected_keys counts all of them.
const maxEjectedKeys = 100

func (g *Gateway) ejected() []admin.Ejected {
	out := []admin.Ejected{}
	ofKeys := 0
	if p := g.current.Load(); p != nil {
		for _, c := range p.Clusters {
			for _, e := range g.health.Ejections(c.Name) {
				if e.Key != "" {
					if ofKeys++; ofKeys > maxEjectedKeys {
						continue
					}
				}
				out = append(out, admin.Ejected{Provider: c.Provider, ProviderKey: c.Key, Cluster: c.Name, Model: e.Model, AccessKey: g.current.keyName(e.Key), Cause: e.Cause, Since: e.Since, Until: e.Until})
			}
		}
	}
	return out
}

// ejections are the metrics of ejected clusters and models. Their series are bounded by
// the providers, provider keys and models of the configuration; all other models share
// one label.
type ejections struct {
	current *current
	inForce func(cluster string) []*policy.Ejection
	log     *slog.Logger
	total   *prometheus.CounterVec
	keys    *prometheus.CounterVec
	ejected *prometheus.Desc
	ofKeys  *prometheus.Desc

	mu      sync.Mutex
	counted map[string]bool // providers with series in total or keys
}

func newEjections(registry prometheus.Registerer, log *slog.Logger, current *current, inForce func(cluster string) []*policy.Ejection) *ejections {
	e := &ejections{
		counted: map[string]bool{},
		current: current, log: log, inForce: inForce,
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_ejections_total",
			Help: "Ejections of a provider key, or of one of its models, for all clients, by the cause of the last failed attempt. An ejection that a failed probe prolongs is counted again.",
		}, []string{"provider", "model", "cause"}),
		keys: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_key_ejections_total",
			Help: "Ejections of a provider key, or of one of its models, for a single access key, by the cause of the last failed attempt. An ejection that a failed probe prolongs is counted again.",
		}, []string{"provider", "cause"}),
		ejected: prometheus.NewDesc("weir_ejected", "Whether a provider key is ejected for all clients (1) or not (0). Requests use an ejected provider key only after all others. A series with a model exists, with value 1, while only that model is ejected.", []string{"provider", "provider_key", "model"}, nil),
		ofKeys:  prometheus.NewDesc("weir_ejected_keys", "Number of access keys for which a provider key, or one of its models, is ejected while other access keys still use it.", []string{"provider", "provider_key"}, nil),
	}
	registry.MustRegister(e.total, e.keys, e)
	return e
}

func (e *ejections) Describe(to chan<- *prometheus.Desc) {
	to <- e.ejected
	to <- e.ofKeys
}

// Collect reports a provider's clusters with the same key, for several base URLs, as
// one: it is ejected if one of them is.
func (e *ejections) Collect(to chan<- prometheus.Metric) {
	p := e.current.Load()
	if p == nil || p.OutlierDetection == nil {
		return
	}
	type of struct{ provider, key, model string }
	type byKey struct{ provider, key string }
	values, keys := map[of]float64{}, map[byKey]map[string]bool{}
	for _, c := range p.Clusters {
		at := byKey{c.Provider, c.Key}
		values[of{c.Provider, c.Key, ""}] += 0 // the series always exists
		if keys[at] == nil {
			keys[at] = map[string]bool{}
		}
		for _, ejection := range e.inForce(c.Name) {
			if ejection.Key != "" {
				keys[at][ejection.Key] = true
				continue
			}
			values[of{c.Provider, c.Key, modelLabel(p, c.Provider, ejection.Model)}] = 1
		}
	}
	for k, v := range values {
		to <- prometheus.MustNewConstMetric(e.ejected, prometheus.GaugeValue, v, k.provider, k.key, k.model)
	}
	for k, ids := range keys {
		to <- prometheus.MustNewConstMetric(e.ofKeys, prometheus.GaugeValue, float64(len(ids)), k.provider, k.key)
	}
}

// retain deletes the series of providers that are not in a policy.
func (e *ejections) retain(p *policy.Policy) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for provider := range e.counted {
		if !p.HasProvider(provider) {
			delete(e.counted, provider)
			e.total.DeletePartialMatch(prometheus.Labels{"provider": provider})
			e.keys.DeletePartialMatch(prometheus.Labels{"provider": provider})
		}
	}
}

// count records that a provider has series.
func (e *ejections) count(provider string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counted[strings.Clone(provider)] = true
}

// tell counts and logs an event.
func (e *ejections) tell(event health.Event) {
	provider, key, label := policy.ProviderOf(event.Cluster), "", ""
	if p := e.current.Load(); p != nil {
		key, label = p.ProviderKeyOf(event.Cluster), modelLabel(p, provider, event.Model)
	}
	what, fields := "provider", []any{"provider", provider, "provider_key", key}
	if event.Model != "" {
		what, fields = "model", append(fields, "model", event.Model)
	}
	if event.Key != "" {
		fields = append(fields, "for_access_key", e.current.keyName(event.Key))
	}
	if event.Ejection == nil {
		e.log.Info(what+" in use again", fields...)
		return
	}
	e.count(provider)
	if event.Key != "" {
		e.keys.WithLabelValues(provider, event.Ejection.Cause).Inc()
	} else {
		e.total.WithLabelValues(provider, label, event.Ejection.Cause).Inc()
	}
	e.log.Warn(what+" ejected", append(fields, "cause", event.Ejection.Cause, "until", event.Ejection.Until)...)
}

// modelLabel returns the label of an ejected model, or "" for an ejection of all models.
func modelLabel(p *policy.Policy, provider, sent string) string {
	if sent == "" {
		return ""
	}
	return p.ServedLabel(provider, sent)
}
