package examples

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

func TestMain(m *testing.M) { gatewaytest.Main(m) }

// want is what one command of a README must lead to: a request at a provider,
// or (host empty) an error code for the client.
type want struct {
	host, path, model, header, key string
	code                           string
}

// examples are the folders beside this file, with the hosts that stand for
// their providers here and what their commands do, in order.
var examples = []struct {
	dir  string
	env  map[string]string
	want []want
}{
	{"quickstart", map[string]string{"WEIR_SECRET_OPENAI_API_KEY": "sk-openai-of-test", "WEIR_SECRET_ANTHROPIC_API_KEY": "sk-ant-of-test"}, []want{
		{host: "api.openai.com:443", path: "/v1/chat/completions", model: "gpt-4o", header: "Authorization", key: "Bearer sk-openai-of-test"},
		{host: "api.anthropic.com:443", path: "/v1/messages", model: "claude-sonnet-4-5", header: "X-Api-Key", key: "sk-ant-of-test"},
		{host: "api.openai.com:443", path: "/v1/chat/completions", model: "gpt-4o", header: "Authorization", key: "Bearer sk-openai-of-test"},
	}},
	{"ollama", nil, []want{
		{host: "ollama.internal:443", path: "/v1/chat/completions", model: "llama3.2:1b"},
		{host: "ollama.internal:443", path: "/v1/chat/completions", model: "llama3.2:1b"},
	}},
	{"vllm", map[string]string{"WEIR_SECRET_VLLM_API_KEY": "vllm-key-of-test"}, []want{
		{host: "vllm.models.svc.cluster.local:8000", path: "/v1/chat/completions", model: "meta-llama/Llama-3.1-8B-Instruct", header: "Authorization", key: "Bearer vllm-key-of-test"},
		{host: "vllm.models.svc.cluster.local:8000", path: "/v1/chat/completions", model: "Qwen/Qwen2.5-7B-Instruct", header: "Authorization", key: "Bearer vllm-key-of-test"},
	}},
	{"lm-studio", nil, []want{
		{host: "localhost:1234", path: "/v1/chat/completions", model: "qwen2.5-7b-instruct"},
		{host: "localhost:1234", path: "/v1/embeddings", model: "text-embedding-nomic-embed-text-v1.5"},
	}},
	{"azure-openai", map[string]string{"WEIR_SECRET_AZURE_API_KEY": "azure-key-of-test"}, []want{
		{host: "my-resource.openai.azure.com:443", path: "/openai/deployments/my-gpt-4o/chat/completions?api-version=2024-10-21", model: "gpt-4o", header: "Api-Key", key: "azure-key-of-test"},
	}},
	{"two-instances", nil, []want{
		{host: "inference-1.internal:443", path: "/v1/chat/completions", model: "llama3"},
		{host: "inference-2.internal:443", path: "/v1/chat/completions", model: "llama3"},
	}},
	{"cloud-fallback", map[string]string{"WEIR_SECRET_OPENAI_API_KEY": "sk-one-of-test", "WEIR_SECRET_OPENAI_SECOND_API_KEY": "sk-two-of-test"}, []want{
		{host: "my-service.internal:443", path: "/v1/chat/completions", model: "llama3"},
	}},
	{"restrict-only", map[string]string{"WEIR_SECRET_CLIENTS_TEAM_A": "a-long-key-of-team-a"}, []want{
		{host: "ollama.internal:443", path: "/v1/chat/completions", model: "mistral"},
		{code: "model_not_allowed"},
		{code: "provider_not_allowed"},
		{code: "invalid_api_key"},
	}},
}

func TestExamples(t *testing.T) {
	for _, e := range examples {
		t.Run(e.dir, func(t *testing.T) {
			g, stands, env := start(t, e.dir, e.env, e.want)
			commands := commands(t, e.dir)
			if len(commands) != len(e.want) {
				t.Fatalf("the README has %d commands, %d are expected", len(commands), len(e.want))
			}
			for i, w := range e.want {
				for _, s := range stands {
					s.Reset()
				}
				check(t, execute(t, g, commands[i], env), stands, w)
			}
		})
	}
}

