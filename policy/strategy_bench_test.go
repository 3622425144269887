package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/identity"
	"weir/llm"
	"weir/llm/body"
	"weir/metadata"
	"weir/policy/expression"
)

type strategyCase struct{ name, source string }

// strategyCases are the strategies in testdata/seeds.yaml, and others that read live
// numbers.
var strategyCases = []strategyCase{
	{"first-of-two", `["ai.models.filter(m, m.provider_id == 'nobody')", "ai.models.filter(m, m.provider_id == 'openai')"]`},
	{"filter", `["ai.models.filter(m, m.provider_id == 'ollama')"]`},
	{"random", `["ai.models.random()"]`},
	{"filter-random", `["ai.models.filter(m, m.provider_id in ['ollama-gpu-1', 'ollama-gpu-2']).random()"]`},
	{"price", `["ai.models.sortBy('price')"]`},
	{"error-rate", `["ai.models.filter(m, m.metrics.global.error_rate.total < 0.1)"]`},
	{"latency", `["ai.models.sortBy(m, m.metrics.global.latency.time_to_first_token_ms_p95)"]`},
	{"error-rate-latency", `["ai.models.filter(m, m.metrics.global.error_rate.total < 0.1).sortBy(m, m.metrics.global.latency.time_to_first_token_ms_p95)"]`},
	{"error-rate-of-some", `["ai.models.filter(m, m.provider_id != 'openai' && (m.metrics.global.error_rate.total < 0.1 || m.metrics.global.request_count == 0))"]`},
}

// strategyRequests are what is asked of each strategy: anything, anything that
// a key of a long scope may use, and names.
var strategyRequests = []struct{ name, key, body string }{
	{"auto", "", `{"messages":[{"role":"user","content":"Hello"}],"stream":true}`},
	{"auto-scoped", "0123456789abcdef", `{"messages":[{"role":"user","content":"Hello"}],"stream":true}`},
	{"named", "", `{"model":"openai:model-7","models":["ollama:model-8","ollama-gpu-1:model-9","ollama-gpu-2:model-10"],"messages":[]}`},
	{"name-of-twenty", "", `{"model":"model-7","messages":[]}`},
	{"names-of-twenty", "", `{"model":"openai:model-8","models":["model-7","model-8","elsewhere/m"],"messages":[]}`},
}

// thousandModels has a thousand models of twenty providers, with live numbers.
func thousandModels(t testing.TB, strategy string) (*Policy, *AccessKeys) {
	t.Helper()
	var b strings.Builder
	b.WriteString("access_keys: [{name: k, value: 0123456789abcdef, configuration: {access: {providers: {allow: [openai, ollama, ollama-gpu-1, ollama-gpu-2")
	providers := []string{"openai", "ollama", "ollama-gpu-1", "ollama-gpu-2"}
	for i := len(providers); i < 20; i++ {
		providers = append(providers, fmt.Sprint("p-", i))
		fmt.Fprintf(&b, ", p-%d", i)
	}
	b.WriteString("]}, models: {allow: [\"openai:model-7\"")
	for _, id := range providers {
		for k := range 50 {
			if k%10 != 0 {
				fmt.Fprintf(&b, ", \"%s:model-%d\"", id, k)
			}
		}
	}
	fmt.Fprintf(&b, "]}}}}]\nallow_anonymous: true\non_http_request:\n  - type: ai-gateway\n    config:\n      only_allow_configured_models: true\n      model_selection: {strategy: %s}\n      providers:\n", strategy)
	for i, id := range providers {
		fmt.Fprintf(&b, "        - {id: %s, base_url: 'http://%s.internal/v1', api_keys: [{value: k%d}], models: [", id, id, i)
		for k := range 50 {
			fmt.Fprintf(&b, "{id: model-%d, pricing: {input: '%d'}}, ", k, (k*7919+i)%1000)
		}
		b.WriteString("]}\n")
	}
	p, keys, problems := Load(newWorld().source(b.String()))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return p, keys
}

