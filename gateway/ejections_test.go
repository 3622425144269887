package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/telemetry/accesslog"
)

// TestEjectionsShown: ejections are counted, logged and listed, with the model if only
// a model is ejected. Model names that clients invent are not labels.
func TestEjectionsShown(t *testing.T) {
	b := newRig(t, `on_http_request: [{type: ai-gateway, config: {outlier_detection: {max_ejection_time: 1h}, providers: [
  {id: a, base_url: "http://127.0.0.1:1", api_keys: [{value: k1}, {value: k2}], models: [{id: m, provider_model_id: long/name}]}]}}]`)
	p := b.current.Load()
	told := func(cluster, model, cause string) {
		a := accesslog.Attempt{Cluster: cluster, Model: model, ModelLabel: p.ServedLabel("a", model), Start: time.Now(), Cause: cause, Status: 401}
		if cause == accesslog.CauseRateLimit {
			a.Status = 429
			a.Quota.Set("retry-after", "3600")
		}
		b.health.Attempt(&a)
	}
	one, two := p.Clusters[0].Name, p.Clusters[1].Name
	if p.ProviderKeyOf(one) != "a#1" { // they are sorted by name
		one, two = two, one
	}
	told(one, "long/name", accesslog.CauseRateLimit)
	told(one, "invented", accesslog.CauseRateLimit)
	told(one, "made-up", accesslog.CauseRateLimit)
	for range 5 {
		told(two, "long/name", accesslog.CauseAuth)
	}
	var listed []string
	for _, e := range b.ejected() {
		listed = append(listed, e.ProviderKey+" "+e.Model+" "+e.Cause)
	}
	slices.Sort(listed)
	if got, want := strings.Join(listed, ", "), "a#1 invented rate_limit, a#1 long/name rate_limit, a#1 made-up rate_limit, a#2  auth"; got != want {
		t.Errorf("listed are %s, want %s", got, want)
	}
	want := map[string]float64{
		"weir_ejected model= provider=a provider_key=a#1":              0,
		"weir_ejected model=m provider=a provider_key=a#1":             1,
		"weir_ejected model=other provider=a provider_key=a#1":         1,
		"weir_ejected model= provider=a provider_key=a#2":              1,
		"weir_ejections_total cause=rate_limit model=m provider=a":     1,
		"weir_ejections_total cause=rate_limit model=other provider=a": 2,
		"weir_ejections_total cause=auth model= provider=a":            1,
	}
	if got := b.ejectionMetrics(); !maps.Equal(got, want) {
		t.Errorf("metrics are %v\nwant %v", got, want)
	}
	told(one, "long/name", "")
	for _, want := range []string{
		`level=WARN msg="model ejected" provider=a provider_key=a#1 model=long/name cause=rate_limit until=`,
		`level=WARN msg="provider ejected" provider=a provider_key=a#2 cause=auth until=`,
		`level=INFO msg="model in use again" provider=a provider_key=a#1 model=long/name`,
	} {
		if strings.Count(b.log.String(), want) != 1 {
			t.Errorf("not logged once: %s", want)
		}
	}
}

// ejectionMetrics returns the metrics of ejections, each with its labels.
func (b *rig) ejectionMetrics() map[string]float64 {
	b.t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if !slices.Contains([]string{"weir_ejected", "weir_ejections_total"}, f.GetName()) {
			continue
		}
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += fmt.Sprintf(" %s=%s", l.GetName(), l.GetValue())
			}
			out[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}
