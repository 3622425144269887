package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
	"weir/policy"
)

// lists responds to GET /v1/models with these models, and to nothing else.
func lists(ids ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/v1/models" {
			http.NotFound(w, r)
			return
		}
		var entries []string
		for _, id := range ids {
			entries = append(entries, fmt.Sprintf(`{"id": %q, "object": "model"}`, id))
		}
		fmt.Fprintf(w, `{"object": "list", "data": [%s]}`, strings.Join(entries, ","))
	}
}

func TestLookAround(t *testing.T) {
	serve := func(h http.HandlerFunc) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	}
	hangs := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	o := newOutside(map[string]string{"OPENAI_API_KEY": "sk-of-openai", "ANTHROPIC_API_KEY": ""})
	o.localServers = []localServer{
		{"ollama", "Ollama", serve(lists("llama3.2:1b", "qwen2.5-coder", "LLAMA3.2:1b", ""))},
		{"lmstudio", "LM Studio", serve(lists())},
		{"closed", "Closed", "http://" + recorder.ClosedAddr(t)},
		{"hangs", "Hangs", serve(hangs)},
		{"other", "Another program", serve(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello</html>") })},
		{"json", "Another program", serve(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data": [{"id": "x"}]}`) })},
		{"error", "An error", serve(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			lists("x")(w, r)
		})},
	}
	q := lookAround(t.Context(), o.system, "127.0.0.1:7")
	want := []string{
		"demo: a built-in demo provider (with fixed responses); models demo, demo-echo",
		"openai: with the key in OPENAI_API_KEY",
		"ollama: Ollama at " + o.localServers[0].base + ", models: llama3.2:1b, qwen2.5-coder",
		"lmstudio: LM Studio at " + o.localServers[1].base + ", models: ",
	}
	if diff := cmp.Diff(want, q.found); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	src, err := q.source()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(src.Data), "sk-of-openai") {
		t.Errorf("the configuration shows a key:\n%s", src.Data)
	}
	p, _, problems := policy.Load(src)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, s := range p.Secrets {
		if got := s.Reveal(); got != "sk-of-openai" {
			t.Errorf("secret %q", got)
		}
	}
	if len(p.Secrets) == 0 {
		t.Error("no secret")
	}
}

// TestRunWithoutConfiguration is the first minute with Weir: it finds everything, the
// command that it prints works, and it stops when it is asked to.
func TestRunWithoutConfiguration(t *testing.T) {
	ollama := recorder.Start(t, recorder.WithName("ollama"))
	ollama.Script(func(x *recorder.Exchange) { lists("llama3.2:1b")(x, x.HTTP) })
	o := newOutside(nil, "run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-level", "warn")
	o.localServers = []localServer{{"ollama", "Ollama", ollama.URL()}}
	ctx, cancel := context.WithTimeout(t.Context(), gatewaytest.Patience)
	defer cancel()
	code := make(chan int, 1)
	go func() { code <- run(ctx, o.system) }()
	defer func() {
		o.stop <- syscall.SIGTERM
		if got := <-code; got != 0 {
			t.Errorf("exit code %d\n%s", got, o.stderr.String())
		}
	}()
	gatewaytest.Eventually(t, "the welcome", func() bool { return strings.Contains(o.stdout.String(), "Ctrl-C stops the gateway") })

	printed := o.stdout.String()
	if want := "  - ollama: Ollama at " + ollama.URL() + ", models: llama3.2:1b\n"; !strings.Contains(printed, want) {
		t.Errorf("no %q in\n%s", want, printed)
	}
	_, command, _ := strings.Cut(printed, "Try it:\n")
	command, _, _ = strings.Cut(command, "\n\n")
	for model, want := range map[string]string{"demo": "built-in demo model", "llama3.2:1b": ollama.ResponseText("llama3.2:1b")} {
		out, err := exec.CommandContext(ctx, "sh", "-c", strings.Replace(command, `"demo"`, `"`+model+`"`, 1)).Output()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v\n%s\nprinted %s, want %s", err, command, out, want)
		}
	}
}
