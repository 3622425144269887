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
	due      bool
	probes   int
}

func (h *fakeHealth) Ejection() *Ejection { return h.ejection }

func (h *fakeHealth) Probe(time.Time) bool {
	h.probes++
	return h.due
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
	p, problems := Load(src)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Clusters {
		byKey[c.Key] = byCluster[c.Name]
	}
	return p, byKey
}

// Attempts at ejected clusters go behind the others, and every attempt sends
// what it would send if there were no other.
func TestPlanEjected(t *testing.T) {
	f := func(models, ejected, due, want string) {
		t.Helper()
		p, health := withHealth(t, threeProviders)
		for _, key := range strings.Fields(ejected) {
			health[key].ejection = &Ejection{Cause: "timeout"}
		}
		if due != "" {
			health[due].due = true
		}
		r := newPlanRequest(t, p, "", `{"model":"m","models":["`+models+`"],"x":1}`, true)
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
			if h.probes > 0 && h.due && key != first {
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
	// Who is probed is first, and nobody else is asked for it.
	f("m", "a#1", "a#1", "a#1:long/name a#2:long/name b#1:m c#1:m")
	f("m", "a#1 a#2", "a#2", "a#2:long/name b#1:m c#1:m a#1:long/name")
	f("m", "b#1", "b#1", "a#1:long/name a#2:long/name c#1:m b#1:m")
	f("a:n", "a#1 a#2", "a#1", "a#1:long/name b#1:m c#1:m a#2:long/name a#1:n a#2:n")
}

// Only a request that would start at a cluster probes it, and only if there is
// another way.
func TestPlanProbes(t *testing.T) {
	f := func(body, ejected string, want int) {
		t.Helper()
		p, health := withHealth(t, threeProviders)
		health[ejected].ejection = &Ejection{}
		newPlanRequest(t, p, "", body, true).plan(t)
		if got := health[ejected].probes; got != want {
			t.Errorf("%s, %s ejected: asked %d times, want %d", body, ejected, got, want)
		}
	}
	f(`{"model":"m"}`, "a#1", 1)
	f(`{"model":"m"}`, "a#2", 0)
	f(`{"model":"b:m"}`, "b#1", 0)
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
	r := newPlanRequest(t, p, "", `{"model":"m"}`, true)
	e := p.Explain(&r.request, nil)
	if health["a#1"].probes != 0 {
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
}

// Budgets of the request path hold with a cluster that is ejected.
func TestEjectedAllocations(t *testing.T) {
	p, health := withHealth(t, threeProviders)
	r := newPlanRequest(t, p, "", `{"model":"m"}`, true)
	before := testing.AllocsPerRun(100, func() { r.plan(t) })
	health["a#1"].ejection = &Ejection{}
	if after := testing.AllocsPerRun(100, func() { r.plan(t) }); after > before {
		t.Errorf("%v allocations, %v without an ejection", after, before)
	}
}
