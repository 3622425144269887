package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
	"weir/metadata"
)

// prompt has what JSON encoders differ on.
const prompt = "Grüße, 世界 🌍 </script> \u2028 \"quoted\" \\ /"

const accessKey = "weir-key-of-the-clients"

// step is one call of a client; see clients/steps.py.
type step struct {
	Op      string         `json:"op"`
	Model   string         `json:"model"`
	Prompt  string         `json:"prompt"`
	Options map[string]any `json:"options,omitempty"`
}

// result is what a client made of the response to a step.
type result struct {
	Text    string
	Model   string
	Finish  string
	Tokens  int
	Events  int
	Vectors [][]float64
	Models  []string
	Error   *apiError
}

// apiError is an exception of an SDK, with what it parsed.
type apiError struct {
	Class   string
	Status  int
	Message string
	Type    string
	Code    string
}

// clients are official SDKs: ops are what each does with a provider, key is the
// header that the provider takes its key from, and classes are the SDK's own
// for the refusals below, in their order.
var clients = []struct {
	script
	ops     []string
	key     string
	classes []string
}{
	{
		script{"python-openai", openaiEnv, python("run_openai.py")},
		[]string{"chat", "chat_stream", "responses", "responses_stream", "completions", "embeddings", "transcription"},
		"Authorization",
		[]string{"AuthenticationError", "NotFoundError", "APIStatusError", "BadRequestError", "InternalServerError", "InternalServerError"},
	},
	{
		script{"python-anthropic", anthropicEnv, python("run_anthropic.py")},
		[]string{"messages", "messages_stream", "count_tokens"},
		"X-Api-Key",
		[]string{"AuthenticationError", "NotFoundError", "ContentTooLargeError", "BadRequestError", "InternalServerError", "GatewayTimeoutError"},
	},
	{
		script{"langchain-openai", openaiEnv, python("run_langchain.py")},
		[]string{"chat", "chat_stream", "responses", "tools"},
		"Authorization",
		[]string{"OpenAIAuthenticationError", "OpenAIModelNotFoundError", "APIStatusError", "OpenAIInvalidRequestError", "OpenAIAPIError", "OpenAIAPIError"},
	},
	{
		script{"node-openai", openaiEnv, node("run_openai.mjs")},
		[]string{"chat", "chat_stream", "responses", "responses_stream", "completions", "embeddings", "transcription"},
		"Authorization",
		[]string{"AuthenticationError", "NotFoundError", "APIError", "BadRequestError", "InternalServerError", "InternalServerError"},
	},
	{
		script{"node-anthropic", anthropicEnv, node("run_anthropic.mjs")},
		[]string{"messages", "messages_stream", "count_tokens"},
		"X-Api-Key",
		[]string{"AuthenticationError", "NotFoundError", "ContentTooLargeError", "BadRequestError", "InternalServerError", "GatewayTimeoutError"},
	},
}

// otherBases are ways to give a client a base URL that is not the one of docs/clients.md.
var otherBases = map[string]func(base, key string) []string{
	"python-openai": azureEnv, "langchain-openai": azureV1Env, "node-openai": bareEnv, "python-anthropic": twiceEnv,
}

