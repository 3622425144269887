package extproc

import (
	"testing"
	"time"

	"weir/llm"
	"weir/policy"
	"weir/policy/expression"
)

// failing are numbers that change: a model that fails, by its place.
type failing struct{ place int }

func (f *failing) Now() policy.Numbers { return *f }

func (f failing) Model(place int, of expression.Metric) float64 {
	if place == f.place && of == expression.ErrorTotal {
		return 1
	}
	return 0
}

func (failing) Key(int) expression.KeyNumbers { return expression.KeyNumbers{} }

// A plan is made with the numbers of when the body is there, not of when the request
// began.
func TestNumbersOfThePlan(t *testing.T) {
	current, _, problems := policy.Load(policy.Source{File: "weir.yaml", Data: []byte(`
on_http_request:
  - type: ai-gateway
    config:
      model_selection: {strategy: ["ai.models.filter(m, m.metrics.global.error_rate.total < 0.5)"]}
      only_allow_configured_providers: true
      providers:
        - {id: a, base_url: http://a.internal, models: [{id: m}]}
        - {id: b, base_url: http://b.internal, models: [{id: m}]}
`), Getenv: func(string) string { return "" }})
	if problems != nil {
		t.Fatal(problems)
	}
	numbers := &failing{0}
	began := Current{Policy: current, Numbers: numbers}
	f := func(place int, provider string) {
		t.Helper()
		numbers.place = place
		x := newExchange()
		x.in.Body = []byte(`{"messages":[]}`)
		req := &request{Admission: policy.Admission{Route: llm.Route{Endpoint: llm.EndpointAt("/v1/chat/completions")}}}
		plan, err := new(Processor).plan(began, req, x, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.Attempts[0].Cluster.Provider; got != provider || len(plan.Attempts) != 1 {
			t.Errorf("%d attempts, the first at %s, want %s alone", len(plan.Attempts), got, provider)
		}
	}
	f(0, "b")
	f(1, "a")
}
