package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// fakeHealth is the health of one cluster that a test sets.
type fakeHealth struct {
	ejection *Ejection
	models   map[string]*Ejection
	due      bool
	asked    []string // the models for which a probe was asked for
}

// fakes are the health of clusters, by the id of their provider's key.
type fakes struct {
	byKey  map[string]*fakeHealth
	keyOf  map[string]string // by the name of the cluster
	policy *Policy
}

func (f *fakes) of(cluster string) *fakeHealth { return f.byKey[f.keyOf[cluster]] }

func (f *fakes) Ejection(cluster, _, model string) *Ejection {
	h := f.of(cluster)
	if h.ejection != nil {
		return h.ejection
	}
	return h.models[model]
}

func (f *fakes) MayProbe(cluster, _, model string, _ time.Time) bool {
	h := f.of(cluster)
	h.asked = append(h.asked, model)
	return h.due
}

// eject ejects what is written as the id of a provider's key, or as key:model,
// as it is sent.
func (f *fakes) eject(name string) {
	e := &Ejection{Cause: "timeout"}
	key, model, ok := strings.Cut(name, ":")
	h := f.byKey[key]
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
providers:
  - {id: a, base_url: http://a.internal, api_keys: [{value: k1}, {value: k2}], models: [{id: m, provider_model_id: long/name}, {id: n}]}
  - {id: b, base_url: http://b.internal, api_keys: [{value: k1}], models: [{id: m}]}
  - {id: c, base_url: http://c.internal, api_keys: [{value: k1}], models: [{id: m, unsupported_params: [{name: x}]}]}
`

// withHealth loads a configuration whose clusters' health a test sets.
func withHealth(t testing.TB, config string) (*Policy, *fakes) {
	t.Helper()
	f := &fakes{map[string]*fakeHealth{}, map[string]string{}, newWorld().load(t, config)}
	for _, c := range f.policy.Clusters {
		f.byKey[c.Key], f.keyOf[c.Name] = &fakeHealth{}, c.Key
	}
	return f.policy, f
}

// request is one that may probe.
func (f *fakes) request(t testing.TB, body string) *planRequest {
	r := newPlanRequest(t, f.policy, "", body, nil)
	r.request.Health, r.request.Probe = f, true
	return r
}

// Attempts that are ejected go behind the others, and every attempt sends what it
// would send if there were no other.
func TestPlanEjected(t *testing.T) {
	order := func(plan *Plan) string {
		var out []string
		for _, a := range plan.Attempts {
			out = append(out, a.Cluster.Key+":"+a.Model)
		}
		return strings.Join(out, " ")
	}
	f := func(models, ejected, due, want string) {
		t.Helper()
		p, health := withHealth(t, threeProviders)
		for _, name := range strings.Fields(ejected) {
			health.eject(name)
		}
		if due != "" {
			health.byKey[due].due = true
		}
		r := health.request(t, `{"model":"m","models":["`+models+`"],"x":1}`)
		plan := r.plan(t)
		if s := order(plan); s != want {
			t.Errorf("%s ejected, %s due:\n got %s\nwant %s", ejected, due, s, want)
		}
		checkRebased(t, p, plan, &r.request)
		first := &plan.Attempts[0]
		if plan.Probe != (health.Ejection(first.Cluster.Name, "", first.Model) != nil && due != "") {
			t.Errorf("%s ejected, %s due: %s is first, a probe: %v", ejected, due, first.Cluster.Key, plan.Probe)
		}
		for key, h := range health.byKey {
			if len(h.asked) > 0 && h.due && key != first.Cluster.Key {
				t.Errorf("%s ejected: %s is asked for a probe, and %s is first", ejected, key, first.Cluster.Key)
			}
		}
		// A request whose claim fails goes where it would go if no probe were due.
		r.request.Probe = false
		refused := r.plan(t)
		if r.request.Probe = true; due != "" {
			health.byKey[due].due = false
		}
		if without := r.plan(t); refused.Probe || without.Probe || order(refused) != order(without) {
			t.Errorf("%s ejected, %s due: without a probe %s, want %s", ejected, due, order(refused), order(without))
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
		_, health := withHealth(t, threeProviders)
		health.eject(ejected)
		health.request(t, body).plan(t)
		key, _, _ := strings.Cut(ejected, ":")
		if got := strings.Join(health.byKey[key].asked, " "); got != want {
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
		if p := newWorld().load(t, config); p.OutlierDetection != nil {
			t.Errorf("clusters are observed:\n%s", config)
		}
	}
}

// An explanation shows what is ejected, and probes nothing.
func TestExplainEjected(t *testing.T) {
	p, health := withHealth(t, threeProviders)
	since := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	health.byKey["a#1"].ejection = &Ejection{Cause: "timeout", Since: since, Until: since.Add(5 * time.Second)}
	health.byKey["a#1"].due = true
	r := health.request(t, `{"model":"m"}`)
	r.request.Probe = false
	e := p.Explain(&r.request, nil)
	if len(health.byKey["a#1"].asked) > 0 {
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
	health.eject("b#1:m")
	e = p.Explain(&r.request, nil)
	last = e.Attempts[len(e.Attempts)-1]
	if last.Key != "b#1" || last.Ejected == nil || last.Ejected.Model != "m" || last.Ejected.Cause != "rate_limit" {
		t.Errorf("last is %s, ejected %+v, want b#1, of which m is", last.Key, last.Ejected)
	}
}

// Budgets of the request path hold with a cluster that is ejected, and a model.
func TestEjectedAllocations(t *testing.T) {
	_, health := withHealth(t, threeProviders)
	r := health.request(t, `{"model":"m"}`)
	before := testing.AllocsPerRun(100, func() { r.plan(t) })
	health.eject("a#1")
	health.eject("b#1:m")
	if after := testing.AllocsPerRun(100, func() { r.plan(t) }); after > before {
		t.Errorf("%v allocations, %v without an ejection", after, before)
	}
}

// TestRandomHealth tests what a strategy that ends in random makes of ejections: no request
// starts with a model that may not, and every request has the others to fall back to.
func TestRandomHealth(t *testing.T) {
	for _, strategy := range []string{"ai.models.random()", "ai.models.randomize()"} {
		p, f := withHealth(t, `
on_http_request:
  - type: ai-gateway
    config:
      only_allow_configured_providers: true
      model_selection: {strategy: ["`+strategy+`"]}
      api_key_selection: {strategy: ["ai.keys.random()"]}
`+strings.NewReplacer(", {id: n}", "", "\n", "\n      ").Replace(strings.TrimRight(threeProviders, "\n")))
		random := rand.New(rand.NewPCG(1, 2))
		// first returns how many of 300 plans begin with each key, and how many of those probe.
		first := func(body string, probe bool) (counts map[string]int, probes int) {
			counts = map[string]int{}
			for range 300 {
				r := newPlanRequest(t, p, "", body, nil)
				r.request.Health, r.request.Probe, r.request.Random = f, probe, random
				plan := r.plan(t)
				if len(plan.Attempts) != 4 {
					t.Fatalf("%d attempts", len(plan.Attempts))
				}
				counts[plan.Attempts[0].Cluster.Key]++
				if plan.Probe {
					probes++
				}
			}
			return counts, probes
		}
		for _, body := range []string{`{"messages":[]}`, `{"model":"m"}`} {
			check := func(what string, probe bool, want ...string) {
				t.Helper()
				counts, probes := first(body, probe)
				for _, key := range want {
					if counts[key] < 20 {
						t.Errorf("%s, %s: %s is first %d times", strategy, what, key, counts[key])
					}
				}
				if len(counts) != len(want) || (probes > 0) != (what == "due") {
					t.Errorf("%s, %s: %v first, %d probes, want %v", strategy, what, counts, probes, want)
				}
			}
			check("all well", true, "a#1", "a#2", "b#1", "c#1")
			f.eject("b#1")
			check("one ejected", true, "a#1", "a#2", "c#1")
			f.eject("a#1:long/name")
			check("a model of a key, too", true, "a#2", "c#1")
			f.eject("a#2")
			check("all keys of a provider", true, "c#1")
			f.byKey["b#1"].due = true
			check("due", true, "b#1", "c#1")
			check("due, but not to be probed", false, "c#1")
			f.eject("c#1")
			f.byKey["b#1"].due = false
			check("all ejected", true, "a#1", "a#2", "b#1", "c#1")
			for _, h := range f.byKey {
				*h = fakeHealth{}
			}
		}
	}
}

// Of more instances than a plan has attempts, it has those that are not ejected.
func TestRandomHealthOfMany(t *testing.T) {
	config := "on_http_request:\n  - type: ai-gateway\n    config:\n      model_selection: {strategy: [ai.models.random()]}\n      providers:\n"
	for i := range 40 {
		config += fmt.Sprintf("        - {id: p-%d, base_url: http://p-%d.internal, api_keys: [{value: k}], models: [{id: m}]}\n", i, i)
	}
	p, f := withHealth(t, config)
	for i := range 37 {
		f.eject(fmt.Sprintf("p-%d#1", i))
	}
	r := newPlanRequest(t, p, "", `{"model":"m"}`, nil)
	r.request.Health, r.request.Random = f, rand.New(rand.NewPCG(1, 2))
	for range 50 {
		plan := r.plan(t)
		for i, a := range plan.Attempts {
			if well := f.byKey[a.Cluster.Key].ejection == nil; well != (i < 3) {
				t.Fatalf("attempt %d is at %s", i+1, a.Cluster.Key)
			}
		}
	}
}
