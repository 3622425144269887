package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeHealth is a cluster's health that a test sets.
type fakeHealth struct {
	ejection *Ejection
	models   map[string]*Ejection
	due      bool
	probes   []string // the models that were asked about
}

func (h *fakeHealth) Ejection(_, model string) *Ejection {
	if h.ejection != nil {
		return h.ejection
	}
	return h.models[model]
}

func (h *fakeHealth) Probe(_, model string, _ time.Time) bool {
	h.probes = append(h.probes, model)
	return h.due
}

// eject ejects what is written as the id of a provider's key, or as key:model,
// as it is sent.
func eject(health map[string]*fakeHealth, name string) {
	e := &Ejection{Cause: "timeout"}
	key, model, ok := strings.Cut(name, ":")
	h := health[key]
	if !ok {
		h.ejection = e
		return
	}
	e.Model, e.Cause = model, "rate_limit"
	if h.models == nil {
		h.models = map[string]*Ejection{}
	}
	h.models[model] = e
}

const threeProviders = `
access_keys: [{name: k, value: 0123456789abcdef}]
providers:
  - {id: a, base_url: http://a.internal, api_keys: [{value: k1}, {value: k2}], models: [{id: m, provider_model_id: long/name}, {id: n}]}
  - {id: b, base_url: http://b.internal, api_keys: [{value: k1}], models: [{id: m}]}
  - {id: c, base_url: http://c.internal, api_keys: [{value: k1}], models: [{id: m, unsupported_params: [{name: x}]}]}
`

// withHealth loads a configuration whose clusters' health is in the map, by the
// id of their provider's key.
func withHealth(t testing.TB, config string) (*Policy, map[string]*fakeHealth) {
	t.Helper()
	byCluster, byKey := map[string]*fakeHealth{}, map[string]*fakeHealth{}
	src := newWorld().source(config)
	src.Health = func(cluster string) Health {
		byCluster[cluster] = &fakeHealth{}
		return byCluster[cluster]
	}
	p, _, problems := Load(src)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Clusters {
		byKey[c.Key] = byCluster[c.Name]
	}
	return p, byKey
}

// Attempts that are ejected go behind the others, and every attempt sends what it
// would send if there were no other.
func TestPlanEjected(t *testing.T) {
	f := func(models, ejected, due, want string) {
		t.Helper()
		p, health := withHealth(t, threeProviders)
		for _, name := range strings.Fields(ejected) {
			eject(health, name)
		}
		if due != "" {
			health[due].due = true
		}
		r := newPlanRequest(t, p, "", `{"model":"m","models":["`+models+`"],"x":1}`, nil)
		plan := r.plan(t)
		var got []string
		for _, a := range plan.Attempts {
			got = append(got, a.Cluster.Key+":"+a.Model)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s ejected, %s due:\n got %s\nwant %s", ejected, due, s, want)
		}
		checkRebased(t, p, plan, &r.request)
		first := plan.Attempts[0].Cluster.Key
		for key, h := range health {
			if len(h.probes) > 0 && h.due && key != first {
				t.Errorf("%s ejected: %s is probed, and %s is first", ejected, key, first)
			}
		}
	}
	f("m", "", "", "a#1:long/name a#2:long/name b#1:m c#1:m")
	f("m", "a#1", "", "a#2:long/name b#1:m c#1:m a#1:long/name")
	f("m", "a#1 a#2", "", "b#1:m c#1:m a#1:long/name a#2:long/name")
	f("m", "b#1", "", "a#1:long/name a#2:long/name c#1:m b#1:m")
	f("m", "a#1 b#1", "", "a#2:long/name c#1:m a#1:long/name b#1:m")
	f("m", "a#1 a#2 b#1", "", "c#1:m a#1:long/name a#2:long/name b#1:m")
	f("m", "a#1 a#2 b#1 c#1", "", "a#1:long/name a#2:long/name b#1:m c#1:m")
	f("a:n", "a#1 a#2", "", "b#1:m c#1:m a#1:long/name a#2:long/name a#1:n a#2:n")
	// A model alone, and both.
	f("m", "a#1:long/name", "", "a#2:long/name b#1:m c#1:m a#1:long/name")
	f("m", "a#1:n a#2:n b#1:other", "", "a#1:long/name a#2:long/name b#1:m c#1:m")
	f("a:n", "a#1:long/name a#2:long/name", "", "b#1:m c#1:m a#1:n a#2:n a#1:long/name a#2:long/name")
	f("a:n", "a#1:n a#2:long/name", "", "a#1:long/name b#1:m c#1:m a#2:n a#2:long/name a#1:n")
	f("a:n", "a#1 a#1:n a#2:long/name", "", "b#1:m c#1:m a#2:n a#1:long/name a#2:long/name a#1:n")
	f("a:made-up", "a#1:made-up", "", "a#1:long/name a#2:long/name b#1:m c#1:m a#2:made-up a#1:made-up")
	// Who is probed is first, and nobody else is asked for it.
	f("m", "a#1:long/name", "a#1", "a#1:long/name a#2:long/name b#1:m c#1:m")
	f("m", "a#1 a#1:long/name", "a#1", "a#1:long/name a#2:long/name b#1:m c#1:m")
	f("m", "b#1:m", "b#1", "a#1:long/name a#2:long/name c#1:m b#1:m")
	f("m", "a#1", "a#1", "a#1:long/name a#2:long/name b#1:m c#1:m")
	f("m", "a#1 a#2", "a#2", "a#2:long/name b#1:m c#1:m a#1:long/name")
	f("m", "b#1", "b#1", "a#1:long/name a#2:long/name c#1:m b#1:m")
	f("a:n", "a#1 a#2", "a#1", "a#1:long/name b#1:m c#1:m a#2:long/name a#1:n a#2:n")
}