// drawn are numbers of a policy's models that do not change.
type drawn struct {
	models []map[expression.Metric]float64
}

func (d *drawn) Model(place int, of expression.Metric) float64 { return d.models[place][of] }
func (d *drawn) Key(int) expression.KeyNumbers                 { return expression.KeyNumbers{} }

func drawNumbers(p *Policy) Numbers {
	random := rand.New(rand.NewPCG(1, 2))
	models, _ := p.Measured()
	d := &drawn{}
	for range models {
		d.models = append(d.models, map[expression.Metric]float64{
			expression.RequestCount: float64(random.IntN(9)), expression.TTFTP95: 1000 * random.Float64(), expression.ErrorTotal: 0.15 * random.Float64(),
		})
	}
	return d
}

// decide does what is done with the body of a request.
func (c *planRequest) decide(t testing.TB, parsed *body.Body, bytes []byte, random *rand.Rand) *Plan {
	if err := body.ReadJSON(bytes, parsed); err != nil {
		t.Fatal(err)
	}
	c.request.Endpoint, c.request.Body, c.request.Now, c.request.Random = llm.EndpointAt(llm.ChatCompletionsPath), parsed, testNow, random
	c.request.Numbers = c.numbers
	plan := c.plan(t)
	encode(plan)
	key := c.request.Key
	c.request.Reset()
	c.request.Key = key
	return plan
}

// eachStrategy runs over all strategies and requests.
func eachStrategy(t testing.TB, run func(name string, decide func() *Plan)) {
	for _, s := range strategyCases {
		p, keys := thousandModels(t, s.source)
		for _, r := range strategyRequests {
			c, body, random := &planRequest{policy: p, numbers: p.Snapshot(drawNumbers(p))}, new(body.Body), rand.New(rand.NewPCG(1, 2))
			c.request.Key = keys.Find(r.key)
			run(s.name+"/"+r.name, func() *Plan { return c.decide(t, body, []byte(r.body), random) })
		}
	}
}

// BenchmarkNameOfThousand measures plans for a name that a thousand providers
// have a model of.
func BenchmarkNameOfThousand(b *testing.B) {
	for _, s := range strategyCases {
		c := nameOfThousand(b, s.source)
		body, random := new(body.Body), rand.New(rand.NewPCG(1, 2))
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.decide(b, body, []byte(`{"model":"llama","messages":[]}`), random)
			}
		})
	}
}

func nameOfThousand(t testing.TB, strategy string) *planRequest {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "on_http_request:\n  - type: ai-gateway\n    config:\n      model_selection: {strategy: %s}\n      providers:\n", strategy)
	for i := range 1000 {
		id := fmt.Sprint("p-", i)
		if known := []string{"openai", "ollama", "ollama-gpu-1", "ollama-gpu-2"}; i%250 == 249 {
			id = known[i/250]
		}
		fmt.Fprintf(&b, "        - {id: %s, base_url: 'http://p-%d.internal/v1', models: [{id: llama}]}\n", id, i)
	}
	p := newWorld().load(t, b.String())
	return &planRequest{policy: p, numbers: p.Snapshot(drawNumbers(p))}
}

// BenchmarkStrategies measures whole plans, from the body's bytes to what
// travels with the request.
func BenchmarkStrategies(b *testing.B) {
	eachStrategy(b, func(name string, decide func() *Plan) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				decide()
			}
		})
	})
}

// BenchmarkStrategiesRequest measures plans whose strategy reads the request.
func BenchmarkStrategiesRequest(b *testing.B) {
	for _, s := range requestCases {
		p, _ := thousandModels(b, s.source)
		c, body, random := &planRequest{policy: p, numbers: p.Snapshot(drawNumbers(p))}, new(body.Body), rand.New(rand.NewPCG(1, 2))
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.decide(b, body, []byte(`{"messages":[{"role":"user","content":"Hello"}],"n":0}`), random)
			}
		})
	}
}

