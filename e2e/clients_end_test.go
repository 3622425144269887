package e2e

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// With strict_stream_end the official SDKs report a stream that was cut, which
// without it some take for a whole response.
func TestClientsOfCutStreams(t *testing.T) {
	t.Parallel()
	strict := recorder.Start(t)
	g := gatewaytest.Start(t, fmt.Sprintf(`
access_keys: [{name: clients, value: %s}]
on_http_request:
  - type: ai-gateway
    config:
      strict_stream_end: true
      providers:
        - {id: p, base_url: %s, supported_api_surfaces: [{format: openai}, {format: anthropic}]}
`, accessKey, strict.URL()), gatewaytest.Secrets(accessKey))
	between := func(x *recorder.Exchange) { x.SendEvents(3) }
	inside := func(x *recorder.Exchange) {
		x.SendEvents(3)
		x.Flush()
		_, _ = x.Write([]byte(`data: {"id":"x","cho`))
	}
	for _, c := range []struct {
		name   string
		script script
		op     string
		want   apiError
		inside string // class of what is raised for half an event
	}{
		{"chat", script{"python-openai", openaiEnv, python("run_openai.py")}, "chat_stream",
			apiError{"APIError", 0, cutMessage, "api_error", "stream_truncated"}, "JSONDecodeError"},
		{"responses", script{"python-openai", openaiEnv, python("run_openai.py")}, "responses_stream",
			apiError{"ResponseErrorEvent", 0, cutMessage, "", "stream_truncated"}, "JSONDecodeError"},
		{"messages", script{"python-anthropic", anthropicEnv, python("run_anthropic.py")}, "messages_stream",
			apiError{"APIStatusError", 200, cutMessage, "api_error", ""}, "APIStatusError"},
	} {
		t.Run(c.name, func(t *testing.T) {
			strict.Reset()
			strict.Script(recorder.Default, between, inside)
			once := map[string]any{"max_retries": 0}
			one := step{c.op, "p:m", prompt, once}
			got := runSteps(t, c.script, g.URL, accessKey, []step{one, one, one})
			checkResult(t, c.op, got[0], strict.ResponseText("m"))
			if diff := cmp.Diff(result{Error: &c.want}, got[1]); diff != "" {
				t.Errorf("cut between events: - want, + got:\n%s", diff)
			}
			if got[2].Error == nil || got[2].Error.Class != c.inside {
				t.Errorf("cut in an event: %+v, %+v", got[2], got[2].Error)
			}
		})
	}
}
