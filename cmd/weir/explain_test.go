package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/llm"
	"weir/policy"
)

const explained = `
access_keys: [{name: team-a, value: team-a-team-a-team-a}]
on_http_request:
  - type: ai-gateway
    config:
      only_allow_configured_providers: true
      headers: {x-team: "${key.name}"}
      providers:
        - {id: ollama, base_url: "http://ollama.internal:11434", models: [{id: llama3.2}, {id: "llama3.2:1b"}]}
        - {id: openai, api_keys: [{value: sk-first-secret}, {value: sk-second-secret}], models: [{id: gpt-4o}]}
      model_selection: {strategy: ["ai.models.filter(m, m.metadata.x > 1)", "ai.models.filter(m, m.id != 'llama3.2:1b')"]}
      api_key_selection: {strategy: ["ai.keys.filter(k, k.id != 'openai#1')"]}
`

// TestExplain: every candidate with its reason, the plan, and what providers would
// receive, without credentials.
func TestExplain(t *testing.T) {
	config := file(t, "weir.yaml", explained)
	ask := func(body string, args ...string) string {
		t.Helper()
		o := newOutside(nil, append([]string{"explain", "-c", config, "-H", "User-Agent: x", "-H", "Authorization: Bearer of-the-client"}, args...)...)
		o.stdin = strings.NewReader(body)
		if code := run(t.Context(), o.system); code != 0 {
			t.Fatalf("exit code %d: %s", code, o.stderr.String())
		}
		out := o.stdout.String()
		for _, secret := range []string{"sk-first-secret", "sk-second-secret", "of-the-client"} {
			if strings.Contains(out, secret) {
				t.Errorf("shows %q:\n%s", secret, out)
			}
		}
		return out
	}
	const request = `{"models":["llama3.2","openai:gpt-4o","llama3.2:1b","nix"]}`
	want := `POST /v1/chat/completions (chat)
asked for   llama3.2, openai:gpt-4o, llama3.2:1b, nix
access key  team-a

candidates
  + ollama:llama3.2
      ai.models.filter(m, m.id != 'llama3.2:1b')
  + openai:gpt-4o
      ai.models.filter(m, m.id != 'llama3.2:1b')
  - ollama:llama3.2:1b
      left out by ai.models.filter(m, m.id != 'llama3.2:1b')
  - nix
      model_not_found: no provider has a model of this name

strategies
  ai.models.filter(m, m.metadata.x > 1)
      nothing
  ai.models.filter(m, m.id != 'llama3.2:1b')
      ollama:llama3.2, openai:gpt-4o

keys
  openai:gpt-4o
      ai.keys.filter(k, k.id != 'openai#1')
      openai#2

left out  nix, llama3.2:1b

plan  at most 3m0s for an attempt, 6m0s for all

1. ollama, model llama3.2
   POST http://ollama.internal:11434/v1/chat/completions
   content-type: application/json
   user-agent: x
   cdn-loop: weir-…
   x-team: team-a

   {"model":"llama3.2"}

2. openai, model gpt-4o, key openai#2
   POST https://api.openai.com/v1/chat/completions
   content-type: application/json
   user-agent: x
   cdn-loop: weir-…
   x-team: team-a
   authorization: Bearer [redacted]

   {"model":"gpt-4o"}
`
	if diff := cmp.Diff(want, ask(request, "--key", "team-a")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var e policy.Explanation
	if err := json.Unmarshal([]byte(ask(`{"model":"llama3.2:1b"}`, "--json", "--key", "team-a-team-a-team-a")), &e); err != nil {
		t.Fatal(err)
	}
	if e.Error == nil || e.Error.Code != llm.NoModelsSelected || e.Error.Status != 422 || len(e.Attempts) != 0 {
		t.Errorf("%+v", e)
	}
	for _, header := range []string{"Authorization: bearer team-a-team-a-team-a", "x-api-key: team-a-team-a-team-a"} {
		o := newOutside(nil, "explain", "-c", config, "-H", header)
		o.stdin = strings.NewReader(request)
		if code := run(t.Context(), o.system); code != 0 || !strings.Contains(o.stdout.String(), "access key  team-a\n") {
			t.Errorf("%s: exit code %d, %s%s", header, code, o.stdout.String(), o.stderr.String())
		}
	}
	if code, _, stderr := weir(t, nil, "explain", "-c", config); code != 1 || !strings.Contains(stderr, "access key") {
		t.Errorf("without a key: exit code %d, %s", code, stderr)
	}
}

// TestExplainBody: the request may be a file, and then the configuration may come on
// standard input.
func TestExplainBody(t *testing.T) {
	o := newOutside(nil, "explain", "-c", "-", "--body", file(t, "request.json", `{"model":"llama3.2"}`), "--key", "team-a")
	o.stdin = strings.NewReader(explained)
	if code := run(t.Context(), o.system); code != 0 || !strings.Contains(o.stdout.String(), "1. ollama, model llama3.2\n") {
		t.Errorf("exit code %d, %s%s", code, o.stdout.String(), o.stderr.String())
	}
	if code, _, stderr := weir(t, nil, "explain", "-c", file(t, "weir.yaml", explained), "--body", "/does/not/exist"); code != 1 || !strings.Contains(stderr, "open /does/not/exist: no such file") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestExplainCatalogue: without a model in the request, the catalogue's models are
// candidates. Those whose provider has no key are counted, not listed.
func TestExplainCatalogue(t *testing.T) {
	config := file(t, "weir.yaml", "providers: [{id: mine, base_url: http://mine.internal, models: [{id: m}]}]\n")
	o := newOutside(nil, "explain", "-c", config)
	o.stdin = strings.NewReader(`{"messages":[]}`)
	if code := run(t.Context(), o.system); code != 0 {
		t.Fatalf("exit code %d: %s", code, o.stderr.String())
	}
	want := regexp.MustCompile(`
candidates
  \+ mine:m
      no strategy is configured
  - \d\d+ models of openai, anthropic, google, [a-z, -]+
      no_provider_key: the provider has no key

plan `)
	if !want.MatchString(o.stdout.String()) {
		t.Errorf("%s\nwant %s", o.stdout.String(), want)
	}
}

// TestExplainRefused: a request that the gateway would refuse is explained, too.
func TestExplainRefused(t *testing.T) {
	config := file(t, "weir.yaml", "providers: [{id: mine, base_url: http://mine.internal}]\n")
	o := newOutside(nil, "explain", "-c", config)
	o.stdin = strings.NewReader(`{"model":"openai:gpt-4o"}`)
	want := "\ncandidates\n  - openai:gpt-4o\n      no_provider_key: the provider has no key\n\nresponse  424 no_provider_key\n"
	if code := run(t.Context(), o.system); code != 0 || !strings.Contains(o.stdout.String(), want) {
		t.Errorf("exit code %d, %s%s", code, o.stdout.String(), o.stderr.String())
	}
}

// TestExplainURL: a key in a base URL is redacted.
func TestExplainURL(t *testing.T) {
	config := file(t, "weir.yaml", `providers: [{id: p, base_url: "https://p.internal/v1?api-version=1&api_key=sk-in-the-url"}]`)
	o := newOutside(nil, "explain", "-c", config)
	o.stdin = strings.NewReader(`{"model":"p:m"}`)
	if code := run(t.Context(), o.system); code != 0 {
		t.Fatalf("exit code %d: %s", code, o.stderr.String())
	}
	if want := "POST https://p.internal/v1/chat/completions?api-version=1&api_key=[redacted]\n"; !strings.Contains(o.stdout.String(), want) {
		t.Errorf("want %s in\n%s", want, o.stdout.String())
	}
}

// TestExplainTooLarge: a body that is too large is refused, not truncated and
// explained.
func TestExplainTooLarge(t *testing.T) {
	o := newOutside(nil, "explain", "-c", file(t, "weir.yaml", "max_body_bytes: 1024\nallow_anonymous: true\nproviders: [{id: a, base_url: http://a.internal}]\n"))
	o.stdin = strings.NewReader(`{"model":"a:m","x":"` + strings.Repeat("x", 1024) + `"}`)
	if code := run(t.Context(), o.system); code != 1 || !strings.Contains(o.stderr.String(), "larger than 1024 bytes") {
		t.Errorf("exit code %d: %s", code, o.stderr.String())
	}
}

// TestExplainUntried: a candidate without an attempt is not shown as kept.
func TestExplainUntried(t *testing.T) {
	config := "allow_anonymous: true\non_http_request: [{type: ai-gateway, config: {only_allow_configured_providers: true, failover_on: [429], api_key_selection: {strategy: [\"ai.keys.filter(k, k.id != 'p1#1')\"]}, providers: ["
	for i := range 12 {
		config += fmt.Sprintf("{id: p%d, base_url: http://p%d.internal, models: [{id: m}], api_keys: [{value: key}]}, ", i, i)
	}
	o := newOutside(nil, "explain", "--json", "-c", file(t, "weir.yaml", config+"]}}]\n"))
	o.stdin = strings.NewReader(`{"model":"m"}`)
	if code := run(t.Context(), o.system); code != 0 {
		t.Fatalf("exit code %d: %s", code, o.stderr.String())
	}
	var e policy.Explanation
	if err := json.Unmarshal([]byte(o.stdout.String()), &e); err != nil {
		t.Fatal(err)
	}
	tried := map[string]bool{}
	for _, a := range e.Attempts {
		tried[a.Provider] = true
	}
	why := map[string]string{"p1": "the key strategies chose no key of its provider", "p10": "the plan is full before it", "p11": "the plan is full before it"}
	for _, c := range e.Candidates {
		want := "no strategy is configured"
		if why[c.Provider] != "" {
			want = why[c.Provider]
		}
		if c.Kept != tried[c.Provider] || c.By != want {
			t.Errorf("%+v, want %q, tried %t", c, want, tried[c.Provider])
		}
	}
}
