package policy

import (
	"fmt"
	"strings"
	"testing"

	"weir/llm"
	"weir/llm/body"
)

// TestStrategyCost tests that a strategy which takes long for each name of a list is not run for
// all of them.
func TestStrategyCost(t *testing.T) {
	p := newWorld().load(t, `
on_http_request:
  - type: ai-gateway
    config:
      providers: [{id: a, base_url: http://a.internal}]
      model_selection: {strategy: ["ai.models.filter(m, req.body.list.all(x, x != m.max_output_tokens))"]}
`)
	names := make([]string, body.MaxModels)
	for i := range names {
		names[i] = fmt.Sprintf(`"a:m-%d"`, i)
	}
	request := func(elements int) *Request {
		text := `{"list":[` + strings.TrimSuffix(strings.Repeat(`1,`, elements), ",") + `],"models":[` + strings.Join(names, ",") + `]}`
		return &Request{Endpoint: llm.EndpointAt(llm.ChatCompletionsPath), Body: readBody(t, text), Now: testNow}
	}
	short, err := p.Plan(request(10))
	if err != nil || len(short.Rejected) > 0 {
		t.Fatalf("a short list: rejected %v, %v", short.Rejected, err)
	}
	// Each run costs less than one may, two of them more.
	long, err := p.Plan(request(100_000))
	if err != nil || len(long.Attempts) != 2 || len(long.Rejected) != len(names)-2 {
		t.Errorf("a long list: %d attempts, rejected %v, %v", len(long.Attempts), long.Rejected, err)
	}
}
