package policy

import (
	"strings"
	"testing"
	"time"

	"weir/llm"
)

// TestWithoutFailover: what `weir check` says of strategies, and what Explain says of a
// request.
func TestWithoutFailover(t *testing.T) {
	const (
		two    = "[{id: a, base_url: http://a.internal, models: [{id: m}]}, {id: b, base_url: http://b.internal, models: [{id: m}, {id: n}]}]"
		prefer = "ai.models.sortBy(m, m.provider_id != 'a')"
	)
	for name, c := range map[string]struct{ config, providers, warning, body, note string }{
		"one of two":        {`model_selection: {strategy: ["ai.models.filter(m, m.provider_id == 'a')"]}`, two, `strategy[0]: keeps only models of "a", so a request that names no model, or one of its models, has no failover to "b"; to prefer a provider and keep the others, write "` + prefer + `"`, `{"model":"m"}`, `no failover to another provider: the strategies keep only models of "a" for this request, and leave out "b"`},
		"the guide's two":   {`model_selection: {strategy: ["ai.models.onlyProviders(['a'])", "ai.models.onlyProviders(['b'])"]}`, two, `strategy[0]: keeps only models of "a"`, `{"models":["a:m","b:m"]}`, ""},
		"a name of one":     {`model_selection: {strategy: ["ai.models.onlyProviders(['a'])", "ai.models.onlyProviders(['b'])"]}`, two, "strategy[0]", `{"model":"n"}`, ""},
		"what is preferred": {`model_selection: {strategy: ["` + prefer + `", "ai.models[0]"]}`, two, "", `{"model":"m"}`, ""},
		"random":            {`model_selection: {strategy: ["ai.models.random()"]}`, two, "", `{"model":"m"}`, ""},
		"one model":         {`model_selection: {strategy: ["ai.models[0]"]}`, two, "strategy[0]", `{}`, "no failover"},
		"one drawn":         {`model_selection: {strategy: ["[ai.models.random()]"]}`, two, "strategy[0]", `{}`, "no failover"},
		"by the request":    {`model_selection: {strategy: ["ai.models.filter(m, m.provider_id in req.headers['x-p'])", "ai.models"]}`, two, "", `{}`, ""},
		"the second":        {`model_selection: {strategy: ["ai.models.filter(m, m.provider_id in req.headers['x-p'])", "ai.models.filter(m, m.id == 'none')", "ai.models.only(['a:m'])"]}`, two, "strategy[2]", `{}`, "no failover"},
		"by the numbers":    {`model_selection: {strategy: ["ai.models.filter(m, m.metrics.global.error_rate.total < 0.1)"]}`, two, "", `{}`, ""},
		"failover is off":   {`model_selection: {strategy: ["ai.models[0]"]}, failover_on: []`, two, "", `{}`, ""},
		"one provider":      {`model_selection: {strategy: ["ai.models[0]"]}`, "[{id: b, base_url: http://b.internal, models: [{id: m}, {id: n}]}]", "", `{}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			source := newWorld().source("on_http_request: [{type: ai-gateway, config: {only_allow_configured_providers: true, providers: " + c.providers + ", " + c.config + "}}]")
			loaded, problems := Reload(source, Loaded{})
			if err := problems.Err(); err != nil {
				t.Fatal(err)
			}
			warning := ""
			for _, w := range loaded.Warnings(time.Now()) {
				warning += w.Path + ": " + w.Message
			}
			if !strings.Contains(warning, c.warning) || (warning == "") != (c.warning == "") {
				t.Errorf("warns %q\nwant  %q", warning, c.warning)
			}
			e := loaded.Policy.Explain(&Request{Endpoint: llm.EndpointAt(llm.ChatCompletionsPath), Body: readBody(t, c.body), Now: testNow}, nil)
			if !strings.Contains(e.Note, c.note) || (e.Note == "") != (c.note == "") || e.Error != nil {
				t.Errorf("notes %q, want %q; %v", e.Note, c.note, e.Error)
			}
		})
	}
}
