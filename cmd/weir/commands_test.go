package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"weir/envoy"
	"weir/gateway"
	"weir/internal/gatewaytest"
	"weir/internal/private"
	"weir/policy"
	"weir/policy/config"
)

// file writes a file into a new folder.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const checked = `
listen: 127.0.0.1:9090
max_body_bytes: 1048576
access_keys:
  - {name: team, value: "${secrets.get('clients', 'team')}", configuration: {access: {providers: {allow: [local]}}}}
  - {name: hashed, sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: 90s
      failover_on: [429, 5xx, timeout]
      max_output_tokens: 100
      body: {temperature: 0.10, seed: 12345678901234567890}
      providers:
        - id: local
          id_aliases: [near]
          base_url: http://127.0.0.1:11434
          metadata: {region: here}
          models:
            - {id: small, id_aliases: [tiny], provider_model_id: "small:1b", pricing: {input: "0.10"}, unsupported_params: [{name: logprobs}]}
        - id: openai
          api_keys: [{value: "${secrets.get('openai', 'api-key')}"}]
        - id: own
          base_url: https://own.internal/base?version=1
          tls: {insecure_skip_verify: true, server_name: another.internal}
          auth: {header: x-own-key, prefix: ""}
          headers: {x-own: "${secrets.get('own', 'header')}"}
          supported_api_surfaces: [{format: anthropic, surface: messages, supported_params: [{name: model}]}]
`

var checkedEnv = map[string]string{
	"WEIR_SECRET_CLIENTS_TEAM":   "secret-key-of-the-team",
	"WEIR_SECRET_OPENAI_API_KEY": "secret-sk-openai",
	"WEIR_SECRET_OWN_HEADER":     "secret-header",
}

func TestCheck(t *testing.T) {
	good := file(t, "weir.yaml", checked)
	code, stdout, stderr := weir(t, checkedEnv, "check", "-c", good)
	if code != 0 || stdout != good+": ok\n" || stderr != "" {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}

	bad := file(t, "weir.yaml", `listen: 0.0.0.0:8080
nonsense: 1
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: 3 parsecs
      providers:
        - id: a
          base_url: http://example.com
          api_keys: [{value: "${secrets.get('store', 'key')}"}]
        - base_url: https://b.internal
`)
	code, stdout, stderr = weir(t, nil, "check", "-c", bad)
	// The messages are tested elsewhere. Here, all of them must be printed, each with
	// its place.
	places := []string{
		bad + ":1: listen: ", bad + ":2: ", bad + ":6: on_http_request[0].config.per_request_timeout: ",
		bad + ":9: on_http_request[0].config.providers[0].base_url: ",
		bad + ":10: on_http_request[0].config.providers[0].api_keys[0].value: ",
		bad + ":11: on_http_request[0].config.providers[1].id: ",
	}
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if code != 1 || stderr != "weir: "+bad+": 6 problems\n" || len(lines) != len(places) {
		t.Fatalf("exit code %d, %q\n%s", code, stderr, stdout)
	}
	for i, want := range places {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d is %q, want %s", i+1, lines[i], want)
		}
	}

	for name, c := range map[string]struct{ path, want string }{
		"one problem": {file(t, "weir.yaml", "listen: x\n"), ": 1 problem\n"},
		"no file":     {"/does/not/exist.yaml", "weir: open /does/not/exist.yaml: no such file or directory\n"},
		"empty":       {file(t, "weir.yaml", "\n"), ": is empty (a configuration without any key is {})\n"},
	} {
		if code, _, stderr := weir(t, nil, "check", "-c", c.path); code != 1 || !strings.HasSuffix(stderr, c.want) {
			t.Errorf("%s: exit code %d, %q, want %q", name, code, stderr, c.want)
		}
	}
}

// TestCheckForms: the file is an argument or a flag, and - is standard input. Other
// files are found from the current directory then.
func TestCheckForms(t *testing.T) {
	good := file(t, "weir.yaml", checked)
	for _, c := range []struct {
		args  []string
		stdin string
		code  int
		want  string
	}{
		{[]string{good}, "", 0, good + ": ok\n"},
		{[]string{"--config=" + good}, "", 0, good + ": ok\n"},
		{[]string{"-"}, checked, 0, "stdin: ok\n"},
		{[]string{"-c", "-"}, checked, 0, "stdin: ok\n"},
		{[]string{"-"}, "a: 1\n", 1, "stdin:1: unknown field \"a\"\n"},
		{[]string{"-"}, "tls: {cert_file: no.crt, key_file: no.key}\n", 1, "stdin:1: tls.cert_file: open no.crt: no such file or directory\nstdin:1: tls.key_file: open no.key: no such file or directory\n"},
	} {
		o := newOutside(checkedEnv, append([]string{"check"}, c.args...)...)
		o.stdin = strings.NewReader(c.stdin)
		if code := run(t.Context(), o.system); code != c.code || o.stdout.String() != c.want {
			t.Errorf("%v: exit code %d, %q, %q, want %q", c.args, code, o.stdout.String(), o.stderr.String(), c.want)
		}
	}
	o := newOutside(nil, "check", "-")
	if code := run(t.Context(), o.system); code != 1 || o.stderr.String() != "weir: stdin: is empty (a configuration without any key is {})\n" {
		t.Errorf("empty: exit code %d, %q", code, o.stderr.String())
	}
}

// TestCheckServesNothing: a valid file with which no request can be served is a warning.
func TestCheckServesNothing(t *testing.T) {
	const nothing, noProvider = "configures nothing: no field has a value\n", "no provider can serve requests: list one under providers, with a key if it needs one\n"
	for text, want := range map[string]string{
		"# providers:\n#   - id: a\n": nothing,
		"{}":                          nothing,
		"---\nproviders:\n":           nothing,
		"listen: 127.0.0.1:8080\n":    noProvider,
		"on_http_request: []\n":       noProvider,
		"providers: [{id: openai}]\n": noProvider, // it needs a key
		"access_keys: [{name: a, value: 0123456789abcdef}]\n":                  noProvider,
		"providers: [{id: a, base_url: http://localhost:1, disabled: true}]\n": noProvider,
		"providers: [{id: a, base_url: http://localhost:1}]\n":                 "",
	} {
		path := file(t, "weir.yaml", text)
		if want != "" {
			want = "warning: " + path + ": " + want
		}
		if code, stdout, stderr := weir(t, nil, "check", path); code != 0 || stdout != path+": ok\n" || stderr != want {
			t.Errorf("%q: exit code %d, %q, %q, want %q", text, code, stdout, stderr, want)
		}
	}
}

// TestCheckOpenFiles: limits that contradict each other are found without a start.
func TestCheckOpenFiles(t *testing.T) {
	const providers = "\nproviders: [{id: a, base_url: 'http://localhost:1'}]\n"
	for limits, want := range map[string]string{
		"{open_files: 1024, max_client_connections: 900}":  "ok",
		"{open_files: 1024, max_client_connections: 5000}": "limits.max_client_connections: 5000 connections of clients do not fit into 1024 open files: lower it to 928 or less",
		"{max_client_connections: 500000}":                 "ok",
	} {
		path := file(t, "weir.yaml", "limits: "+limits+providers)
		code, stdout, _ := weir(t, nil, "check", "-c", path)
		if !strings.HasPrefix(stdout, path+": "+want) || (code == 0) != (want == "ok") {
			t.Errorf("%s: exit code %d, output %q", limits, code, stdout)
		}
	}
}

// TestCheckPrint loads the printed configuration and compares it with the original.
func TestCheckPrint(t *testing.T) {
	load := func(path string) *policy.Policy {
		t.Helper()
		src, err := gateway.FileSource(path, func(name string) string { return checkedEnv[name] })()
		if err != nil {
			t.Fatal(err)
		}
		p, _, problems := policy.Load(src)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return p
	}
	warnings := ""
	print := func(path string) string {
		t.Helper()
		code, stdout, stderr := weir(t, checkedEnv, "check", "--print", "-c", path)
		if warnings = stderr; code != 0 {
			t.Fatalf("exit code %d, %s", code, stderr)
		}
		for name, value := range checkedEnv {
			if strings.Contains(stdout, value) {
				t.Errorf("shows %s:\n%s", name, stdout)
			}
		}
		return stdout
	}
	original := file(t, "weir.yaml", checked)
	printed := print(original)
	again := file(t, "weir.yaml", printed)
	if diff := cmp.Diff(printed, print(again)); diff != "" {
		t.Errorf("printing what was printed (-first +second):\n%s", diff)
	}
	for _, want := range []string{"total_timeout: 6m0s", "shutdown_timeout: 10s", "listen: 127.0.0.1:8081", "temperature: 0.10", "seed: 12345678901234567890"} {
		if !strings.Contains(printed, want) {
			t.Errorf("%s is missing in\n%s", want, printed)
		}
	}
	// Clusters, secrets and everything that a Policy shows are the same, and
	// their versions differ as the files do.
	a, b := load(original), load(again)
	a.Version, b.Version = "", ""
	ignore := cmp.Options{
		cmpopts.IgnoreUnexported(policy.Policy{}, policy.Cluster{}),
		cmpopts.IgnoreFields(policy.Policy{}, "Config"),
		cmp.Comparer(func(x, y config.Secret) bool { return x.Reveal() == y.Reveal() }),
		cmpopts.SortSlices(strings.Compare),
	}
	if diff := cmp.Diff(a, b, ignore); diff != "" {
		t.Errorf("policy (-original +printed):\n%s", diff)
	}

	// A literal value may be a secret, wherever a secret can be written.
	literal := file(t, "weir.yaml", `
access_keys: [{name: a, value: literal-access-key-of-a}]
providers:
  - {id: p, base_url: http://127.0.0.1, api_keys: [{value: literal-api-key}], headers: {x-token: "Bearer literal-header"}}
`)
	shown := print(literal)
	for _, secret := range []string{"literal-access-key-of-a", "literal-api-key", "literal-header"} {
		if strings.Contains(shown+warnings, secret) {
			t.Errorf("shows %s:\n%s%s", secret, shown, warnings)
		}
	}
	if n := strings.Count(shown, "[redacted]"); n != 3 {
		t.Errorf("%d values are redacted, want 3:\n%s", n, shown)
	}
}

func TestBootstrap(t *testing.T) {
	config := file(t, "weir.yaml", "envoy: {socket: /run/of/file.sock}\n")
	runtimeDir := t.TempDir()
	fallback := runtimeDir + "/weir/weir.sock"
	if os.Getuid() == 0 {
		fallback = "/run/weir/weir.sock"
	}
	cases := []struct {
		args []string
		want []string
	}{
		{nil, []string{"path: " + fallback, "id: envoy"}},
		{[]string{"-c", config}, []string{"path: /run/of/file.sock"}},
		{[]string{"-c", config, "--socket", "/run/of/flag.sock"}, []string{"path: /run/of/flag.sock"}},
		{[]string{"-c", "-"}, []string{"path: /run/of/stdin.sock"}},
		{[]string{"--node", "edge-1", "--envoy-admin", "127.0.0.1:9901"}, []string{"id: edge-1", "port_value: 9901"}},
	}
	path, err := envoy.Find(t.Context(), envoy.FindOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		o := newOutside(map[string]string{"XDG_RUNTIME_DIR": runtimeDir}, append([]string{"bootstrap"}, c.args...)...)
		o.stdin = strings.NewReader("envoy: {socket: /run/of/stdin.sock}\n")
		code := run(t.Context(), o.system)
		stdout, stderr := o.stdout.String(), o.stderr.String()
		if code != 0 || stderr != "" {
			t.Errorf("%v: exit code %d, %s", c.args, code, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("%v: no %q in\n%s", c.args, want, stdout)
			}
		}
		cmd := exec.CommandContext(t.Context(), path, "--mode", "validate", "--config-path", file(t, "envoy.yaml", stdout))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: envoy: %v\n%s", c.args, err, out)
		}
	}
	for _, args := range [][]string{{"--socket", "relative.sock"}, {"-c", file(t, "weir.yaml", "nonsense: 1\n")}, {"--envoy-admin", "nowhere"}} {
		if code, stdout, stderr := weir(t, nil, append([]string{"bootstrap"}, args...)...); code != 1 || stdout != "" || !strings.HasPrefix(stderr, "weir: ") {
			t.Errorf("%v: exit code %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

// TestStartFails: a problem that keeps a gateway from starting is reported at once.
func TestStartFails(t *testing.T) {
	good := file(t, "weir.yaml", "providers: [{id: a, base_url: http://127.0.0.1:1}]\n")
	taken, err := private.Listen(filepath.Join(t.TempDir(), "taken.sock"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cases := []struct {
		name string
		args []string
		want string
	}{
		{"no file", []string{"serve", "-c", "/does/not/exist"}, "weir: open /does/not/exist: no such file"},
		{"problems", []string{"serve", "-c", file(t, "weir.yaml", "a: 1\nb: 2\n")}, ":2: "},
		{"open to all", []string{"serve", "-c", good, "--listen", "0.0.0.0:8080"}, "weir: --listen: 0.0.0.0:8080 can be reached from other machines"},
		{"socket taken", []string{"serve", "-c", good, "--socket", taken.Addr().String()}, "another weir serves this socket"},
		{"admin taken", []string{"serve", "-c", good, "--socket", filepath.Join(t.TempDir(), "weir.sock"), "--admin", "256.0.0.1:1"}, "weir: admin: "},
		{"no such envoy", []string{"run", "-c", good, "--listen", "127.0.0.1:0", "--envoy", "/does/not/exist"}, "weir: --envoy: "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := weir(t, nil, c.args...)
			if code != 1 || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, %q, %q, want %s", code, stdout, stderr, c.want)
			}
		})
	}
	// A socket that a killed weir left behind is replaced.
	left := filepath.Join(t.TempDir(), "left.sock")
	l, err := private.Listen(left, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	l, err = private.Listen(left, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if _, err := private.Listen(good, 0o600); err == nil {
		t.Error("a file that is no socket was taken")
	}
	if _, err := os.Stat(good); err != nil {
		t.Error("the file that is no socket is gone")
	}
}

// TestRunFromStandardInput: the configuration is read once; SIGHUP applies it again.
func TestRunFromStandardInput(t *testing.T) {
	o := newOutside(nil, "run", "-c", "-", "--listen", "0", "--admin", "0")
	o.stdin = strings.NewReader("telemetry: {access_log: off}\nproviders: [{id: a, base_url: http://127.0.0.1:1}]\n")
	ctx, cancel := context.WithTimeout(t.Context(), gatewaytest.Patience)
	defer cancel()
	code := make(chan int, 1)
	go func() { code <- run(ctx, o.system) }()
	log := func(text string, times int) {
		t.Helper()
		gatewaytest.Eventually(t, text, func() bool { return strings.Count(o.stderr.String(), text) >= times })
	}
	log(`msg=ready listen=127.0.0.1:`, 1)
	o.reload <- syscall.SIGHUP
	log(`msg="configuration in force" config=stdin`, 2)
	o.stop <- syscall.SIGTERM
	if got := <-code; got != 0 {
		t.Errorf("exit code %d\n%s", got, o.stderr.String())
	}
}
