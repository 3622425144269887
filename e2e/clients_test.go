package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// step is one call of a client; see clients/steps.py.
type step struct {
	Op      string         `json:"op"`
	Model   string         `json:"model"`
	Prompt  string         `json:"prompt"`
	Options map[string]any `json:"options,omitempty"`
}

// result is what a client made of the answer to a step.
type result struct {
	Text    string      `json:"text"`
	Model   string      `json:"model"`
	Finish  string      `json:"finish"`
	Tokens  int         `json:"tokens"`
	Events  int         `json:"events"`
	Vectors [][]float64 `json:"vectors"`
	Models  []string    `json:"models"`
	Error   *apiError   `json:"error"`
}

type apiError struct {
	Class   string `json:"class"`
	Status  int    `json:"status"`
	Message string `json:"message"`
	Type    string `json:"type"`
	Code    string `json:"code"`
}

// operation is what a client does the same way with and without a gateway.
type operation struct {
	name string
	path string // at the provider
	want func(result) bool
}

func says(text string) func(result) bool {
	return func(r result) bool { return r.Text == text }
}

var (
	chat        = operation{"chat", "/v1/chat/completions", whole}
	chatStream  = operation{"chat_stream", "/v1/chat/completions", streamed}
	responses   = operation{"responses", "/v1/responses", whole}
	respStream  = operation{"responses_stream", "/v1/responses", streamed}
	completions = operation{"completions", "/v1/completions", whole}
	transcribe  = operation{"transcription", "/v1/audio/transcriptions", whole}
	tools       = operation{"tools", "/v1/chat/completions", whole}
	messages    = operation{"messages", "/v1/messages", whole}
	msgStream   = operation{"messages_stream", "/v1/messages", streamed}
	countTokens = operation{"count_tokens", "/v1/messages/count_tokens", func(r result) bool { return r.Tokens > 0 }}
	embeddings  = operation{"embeddings", "/v1/embeddings", func(r result) bool { return len(r.Vectors) == 2 && len(r.Vectors[0]) == 256 && r.Vectors[0][0] != 0 }}
)

func whole(r result) bool    { return r.Text != "" && r.Events == 0 }
func streamed(r result) bool { return r.Text != "" && r.Events > 4 }

func TestClients(t *testing.T) {
	clients := []struct {
		script
		operations []operation
	}{
		{script{"python-openai", openaiEnv, python("run_openai.py")}, []operation{chat, chatStream, responses, respStream, completions, embeddings, transcribe}},
		{script{"python-anthropic", anthropicEnv, python("run_anthropic.py")}, []operation{messages, msgStream, countTokens}},
		{script{"langchain-openai", openaiEnv, python("run_langchain.py")}, []operation{chat, chatStream, responses, tools}},
		{script{"node-openai", openaiEnv, node("run_openai.mjs")}, []operation{chat, chatStream, responses, respStream, completions, embeddings, transcribe}},
	}
	var providers strings.Builder
	recorders := map[string]*recorder.Provider{}
	for _, c := range clients {
		p := recorder.Start(t, recorder.WithName(c.name))
		recorders[c.name] = p
		fmt.Fprintf(&providers, `
        - id: %s
          base_url: %s
          api_keys: [{value: key-of-%[1]s}]
          supported_api_surfaces: [{format: openai}, {format: anthropic}]
          models: [{id: %[1]s-model, display_name: Model}]`, c.name, p.URL())
	}
	g := gatewaytest.Start(t, fmt.Sprintf(`
max_body_bytes: 4194304
access_keys: [{name: clients, value: weir-key-of-the-clients}]
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: 2s
      providers:%s
`, providers.String()))

	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := recorders[c.name]
			var steps []step
			for _, o := range c.operations {
				steps = append(steps, step{Op: o.name, Model: "m", Prompt: "Grüße, 世界 🌍 </script> \u2028 \"quoted\""})
			}
			direct := runSteps(t, c.script, p.URL(), "key-of-"+c.name, steps)
			sent := p.Requests()
			p.Reset()
			for i := range steps {
				steps[i].Model = c.name + ":m"
			}
			through := runSteps(t, c.script, g.URL, "weir-key-of-the-clients", steps)
			received := p.Requests()
			if diff := cmp.Diff(direct, through); diff != "" {
				t.Errorf("results: direct - through\n%s", diff)
			}
			for i, r := range received {
				r.RawHeader = nil
				t.Logf("%s %s\n- %v\n+ %v", r.Method, r.Path, sent[i].Header, r.Header)
				if !bytes.Equal(r.Body, sent[i].Body) {
					t.Errorf("-%s\n+%s", sent[i].Body, r.Body)
				}
			}
		})
	}
	_ = maps.Keys(recorders)
	_ = slices.Sorted[string]
	_ = http.MethodGet
}

// runSteps runs a client's script and gives a result for each step.
func runSteps(t *testing.T, c script, base, key string, steps []step) []result {
	t.Helper()
	arg, err := json.Marshal(steps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), gatewaytest.Patience)
	defer cancel()
	cmd := c.cmd(t, ctx, string(arg))
	for _, name := range []string{"PATH", "HOME"} {
		cmd.Env = append(cmd.Env, name+"="+os.Getenv(name))
	}
	cmd.Env = append(cmd.Env, c.env(base, key)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", c.name, err, &stderr)
	}
	results := make([]result, len(steps))
	lines := json.NewDecoder(bytes.NewReader(out))
	for i := range results {
		if err := lines.Decode(&results[i]); err != nil {
			t.Fatalf("%s: result %d: %v\n%s", c.name, i, err, out)
		}
	}
	return results
}