// Every client runs twice, first straight at the provider: through the gateway,
// with another base URL, key and model name, it must see the same and the
// provider must receive the same.
func TestClients(t *testing.T) {
	providers := map[string]*recorder.Provider{}
	config := ""
	add := func(id, base, models string) {
		config += fmt.Sprintf(`
        - id: %s
          base_url: %s
          api_keys: [{value: key-of-%[1]s}]
          supported_api_surfaces: [{format: openai}, {format: anthropic}]
          models: [%[3]s]`, id, base, models)
	}
	var listed []string
	for _, c := range clients {
		providers[c.name] = recorder.Start(t, recorder.WithName(c.name))
		add(c.name, providers[c.name].URL(), "{id: listed, author_id: an-author, display_name: an-author}")
		listed = append(listed, c.name+":listed")
	}
	failing := recorder.Start(t, recorder.WithName("failing"))
	failing.Script(slices.Repeat([]recorder.Response{recorder.Error(400)}, 2*len(clients))...)
	silent := recorder.Start(t)
	silent.Script(slices.Repeat([]recorder.Response{recorder.Silence}, 2*len(clients))...)
	add("failing", failing.URL(), "")
	add("silent", silent.URL(), "")
	add("refused", "http://"+recorder.ClosedAddr(t), "")
	g := gatewaytest.Start(t, fmt.Sprintf(`
max_body_bytes: 2097152
access_keys: [{name: clients, value: %s}]
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: 3s
      providers:%s
`, accessKey, config), gatewaytest.Secrets(accessKey, "key-of-"))

	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := providers[c.name]
			steps := func(model string) (out []step) {
				for _, op := range c.ops {
					out = append(out, step{Op: op, Model: model, Prompt: prompt})
				}
				return out
			}
			direct := runSteps(t, c.script, p.URL(), "key-of-"+c.name, steps("m"))
			sent := p.Requests()
			p.Reset()

			through := steps(c.name + ":m")
			lists := slices.Contains([]string{"python-openai", "python-anthropic", "node-openai", "node-anthropic"}, c.name)
			if lists {
				through = append(through, step{Op: "models"}, step{Op: "model", Model: c.name + ":listed"})
			}
			for _, f := range refusals(c.name, c.ops[0]) {
				through = append(through, f.step)
			}
			got := runSteps(t, c.script, g.URL, accessKey, through)
			received := p.Requests()

			for i, op := range c.ops {
				checkResult(t, op, direct[i], p.ResponseText("m"))
				if diff := cmp.Diff(direct[i], got[i]); diff != "" {
					t.Errorf("%s: - at the provider, + through the gateway:\n%s", op, diff)
				}
			}
			if len(sent) != len(c.ops) || len(received) != len(c.ops) {
				t.Fatalf("the provider received %d requests from the client, %d from the gateway, want %d", len(sent), len(received), len(c.ops))
			}
			for i := range sent {
				sameRequest(t, sent[i], received[i], c.key, "key-of-"+c.name)
			}
			if other := c.script; otherBases[c.name] != nil {
				p.Reset()
				other.env = otherBases[c.name]
				if diff := cmp.Diff(direct, runSteps(t, other, g.URL, accessKey, steps(c.name+":m"))); diff != "" {
					t.Errorf("with another base URL: - at the provider, + through the gateway:\n%s", diff)
				}
				for i, r := range p.Requests() {
					if r.Path != sent[i].Path {
						t.Errorf("with another base URL, the provider received %s, want %s", r.Path, sent[i].Path)
					}
				}
			}
			got = got[len(c.ops):]
			if lists {
				if diff := cmp.Diff([]result{{Models: listed}, {Model: c.name + ":listed", Text: "an-author"}}, got[:2]); diff != "" {
					t.Errorf("models: - want, + got:\n%s", diff)
				}
				got = got[2:]
			}
			for i, f := range refusals(c.name, c.ops[0]) {
				want := f.want
				want.Class = c.classes[i]
				if strings.HasSuffix(c.name, "-anthropic") {
					want.Code = "" // the API has none
				}
				if diff := cmp.Diff(result{Error: &want}, got[i]); diff != "" {
					t.Errorf("%s: - want, + got:\n%s", f.name, diff)
				}
			}
		})
	}
}

type refusal struct {
	name string
	step step
	want apiError
}

// refusals are errors that clients must recognise. The SDKs' own retries are
// off: they would repeat what the gateway has tried.
func refusals(client, op string) []refusal {
	once := map[string]any{"max_retries": 0}
	return []refusal{
		{"unknown key", step{op, client + ":m", prompt, map[string]any{"api_key": "not-a-key"}},
			apiError{"", 401, "unknown access key: check that it was copied completely and has not been revoked", "authentication_error", "invalid_api_key"}},
		{"unknown model", step{op, "nowhere", prompt, nil},
			apiError{"", 404, `unknown model "nowhere": write provider:model, or a name from GET /v1/models`, "not_found_error", "model_not_found"}},
		{"too large", step{op, client + ":m", strings.Repeat("too large ", 300_000), once},
			apiError{"", 413, "the request body is larger than 2097152 bytes", "invalid_request_error", "request_too_large"}},
		{"refused by the provider", step{op, "failing:m", prompt, once},
			apiError{"", 400, "failing refuses with 400", "invalid_request_error", ""}},
		{"unreachable", step{op, "refused:m", prompt, once},
			apiError{"", 502, "no provider of this model could be reached", "api_error", "provider_unreachable"}},
		{"silent", step{op, "silent:m", prompt, once},
			apiError{"", 504, "no provider responded in time", "timeout_error", "timeout"}},
	}
}