// TestFallback walks down the whole chain of the example cloud-fallback: own
// model, first key, second key.
func TestFallback(t *testing.T) {
	e := examples[6]
	last := want{host: "api.openai.com:443", path: "/v1/chat/completions", model: "gpt-4o", header: "Authorization", key: "Bearer sk-two-of-test"}
	g, stands, env := start(t, e.dir, e.env, append(e.want, last))
	stands["my-service.internal:443"].Script(recorder.Status(503, nil, "busy"))
	stands[last.host].Script(recorder.Status(429, nil, "quota"))
	answer := execute(t, g, commands(t, e.dir)[0], env)
	stands["my-service.internal:443"].Reset()
	requests := stands[last.host].WaitRequests(t, 2)
	if got := requests[0].Header.Get("Authorization"); got != "Bearer sk-one-of-test" {
		t.Errorf("the first attempt at the cloud had %q", got)
	}
	check(t, answer, stands, last)
}

// start runs an example's configuration as it stands, with its hosts led to
// recording providers.
func start(t *testing.T, dir string, env map[string]string, wants []want) (*gatewaytest.Gateway, map[string]*recorder.Provider, []string) {
	t.Helper()
	ca := recorder.NewCA(t)
	config, err := os.ReadFile(filepath.Join(dir, "weir.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(config) + "\nconnect_to:\n"
	stands := map[string]*recorder.Provider{}
	for _, w := range wants {
		if w.host == "" || stands[w.host] != nil {
			continue
		}
		options := []recorder.Option{recorder.WithName(w.host)}
		if name, tls := strings.CutSuffix(w.host, ":443"); tls {
			options = append(options, recorder.WithTLS(name), recorder.WithCA(ca))
		}
		stands[w.host] = recorder.Start(t, options...)
		text += fmt.Sprintf("  %q: %q\n", w.host, stands[w.host].Addr())
	}
	options := []gatewaytest.Option{gatewaytest.Env("SSL_CERT_FILE", ca.File(t))}
	environ := os.Environ()
	for name, value := range env {
		options = append(options, gatewaytest.Env(name, value), gatewaytest.Secrets(value))
		environ = append(environ, name+"="+value)
	}
	return gatewaytest.Start(t, text, options...), stands, environ
}

// commands are the blocks of a README that send requests.
func commands(t *testing.T, dir string) []string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, block := range strings.Split(string(readme), "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		if strings.HasPrefix(block, "curl ") {
			out = append(out, block)
		}
	}
	return out
}

// execute runs a command as it is written, but for the address.
func execute(t *testing.T, g *gatewaytest.Gateway, command string, env []string) string {
	t.Helper()
	cmd := exec.Command("sh", "-ec", strings.ReplaceAll(command, "127.0.0.1:8080", g.Address()))
	cmd.Env = env
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, command)
	}
	return string(out)
}

func check(t *testing.T, answer string, stands map[string]*recorder.Provider, w want) {
	t.Helper()
	if w.host == "" {
		var got struct{ Error struct{ Code string } }
		if err := json.Unmarshal([]byte(answer), &got); err != nil || got.Error.Code != w.code {
			t.Errorf("response %s, want code %s", answer, w.code)
		}
	}
	for host, s := range stands {
		requests := s.Requests()
		if host != w.host {
			if len(requests) > 0 {
				t.Errorf("%s received a request", host)
			}
			continue
		}
		r := s.Last(t)
		var body struct{ Model string }
		if err := json.Unmarshal(r.Body, &body); err != nil {
			t.Fatal(err)
		}
		authority := strings.TrimSuffix(host, ":443")
		if r.Path != w.path || body.Model != w.model || r.Authority != authority {
			t.Errorf("%s received %s for %s at %s, want %s for %s at %s", host, r.Path, body.Model, r.Authority, w.path, w.model, authority)
		}
		if w.header != "" && r.Header.Get(w.header) != w.key {
			t.Errorf("%s received %s: %q, want %q", host, w.header, r.Header.Get(w.header), w.key)
		}
		text := s.ResponseText(w.model)
		if strings.HasSuffix(w.path, "/embeddings") {
			text = `"object":"embedding"`
		}
		if !strings.Contains(answer, text) {
			t.Errorf("the client got %s, want the response of %s", answer, host)
		}
	}
}
