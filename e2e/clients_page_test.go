package e2e

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestClientsPage runs the code of docs/clients.md as the page has it, but for
// the gateway's address. Claude Code and Codex are not run: what they send is
// sent to the base URL, and with the key and the model, that the page makes
// them use.
func TestClientsPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(gatewaytest.Root(), "docs", "clients.md"))
	if err != nil {
		t.Fatal(err)
	}
	p := recorder.Start(t, recorder.WithName("my-server"))
	var g *gatewaytest.Gateway
	ran := map[string]int{}
	for _, m := range regexp.MustCompile("(?ms)^```(yaml|python|js|sh claude|toml)\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		kind, text := m[1], m[2]
		ran[kind]++
		if kind == "yaml" {
			g = gatewaytest.Start(t, text+"\nconnect_to: {\"models.internal:80\": \""+p.Addr()+"\"}\n",
				gatewaytest.Env("WEIR_SECRET_CLIENTS_TEAM_A", accessKey), gatewaytest.Secrets(accessKey))
			continue
		}
		text = strings.ReplaceAll(text, "127.0.0.1:8080", g.Address())
		p.Reset()
		switch kind {
		case "python":
			cmd := exec.CommandContext(t.Context(), pythonEnv(t), "-B", "-")
			codeOfPage(t, p, cmd, text)
		case "js":
			cmd := exec.CommandContext(t.Context(), "node", "--input-type=module", "-")
			cmd.Dir = nodeEnv(t)
			codeOfPage(t, p, cmd, text)
		case "sh claude":
			cmd := exec.Command("sh", "-ec", strings.TrimSuffix(strings.TrimSpace(text), "claude")+"env")
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "WEIR_KEY=" + accessKey}
			env := map[string]string{}
			for line := range strings.Lines(string(output(t, cmd))) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				env[name] = value
			}
			// https://code.claude.com/docs/en/llm-gateway-protocol
			for _, path := range []string{"/v1/messages?beta=true", "/v1/messages/count_tokens?beta=true"} {
				r := requestOfPage(t, p, env["ANTHROPIC_BASE_URL"]+path, env["ANTHROPIC_AUTH_TOKEN"],
					`{"model":"`+env["ANTHROPIC_MODEL"]+`","max_tokens":32000,"stream":true,"messages":[{"role":"user","content":"Hello!"}]}`,
					"Anthropic-Version", "2023-06-01", "Anthropic-Beta", "claude-code-20250219", "X-App", "cli")
				if r.Path != path || r.Header.Get("Anthropic-Beta") != "claude-code-20250219" || r.Header.Get("Anthropic-Version") != "2023-06-01" {
					t.Errorf("the provider received %s %v", r.Path, r.Header)
				}
			}
		case "toml":
			settings := map[string]string{}
			for _, m := range regexp.MustCompile(`(?m)^(\w+) = "(.*)"$`).FindAllStringSubmatch(text, -1) {
				settings[m[1]] = m[2]
			}
			if settings["env_key"] != "WEIR_KEY" {
				t.Errorf("the key is in %q", settings["env_key"])
			}
			// https://developers.openai.com/codex/config-advanced
			r := requestOfPage(t, p, settings["base_url"]+"/"+settings["wire_api"], accessKey,
				`{"model":"`+settings["model"]+`","stream":true,"store":false,"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"Hello!"}]}]}`)
			if r.Path != "/v1/responses" {
				t.Errorf("the provider received %s", r.Path)
			}
		}
	}
	if ran["python"] < 3 || ran["js"] < 2 || ran["sh claude"] != 1 || ran["toml"] != 1 {
		t.Errorf("ran only %v", ran)
	}
}

// codeOfPage runs code that prints what the provider answered.
func codeOfPage(t *testing.T, p *recorder.Provider, cmd *exec.Cmd, code string) {
	t.Helper()
	cmd.Stdin = strings.NewReader(code)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "WEIR_KEY=" + accessKey}
	if out := output(t, cmd); !bytes.Contains(out, []byte(p.ResponseText("llama3.2"))) {
		t.Errorf("%s\nprinted %s", code, out)
	}
	if len(p.Requests()) == 0 {
		t.Errorf("the provider received nothing from\n%s", code)
	}
}

// requestOfPage sends a request of a client, and returns what the provider
// received: the model of the configuration, and no access key.
func requestOfPage(t *testing.T, p *recorder.Provider, url, key, body string, header ...string) recorder.Request {
	t.Helper()
	p.Reset()
	r, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+key)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d", url, resp.StatusCode)
	}
	got := p.Last(t)
	if !bytes.Contains(got.Body, []byte(`"model":"llama3.2"`)) || got.Header.Get("Authorization") != "" {
		t.Errorf("the provider received %s %v", got.Body, got.Header)
	}
	return got
}