// checkResult holds what a client must have made of the recorder's response.
func checkResult(t *testing.T, op string, r result, text string) {
	t.Helper()
	ok := r.Text == text
	switch op {
	case "embeddings":
		ok = len(r.Vectors) == 2 && len(r.Vectors[0]) == 256 && r.Vectors[0][0] != 0
	case "count_tokens":
		ok = r.Tokens > 0
	}
	if strings.HasSuffix(op, "_stream") {
		ok = ok && r.Events > 4
	}
	if !ok || r.Error != nil {
		t.Errorf("%s: the client reports %+v, %+v, want %q", op, r, r.Error, text)
	}
}

// sameRequest compares what the provider received from a client and from the
// gateway, which has a key of its own.
func sameRequest(t *testing.T, sent, received recorder.Request, keyHeader, key string) {
	t.Helper()
	if sent.Method != received.Method || sent.Path != received.Path || sent.Authority != received.Authority {
		t.Errorf("sent %s %s to %s, received %s %s for %s", sent.Method, sent.Path, sent.Authority, received.Method, received.Path, received.Authority)
	}
	if received.Header.Get("X-Request-Id") == "" {
		t.Error("the provider received no x-request-id to find the request by")
	}
	if got := strings.TrimPrefix(received.Header.Get(keyHeader), "Bearer "); got != key {
		t.Errorf("the provider received the key %q, want %q", got, key)
	}
	if got := received.Header.Get("Accept-Encoding"); got != "" && got != "identity" {
		t.Errorf("the provider received accept-encoding %q: token usage is read from uncompressed responses", got)
	}
	// All else is the client's own, but for what belongs to its connection.
	for _, name := range []string{"X-Request-Id", "Accept-Encoding", metadata.HopHeader, keyHeader} {
		received.Header.Del(name)
	}
	for _, name := range []string{"Authorization", "X-Api-Key", "Accept-Encoding", "Connection", "Expect"} {
		sent.Header.Del(name)
	}
	if media, params, err := mime.ParseMediaType(sent.Header.Get("Content-Type")); err == nil && media == "multipart/form-data" {
		// A boundary is random, and as long each time.
		_, now, err := mime.ParseMediaType(received.Header.Get("Content-Type"))
		if err != nil || now["boundary"] == "" {
			t.Fatalf("received Content-Type %q", received.Header.Get("Content-Type"))
		}
		sent.Body = bytes.ReplaceAll(sent.Body, []byte(params["boundary"]), []byte(now["boundary"]))
		sent.Header.Set("Content-Type", strings.ReplaceAll(sent.Header.Get("Content-Type"), params["boundary"], now["boundary"]))
	}
	if diff := cmp.Diff(sent.Header, received.Header); diff != "" {
		t.Errorf("%s: headers: - sent, + received:\n%s", sent.Path, diff)
	}
	sameBody(t, sent.Path, sent.Body, received.Body)
}

// sameBody compares bytes; what it prints stays short.
func sameBody(t *testing.T, where string, want, got []byte) {
	t.Helper()
	if bytes.Equal(want, got) {
		return
	}
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	show := func(b []byte) []byte { return b[max(0, min(len(b), at)-40):min(len(b), at+40)] }
	t.Errorf("%s: a body of %d bytes arrived as %d bytes; they differ at byte %d:\n- …%q…\n+ …%q…", where, len(want), len(got), at, show(want), show(got))
}

// runSteps runs a client's script and returns a result for each step.
func runSteps(t *testing.T, c script, base, key string, steps []step) []result {
	t.Helper()
	file := filepath.Join(t.TempDir(), "steps.json")
	arg, err := json.Marshal(steps)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, arg, 0o600); err != nil {
		t.Fatal(err)
	}
	// An SDK takes seconds of CPU to be loaded, and a busy machine gives little.
	ctx, cancel := context.WithTimeout(t.Context(), 3*gatewaytest.Patience)
	defer cancel()
	cmd := c.cmd(t, ctx, file)
	cmd.Env = append(c.env(base, key), "PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"))
	out := output(t, cmd)
	results := make([]result, len(steps))
	lines := json.NewDecoder(bytes.NewReader(out))
	for i := range results {
		if err := lines.Decode(&results[i]); err != nil {
			t.Fatalf("%s: result %d: %v\n%s", c.name, i, err, out)
		}
	}
	return results
}