// Only a request that would start at a cluster probes it, and only if there is
// another way.
func TestPlanProbes(t *testing.T) {
	f := func(body, ejected, want string) {
		t.Helper()
		p, health := withHealth(t, threeProviders)
		eject(health, ejected)
		newPlanRequest(t, p, "", body, nil).plan(t)
		key, _, _ := strings.Cut(ejected, ":")
		if got := strings.Join(health[key].probes, " "); got != want {
			t.Errorf("%s, %s ejected: asked about %q, want %q", body, ejected, got, want)
		}
	}
	f(`{"model":"m"}`, "a#1", "long/name")
	f(`{"model":"m"}`, "a#2", "")
	f(`{"model":"b:m"}`, "b#1", "")
	f(`{"model":"m"}`, "a#1:long/name", "long/name")
	f(`{"model":"m"}`, "a#1:n", "")
	f(`{"model":"m"}`, "a#2:long/name", "")
	f(`{"model":"b:m"}`, "b#1:m", "")
}

// Without telemetry nothing is learnt, and nothing is moved.
func TestUnobserved(t *testing.T) {
	for _, config := range []string{
		"telemetry: {disabled: true}\n" + threeProviders,
		"on_http_request: [{type: ai-gateway, config: {outlier_detection: {disabled: true}, providers: [{id: a, base_url: http://a.internal}]}}]",
	} {
		p, health := withHealth(t, config)
		if p.OutlierDetection != nil || slices.ContainsFunc(p.Clusters, func(c *Cluster) bool { return c.health != nil && health[c.Key] != nil }) {
			t.Errorf("clusters are observed:\n%s", config)
		}
	}
}

// An explanation shows what is ejected, and probes nothing.
func TestExplainEjected(t *testing.T) {
	p, health := withHealth(t, threeProviders)
	since := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	health["a#1"].ejection = &Ejection{Cause: "timeout", Since: since, Until: since.Add(5 * time.Second)}
	health["a#1"].due = true
	r := newPlanRequest(t, p, "", `{"model":"m"}`, nil)
	e := p.Explain(&r.request, nil)
	if len(health["a#1"].probes) > 0 {
		t.Error("the explanation is a probe")
	}
	last := e.Attempts[len(e.Attempts)-1]
	got, err := json.Marshal(last.Ejected)
	if want := `{"cause":"timeout","since":"2026-11-21T10:00:00Z","until":"2026-11-21T10:00:05Z"}`; err != nil || string(got) != want || last.Key != "a#1" {
		t.Errorf("last is %s, ejected %s, want a#1, ejected %s", last.Key, got, want)
	}
	if e.Attempts[0].Ejected != nil {
		t.Error("the first is ejected")
	}
	eject(health, "b#1:m")
	e = p.Explain(&r.request, nil)
	last = e.Attempts[len(e.Attempts)-1]
	if last.Key != "b#1" || last.Ejected == nil || last.Ejected.Model != "m" || last.Ejected.Cause != "rate_limit" {
		t.Errorf("last is %s, ejected %+v, want b#1, of which m is", last.Key, last.Ejected)
	}
}

// Budgets of the request path hold with a cluster that is ejected, and a model.
func TestEjectedAllocations(t *testing.T) {
	p, health := withHealth(t, threeProviders)
	r := newPlanRequest(t, p, "", `{"model":"m"}`, nil)
	before := testing.AllocsPerRun(100, func() { r.plan(t) })
	eject(health, "a#1")
	eject(health, "b#1:m")
	if after := testing.AllocsPerRun(100, func() { r.plan(t) }); after > before {
		t.Errorf("%v allocations, %v without an ejection", after, before)
	}
}
