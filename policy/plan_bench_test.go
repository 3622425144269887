package policy

import (
	"fmt"
	"strings"
	"testing"

	"weir/identity"
	"weir/llm"
	"weir/metadata"
)

// manyProviders has a thousand providers with a model each.
func manyProviders(t testing.TB) (*Policy, *identity.Key) {
	t.Helper()
	var b strings.Builder
	b.WriteString("access_keys: [{name: k, value: 0123456789abcdef, configuration: {access: {models: {allow: [\"p-7:model-7\"")
	for i := range 1000 {
		fmt.Fprintf(&b, ", \"p-%d:model-%d\"", i, i)
	}
	b.WriteString("]}}}}]\nproviders:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "  - {id: p-%d, base_url: 'http://p-%d.internal/v1', api_keys: [{value: k%d}], models: [{id: model-%d, provider_model_id: org/model-%d}]}\n", i, i, i, i, i)
	}
	p, keys := newWorld().loadAll(t, b.String())
	return p, keys.Named("k")
}

type planCase struct {
	name, query, body string
	key               bool
	allocs            float64
}

// scoped is the key of a case: this one, or none.
func (c *planCase) scoped(key *identity.Key) *identity.Key {
	if c.key {
		return key
	}
	return nil
}

// planCases are what is measured, with the most allocations that each may make.
var planCases = []planCase{
	{"single", "", `{"model":"model-500","messages":[{"role":"user","content":"Hello"}],"stream":true}`, false, 1},
	{"prefixed", "", `{"model":"p-500:model-500","messages":[{"role":"user","content":"Hello"}]}`, false, 1},
	{"scoped", "", `{"model":"p-500/model-500","messages":[{"role":"user","content":"Hello"}]}`, true, 1},
	{"fallback3", "", `{"model":"model-500","models":["p-7:model-7","model-999","p-1/unlisted"],"messages":[{"role":"user","content":"Hello"}]}`, false, 1},
	{"fallback3-upper-case", "", `{"model":"Model-500","models":["P-7:Model-7","Model-999","P-1/unlisted"],"messages":[]}`, false, 5},
	{"auto", "", `{"messages":[{"role":"user","content":"Hello"}]}`, false, 1},
}

func (c *planRequest) plan(b testing.TB) *Plan {
	plan, err := c.policy.Plan(&c.request)
	if err != nil {
		b.Fatal(err)
	}
	return plan
}

type planRequest struct {
	policy  *Policy
	request Request
	numbers Numbers
}

func newPlanRequest(t testing.TB, p *Policy, query, bodyText string, key *identity.Key) *planRequest {
	r := &planRequest{policy: p, request: Request{Endpoint: llm.EndpointAt(llm.ChatCompletionsPath), Query: query, Body: readBody(t, bodyText), Now: testNow, Key: key}}
	return r
}

func BenchmarkPlan(b *testing.B) {
	p, key := manyProviders(b)
	for _, c := range planCases {
		r := newPlanRequest(b, p, c.query, c.body, c.scoped(key))
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.plan(b)
			}
		})
		if len(r.plan(b).Attempts) == 1 {
			continue
		}
		b.Run(c.name+"/encoded", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				encode(r.plan(b))
			}
		})
	}
}

func BenchmarkDecodeRetry(b *testing.B) {
	p, _ := manyProviders(b)
	plan := newPlanRequest(b, p, "", planCases[3].body, nil).plan(b)
	encoded := encode(plan)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := metadata.DecodeRetry(encoded, 3, plan.Attempts[2].Cluster.Name, plan.Attempts[0].Length, testNow); err != nil {
			b.Fatal(err)
		}
	}
}

// Budgets of the request path.
func TestPlanAllocations(t *testing.T) {
	p, key := manyProviders(t)
	for _, c := range planCases {
		r := newPlanRequest(t, p, c.query, c.body, c.scoped(key))
		if got := testing.AllocsPerRun(100, func() { r.plan(t) }); got > c.allocs {
			t.Errorf("%s: %v allocations, the budget is %v", c.name, got, c.allocs)
		}
		plan := r.plan(t)
		if got := testing.AllocsPerRun(100, func() { encode(plan) }); got > 2 {
			t.Errorf("%s: Encode makes %v allocations, the budget is 2", c.name, got)
		}
	}
}