func output(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &stderr)
	}
	return out
}

// curl shows bytes: what it prints through the gateway is what it prints at
// the provider.
func TestCurl(t *testing.T) {
	needed(t, "curl")
	p := recorder.Start(t, recorder.WithName("alpha"))
	g := gatewaytest.Start(t, fmt.Sprintf(`
access_keys: [{name: clients, value: %s}]
providers:
  - id: alpha
    base_url: %s
    api_keys: [{value: key-of-alpha}]
    models: [{id: m}]
    supported_api_surfaces: [{format: openai}, {format: anthropic}]
`, accessKey, p.URL()), gatewaytest.Secrets(accessKey, "key-of-alpha"))

	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sound := write("speech.wav", strings.Repeat("\x00\xff\r\n--", 5000))
	curl := func(t *testing.T, base, header string, args []string) string {
		t.Helper()
		// -q: no curlrc of this user's. The status comes after the body.
		args = append([]string{"-q", "-sS", "-N", "--max-time", "60", "-w", "\n%{http_code} %{content_type}", "-H", header, base + args[0]}, args[1:]...)
		return string(output(t, exec.CommandContext(t.Context(), "curl", args...)))
	}
	const content = `"messages":[{"role":"user","content":"Hi"}]}`
	for _, c := range []struct {
		name   string
		header string // that carries the key
		args   func(model string) []string
	}{
		{"chat", "Authorization: Bearer ", func(m string) []string {
			return []string{"/v1/chat/completions", "-H", "Content-Type: application/json", "-d", `{"model": "` + m + `",` + content}
		}},
		{"chat, streamed", "Authorization: Bearer ", func(m string) []string {
			return []string{"/v1/chat/completions", "-H", "Content-Type: application/json", "-d", `{"model": "` + m + `", "stream": true, ` + content}
		}},
		{"responses, streamed", "Authorization: Bearer ", func(m string) []string {
			return []string{"/v1/responses", "-H", "Content-Type: application/json", "-d", `{"model": "` + m + `", "stream": true, "input": "Hi"}`}
		}},
		{"messages, streamed", "x-api-key: ", func(m string) []string {
			return []string{"/v1/messages", "-H", "Content-Type: application/json", "-H", "anthropic-version: 2023-06-01", "-d", `{"model": "` + m + `", "stream": true, "max_tokens": 1024, ` + content}
		}},
		{"transcription", "Authorization: Bearer ", func(m string) []string {
			return []string{"/v1/audio/transcriptions", "-F", "model=" + m, "-F", "file=@" + sound}
		}},
		{"Expect: 100-continue", "Authorization: Bearer ", func(m string) []string {
			large := write("large.json", `{"model": "`+m+`", "filler": "`+strings.Repeat("x", 2<<20)+`", `+content)
			return []string{"/v1/chat/completions", "-H", "Content-Type: application/json", "-H", "Expect: 100-continue", "-T", large, "-X", "POST"}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.Reset()
			direct := curl(t, p.URL(), c.header+"key-of-alpha", c.args("m"))
			through := curl(t, g.URL, c.header+accessKey, c.args("alpha:m"))
			if direct != through || !strings.Contains(direct, p.ResponseText("m")) && !strings.Contains(c.name, "streamed") {
				t.Errorf("at the provider:\n%s\nthrough the gateway:\n%s", direct, through)
			}
			r := p.WaitRequests(t, 2)
			name, _, _ := strings.Cut(c.header, ":")
			sameRequest(t, r[0], r[1], name, "key-of-alpha")
		})
	}
	t.Run("models", func(t *testing.T) {
		got := curl(t, g.URL, "Authorization: Bearer "+accessKey, []string{"/v1/models"})
		if want := `{"object":"list","data":[{"id":"alpha:m","object":"model","created":0,"owned_by":"alpha"}]}` + "\n200 application/json"; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
	t.Run("no key", func(t *testing.T) {
		got := curl(t, g.URL, "Accept: */*", []string{"/v1/chat/completions", "-H", "Content-Type: application/json", "-d", `{"model":"alpha:m",` + content})
		if want := `{"error":{"message":"no access key found: send it as Authorization: Bearer KEY (no other scheme), or as x-api-key, api-key or x-goog-api-key","type":"authentication_error","code":"invalid_api_key","param":null}}` + "\n401 application/json"; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
}
