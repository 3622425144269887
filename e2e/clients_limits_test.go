package e2e

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// The official SDKs report a limit as such, and by default try again until
// there is room.
func TestClientsAtALimit(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	g := startLimited(t, "{max_requests: 3, max_requests_per_key: 2, max_wait: 1ms}", "", p)
	for _, c := range []struct {
		script        script
		op            string
		limited, full string // classes
		code          bool   // errors have one
	}{
		{script{"python-openai", openaiEnv, python("run_openai.py")}, "chat", "RateLimitError", "InternalServerError", true},
		{script{"python-anthropic", anthropicEnv, python("run_anthropic.py")}, "messages", "RateLimitError", "ServiceUnavailableError", false},
		{script{"node-openai", openaiEnv, node("run_openai.mjs")}, "responses", "RateLimitError", "InternalServerError", true},
	} {
		t.Run(c.script.name, func(t *testing.T) {
			p.Reset()
			once, patient := map[string]any{"max_retries": 0}, map[string]any{"max_retries": 20}
			one := step{c.op, "p:m", prompt, once}
			codes := func(code string) string {
				if c.code {
					return code
				}
				return ""
			}
			release, _ := hold(t, g, p, http1(t), loudKey, 2)
			defer release()
			want := apiError{c.limited, 429, "this access key has reached its limit of 2 running requests: wait until one ends", "rate_limit_error", codes("rate_limit")}
			if diff := cmp.Diff(result{Error: &want}, runSteps(t, c.script, g.URL, loudKey, []step{one})[0]); diff != "" {
				t.Errorf("at the key's limit: - want, + got:\n%s", diff)
			}
			releaseOther, _ := hold(t, g, p, http1(t), quietKey, 1)
			defer releaseOther()
			want = apiError{c.full, 503, "the gateway has reached its limit of running requests: try again in 1s", "api_error", codes("overloaded")}
			if diff := cmp.Diff(result{Error: &want}, runSteps(t, c.script, g.URL, quietKey, []step{one})[0]); diff != "" {
				t.Errorf("at the gateway's limit: - want, + got:\n%s", diff)
			}
			releaseOther()
			inUse(t, g, 2)
			before := metric(t, g, `weir_limit_reached_total{limit="key_requests"}`)
			got := make(chan result)
			one.Options = patient
			go func() { got <- runSteps(t, c.script, g.URL, loudKey, []step{one})[0] }()
			gatewaytest.Eventually(t, "a refusal", func() bool {
				return metric(t, g, `weir_limit_reached_total{limit="key_requests"}`) != before
			})
			release()
			checkResult(t, c.op, <-got, p.ResponseText("m"))
			inUse(t, g, 0)
		})
	}
	if got := fmt.Sprint(metric(t, g, "weir_requests_lost_total")); got != "0" {
		t.Errorf("%s requests ended without a report", got)
	}
}
