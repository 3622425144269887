package policy

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/identity"
	"weir/llm"
	"weir/policy/expression"
)

// pureConfig has whatever a plan reads: strategies for models and keys, a scope,
// templates, ejected clusters.
const pureConfig = `
access_keys:
  - {name: all, value: 0123456789abcdef, metadata: {tier: gold}}
  - {name: scoped, value: 0123456789abcdefg, configuration: {access: {providers: {allow: [a, b]}, models: {allow: ["a:m", "b:m", "b:n"]}}}}
on_http_request:
  - type: ai-gateway
    config:
      model_selection: {strategy: ["ai.models.filter(m, m.metrics.global.error_rate.total < 0.5).sortBy('price')", "ai.models.random()"]}
      api_key_selection: {strategy: ["ai.keys.random()"]}
      headers: {x-tier: "${key.metadata.tier}"}
      providers:
        - {id: a, base_url: http://a.internal, api_keys: [{value: k1}, {value: k2}], models: [{id: m, pricing: {input: "2"}}, {id: n}]}
        - {id: b, base_url: http://b.internal, api_keys: [{value: k3}], models: [{id: m, pricing: {input: "1"}}, {id: n}]}
        - {id: c, base_url: http://c.internal, api_keys: [{value: k4}], models: [{id: m}]}
`

// Planning is pure: the same policy and the same values give the same plan, also for
// many requests at once, and the policy is what it was.
func TestPlanIsPure(t *testing.T) {
	p, keys := newWorld().loadAll(t, pureConfig)
	health := &fakes{map[string]*fakeHealth{}, map[string]string{}, p}
	for _, c := range p.Clusters {
		health.byKey[c.Key], health.keyOf[c.Name] = &fakeHealth{}, c.Key
	}
	health.eject("b#1")
	health.eject("a#2:m")
	before := fingerprint(p)
	type request struct {
		Request
		source rand.PCG
	}
	newRequest := func(key *identity.Key, numbers Numbers, body string) *request {
		r := &request{Request: Request{
			Endpoint: llm.EndpointAt(llm.ChatCompletionsPath), Key: key, Body: readBody(t, body), Now: testNow, Health: readOnly{health}, Probe: true,
			Headers: maps.All(map[string]string{}), Numbers: numbers,
		}}
		r.Random = rand.New(&r.source)
		return r
	}
	describe := func(r *request) string {
		r.source.Seed(1, 2)
		plan, err := p.Plan(&r.Request)
		if err != nil {
			return err.Error()
		}
		var out strings.Builder
		fmt.Fprintln(&out, plan.Probe, plan.Rejected, plan.Fields)
		for _, a := range plan.Attempts {
			fmt.Fprintln(&out, a.Cluster.Key, a.Model, a.Path, a.Edits)
		}
		return out.String()
	}
	var group sync.WaitGroup
	type values struct {
		key     *identity.Key
		numbers Numbers
		body    string
	}
	var all []values
	for _, key := range []*identity.Key{keys.Named("all"), keys.Named("scoped")} {
		for _, numbers := range []Numbers{nil, new(failing), new(failing(0.9))} {
			for _, body := range []string{`{"messages":[]}`, `{"model":"m","messages":[]}`, `{"model":"c:m","models":["m","a:n","b:unlisted"]}`, `{"model":"nothing"}`} {
				all = append(all, values{key, numbers, body})
			}
		}
	}
	for _, v := range all {
		first := newRequest(v.key, v.numbers, v.body)
		want := describe(first)
		if again := describe(first); again != want {
			t.Errorf("%v: planned twice: %s", v, cmp.Diff(want, again))
		}
		for range 4 {
			group.Go(func() {
				r := newRequest(v.key, v.numbers, v.body)
				for range 25 {
					if got := describe(r); got != want {
						t.Errorf("%v: %s", v, cmp.Diff(want, got))
						return
					}
				}
			})
		}
	}
	group.Wait()
	if after := fingerprint(p); after != before {
		t.Error("the policy was changed")
	}
}

// failing is the numbers of models that all have this rate of errors.
type failing float64

func (f *failing) Model(int, expression.Metric) float64 { return float64(*f) }
func (f *failing) Key(int) expression.KeyNumbers        { return expression.KeyNumbers{} }

// readOnly is health that notes nothing of who asks.
type readOnly struct{ *fakes }

func (r readOnly) Ejection(cluster, key, model string) *Ejection {
	h := r.of(cluster)
	if h.ejection != nil {
		return h.ejection
	}
	return h.models[model]
}

func (r readOnly) MayProbe(cluster, _, _ string, _ time.Time) bool {
	return r.of(cluster).ejection != nil
}

// fingerprint is a text of everything that can be reached from a policy, except for
// what packages other than Weir's keep in their own types (CEL's programs, locks).
func fingerprint(p *Policy) string {
	var out strings.Builder
	walk(&out, reflect.ValueOf(p), map[uintptr]bool{})
	return out.String()
}

func walk(out *strings.Builder, v reflect.Value, seen map[uintptr]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			fmt.Fprintf(out, "%x ", v.Pointer())
			return
		}
		seen[v.Pointer()] = true
		walk(out, v.Elem(), seen)
	case reflect.Interface:
		if !v.IsNil() {
			walk(out, v.Elem(), seen)
		}
	case reflect.Struct:
		if of := v.Type().PkgPath(); of != "" && !strings.HasPrefix(of, "weir/") {
			return
		}
		for i := range v.NumField() {
			walk(out, v.Field(i), seen)
		}
	case reflect.Slice, reflect.Array:
		fmt.Fprintf(out, "[%d ", v.Len())
		for i := range v.Len() {
			walk(out, v.Index(i), seen)
		}
	case reflect.Map:
		var entries []string
		for each := v.MapRange(); each.Next(); {
			var entry strings.Builder
			walk(&entry, each.Key(), seen)
			walk(&entry, each.Value(), maps.Clone(seen))
			entries = append(entries, entry.String())
		}
		slices.Sort(entries)
		fmt.Fprintf(out, "{%d %s", v.Len(), entries)
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		fmt.Fprintf(out, "%x ", v.Pointer())
	default:
		fmt.Fprintf(out, "%v ", v)
	}
}

// What the test above compares shows a change deep inside of a policy.
func TestFingerprint(t *testing.T) {
	p := newWorld().load(t, pureConfig)
	before := fingerprint(p)
	if again := fingerprint(p); again != before {
		t.Error("the same policy is another")
	}
	view := p.byModel["m"][0].view
	view.Pricing.Input.USD++
	if fingerprint(p) == before {
		t.Error("another price is not seen")
	}
}