var requestCases = []strategyCase{
	{"request", `["ai.models.filter(m, m.max_output_tokens >= req.body.n)"]`},
	{"request-sorted", `["ai.models.filter(m, m.max_output_tokens >= req.body.n).sortBy('price')"]`},
	{"request-or-metadata", `["ai.models.filter(m, m.max_output_tokens >= req.body.n || m.metadata.tier > 1)"]`},
	{"error-rate-and-request", `["ai.models.filter(m, m.metrics.global.error_rate.total < 0.1 && m.max_output_tokens >= req.body.n)"]`},
	{"some-and-request", `["ai.models.filter(m, m.provider_id == 'openai' && m.max_output_tokens >= req.body.n)"]`},
	{"latency-request", `["ai.models.filter(m, m.metrics.global.latency.time_to_first_token_ms_p95 >= req.body.n)"]`},
}

// BenchmarkSnapshot measures what is evaluated after each tick, for all requests.
func BenchmarkSnapshot(b *testing.B) {
	for _, s := range append(strategyCases[5:], requestCases[5]) {
		p, _ := thousandModels(b, s.source)
		numbers := drawNumbers(p)
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Snapshot(numbers)
			}
		})
	}
}

// What a plan allocates does not grow with the models.
func TestStrategiesAllocations(t *testing.T) {
	const most, ofNames = 16, 34
	c, body, random := nameOfThousand(t, strategyCases[0].source), new(body.Body), rand.New(rand.NewPCG(1, 2))
	if got := testing.AllocsPerRun(20, func() { c.decide(t, body, []byte(`{"model":"llama","messages":[]}`), random) }); got > most {
		t.Errorf("a name of a thousand: %v allocations, %v at most", got, most)
	}
	eachStrategy(t, func(name string, decide func() *Plan) {
		limit := float64(most)
		if strings.HasSuffix(name, "names-of-twenty") || strings.HasSuffix(name, "/named") {
			limit = ofNames // 20 of them are the list's, whatever the strategy
		}
		if got := testing.AllocsPerRun(20, func() { decide() }); got > limit {
			t.Errorf("%s: %v allocations, %v at most", name, got, limit)
		}
	})
}

// A plan finds the first of an order, an explanation all of it: the attempts
// are the same.
func TestFirstOfAll(t *testing.T) {
	same := ""
	for i := range metadata.MaxAttempts {
		same += fmt.Sprintf("{id: same-%d, provider_model_id: one, pricing: {input: '0.1'}}, ", i)
	}
	policies, keys := []*Policy{newWorld().load(t, `
on_http_request:
  - type: ai-gateway
    config:
      only_allow_configured_providers: true
      model_selection: {strategy: ["ai.models.sortBy('price')"]}
      providers:
        - id: a
          base_url: http://a.internal
          models: [`+same+`{id: dear, pricing: {input: "2"}}]
`)}, []*AccessKeys{{Index: identity.NewIndex(nil)}}
	for _, s := range strategyCases {
		p, k := thousandModels(t, s.source)
		policies, keys = append(policies, p), append(keys, k)
	}
	for i, p := range policies {
		numbers := p.Snapshot(drawNumbers(p))
		for _, r := range strategyRequests {
			request := func() *Request {
				return &Request{Endpoint: llm.EndpointAt(llm.ChatCompletionsPath), Key: keys[i].Find(r.key), Body: readBody(t, r.body), Now: testNow, Random: rand.New(rand.NewPCG(3, 4)), Numbers: numbers}
			}
			var got, want []string
			plan, err := p.Plan(request())
			if err == nil {
				for _, a := range plan.Attempts {
					got = append(got, a.Cluster.Provider+" "+a.Model)
				}
			}
			for _, a := range p.Explain(request(), nil).Attempts {
				want = append(want, a.Provider+" "+a.Model)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", r.name, diff)
			}
		}
	}
}
