package policy

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"weir/llm"
	"weir/policy/catalogue"
	"weir/policy/config"
)

var Update = flag.Bool("update", false, "write what the code says into testdata; read the difference before you keep it")

// world is what a configuration may refer to.
type world struct{ env, files map[string]string }

// newWorld has the system's trusted certificates, and a certificate with its
// key for TLS.
func newWorld() world {
	cert, key := testCertificate()
	return world{env: map[string]string{}, files: map[string]string{
		rootFiles[0]: cert, "ca.pem": cert, "cert.pem": cert, "key.pem": key,
	}}
}

func (w world) source(config string) Source {
	return Source{
		File: "weir.yaml", Data: []byte(config),
		Getenv: func(name string) string { return w.env[name] },
		ReadFile: func(name string) ([]byte, error) {
			if text, ok := w.files[name]; ok {
				return []byte(text), nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
	}
}

func (w world) load(t testing.TB, config string) *Policy {
	t.Helper()
	p, _ := w.loadAll(t, config)
	return p
}

func (w world) loadAll(t testing.TB, config string) (*Policy, *AccessKeys) {
	t.Helper()
	loaded := w.loaded(t, config, Loaded{})
	return loaded.Policy, loaded.Keys
}

func (w world) loaded(t testing.TB, config string, known Loaded) Loaded {
	t.Helper()
	loaded, problems := Reload(w.source(config), known)
	if err := problems.Err(); err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	return loaded
}

var testCertificate = sync.OnceValues(func() (cert, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		panic(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
})

// golden runs over the archives of a folder. Sections `env` and `file NAME`
// make the world of an archive; every other section is input, and check gives
// what the section `want` after it must be, or where there is none, what the
// section itself must be.
func golden(t *testing.T, pattern string, check func(t *testing.T, w world, name, input string) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld()
			for i, section := range archive.Files {
				text := string(section.Data)
				if name, ok := strings.CutPrefix(section.Name, "file "); ok {
					w.files[name] = text
					continue
				}
				switch section.Name {
				case "env":
					for line := range strings.Lines(text) {
						name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
						w.env[name] = value
					}
				case "want":
				default:
					got := check(t, w, section.Name, text)
					want := &archive.Files[i].Data
					if i+1 < len(archive.Files) && archive.Files[i+1].Name == "want" {
						want = &archive.Files[i+1].Data
					}
					if diff := cmp.Diff(string(*want), got); diff != "" && !*Update {
						t.Errorf("%s: (-want +got)\n%s", section.Name, diff)
					}
					*want = []byte(got)
				}
			}
			if *Update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestLoad: a configuration and its problems.
func TestLoad(t *testing.T) {
	golden(t, "testdata/load/*.txtar", func(_ *testing.T, w world, _, config string) string {
		_, _, problems := Load(w.source(config))
		var b strings.Builder
		for _, p := range problems {
			fmt.Fprintln(&b, p)
		}
		return b.String()
	})
}

// Every configuration of the documents that the specification comes from
// loads.
func TestLoadSeeds(t *testing.T) {
	w := newWorld()
	for _, name := range []string{"MY_PROVIDER_API_KEY", "MY_PROVIDER_TOKEN", "CUSTOM_API_KEY", "OPENAI_API_KEY"} {
		w.env["WEIR_SECRET_"+name] = "a-secret"
	}
	data, err := os.ReadFile("testdata/seeds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range bytes.Split(data, []byte("\n---\n"))[1:] {
		p, _, problems := Load(w.source(string(document)))
		if problems != nil || p == nil {
			t.Errorf("%v\n%s", problems, document)
		}
	}
}

// TestLoadCatalogue: what the specification says of it, and that it loads.
func TestLoadCatalogue(t *testing.T) {
	var got strings.Builder
	for _, c := range catalogue.Providers() {
		fmt.Fprintln(&got, c.ID, c.BaseURL, c.IDAliases)
		if _, err := config.ParseBaseURL(c.BaseURL, nil); err != nil {
			t.Errorf("%s: %v", c.ID, err)
		}
		if c.ID != strings.ToLower(c.ID) {
			t.Errorf("%s: entries are found by their id in lower case", c.ID)
		}
	}
	want := `openai https://api.openai.com/v1 []
anthropic https://api.anthropic.com/v1 []
google https://generativelanguage.googleapis.com/v1beta/openai [gemini]
openrouter https://openrouter.ai/api/v1 []
groq https://api.groq.com/openai/v1 []
deepseek https://api.deepseek.com []
hyperbolic https://api.hyperbolic.xyz/v1 []
inceptionlabs https://api.inceptionlabs.ai/v1 [inception]
inference-net https://api.inference.net/v1 [inference.net]
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLoadDefaults(t *testing.T) {
	for _, config := range []string{"", "providers: []", "on_http_request: [{type: ai-gateway}]", "on_http_request: [{name: n, expressions: [], actions: [{type: ai-gateway, config: {on_error: halt}}]}]"} {
		p := newWorld().load(t, config)
		got := []any{strings.Join(p.Listen, " "), p.AdminListen, p.MaxBodyBytes, p.PerRequestTimeout, p.TotalTimeout, p.StreamIdleTimeout, p.ShutdownTimeout, p.anonymous, len(p.Clusters), p.Roots}
		want := []any{"127.0.0.1:8080", "127.0.0.1:8081", 32 << 20, 3 * time.Minute, 6 * time.Minute, 5 * time.Minute, 10 * time.Second, true, 0, ""}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", config, diff)
		}
	}
}

func TestLoadFields(t *testing.T) {
	p := newWorld().load(t, `
listen: 0.0.0.0:80
allow_anonymous: true
admin: {listen: "[::1]:0"}
max_body_bytes: 1024
shutdown_timeout: 1s
on_http_request:
  - actions:
      - type: ai-gateway
        config: {per_request_timeout: 120s, total_timeout: 5m, stream_idle_timeout: 1m, failover_on: [429, "5xx", timeout]}
`)
	got := []any{strings.Join(p.Listen, " "), p.AdminListen, p.MaxBodyBytes, p.PerRequestTimeout, p.TotalTimeout, p.StreamIdleTimeout, p.ShutdownTimeout}
	want := []any{"0.0.0.0:80", "[::1]:0", 1024, 2 * time.Minute, 5 * time.Minute, time.Minute, time.Second}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if f := p.Failover; len(f.Statuses) != 101 || f.Statuses[0] != 429 || !f.Timeout || f.Reset || f.ConnectFailure {
		t.Errorf("failover %v", f)
	}
}

// A port alone is one of 127.0.0.1; with a colon before it, it is one of every address.
func TestListenPort(t *testing.T) {
	f := func(listen, want string) {
		t.Helper()
		p := newWorld().load(t, "allow_anonymous: true\nlisten: "+listen+"\nadmin: {listen: 9000}")
		if got := strings.Join(p.Listen, " "); got != want || p.AdminListen != "127.0.0.1:9000" {
			t.Errorf("listen: %s is %s, want %s; admin %s", listen, got, want, p.AdminListen)
		}
	}
	f("8080", "127.0.0.1:8080")
	f(`"8080"`, "127.0.0.1:8080")
	f("0", "127.0.0.1:0")
	f("[8080, '8082', '[::1]:8080']", "127.0.0.1:8080 127.0.0.1:8082 [::1]:8080")
	f("':8080'", ":8080")
}

func TestFailover(t *testing.T) {
	f := func(list, want string) {
		t.Helper()
		got := newWorld().load(t, "on_http_request: [{type: ai-gateway, config: {"+list+"}}]").Failover
		if got := fmt.Sprint(got.Statuses, got.ConnectFailure, got.Reset, got.Timeout, got.Faults); got != want {
			t.Errorf("%s:\n got %s\nwant %s", list, got, want)
		}
	}
	hundred := func(from int) string {
		var all []int
		for i := range 100 {
			all = append(all, from+i)
		}
		return strings.Trim(fmt.Sprint(all), "[]")
	}
	f(``, "[401 402 403 404 408 409 410 429 "+hundred(500)+"] true true true 63")
	f(`failover_on: []`, "[] false false false 0")
	f(`failover_on: [503, "503", 5xx]`, "[503 "+strings.Replace(hundred(500), " 503", "", 1)+"] false false false 0")
	f(`failover_on: [4xx]`, "["+hundred(400)+"] false false false 0")
	f(`failover_on: [connect_failure]`, "[] true false false 0")
	f(`failover_on: [timeout, reset, unknown_model, context_length]`, "[] false true true 40")
	f(`failover_on: [reset, 400, timeout]`, "[400] false true true 0")
}

// A policy's version is that of everything it was made from.
func TestVersion(t *testing.T) {
	const config = `
secrets: {dir: secrets}
access_keys:
  - {name: k, value: "${secrets.get('clients', 'k')}"}
providers:
  - {id: a, base_url: https://a.internal, api_keys: [{value: "${secrets.get('a', 'file')}"}, {value: "${secrets.get('a', 'env')}"}]}
  - {id: b, base_url: https://b.internal, tls: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem}}
`
	w := newWorld()
	w.env["WEIR_SECRET_A_ENV"] = "one"
	w.files["secrets/a/file"] = "one"
	w.files["secrets/clients/k"] = "a client's long key"
	w.files["unrelated"] = "one"
	loaded := w.loaded(t, config, Loaded{})
	first, firstKeys := loaded.Policy, loaded.Keys
	if again, keys := w.loadAll(t, config); again.Version != first.Version || keys.Version != firstKeys.Version {
		t.Error("the same configuration has two versions")
	}
	// check holds what changes with a configuration, for one that is loaded anew and
	// for one that is loaded again.
	check := func(what, config string, changes, keysChange bool) {
		t.Helper()
		for _, again := range []bool{false, true} {
			known := Loaded{}
			if again {
				known = loaded
			}
			next := w.loaded(t, config, known)
			p, keys := next.Policy, next.Keys
			if kept := p == first; kept && !again || again && kept == changes {
				t.Errorf("%s, again %v: the policy is the one before: %v", what, again, kept)
			}
			if got := p.Version; got != first.Version != changes {
				t.Errorf("%s, again %v: version %s, before %s", what, again, got, first.Version)
			}
			if got := keys.Version; got != firstKeys.Version != keysChange {
				t.Errorf("%s, again %v: version of the keys %s, before %s", what, again, got, firstKeys.Version)
			}
		}
	}
	f := func(what string, m map[string]string, name, value string, changes, keysChange bool) {
		t.Helper()
		old, had := m[name]
		m[name] = value
		check(what, config, changes, keysChange)
		if m[name] = old; !had {
			delete(m, name)
		}
	}
	f("a secret in a file", w.files, "secrets/a/file", "two", true, false)
	f("a secret in the environment", w.env, "WEIR_SECRET_A_ENV", "two", true, false)
	f("an access key", w.files, "secrets/clients/k", "another long key", false, true)
	f("an access key that is elsewhere now", w.env, "WEIR_SECRET_CLIENTS_K", "another long key", false, true)
	f("a CA", w.files, "ca.pem", w.files["ca.pem"]+"\n", true, false)
	f("a client certificate", w.files, "cert.pem", w.files["cert.pem"]+"\n", true, false)
	f("its key", w.files, "key.pem", w.files["key.pem"]+"\n", true, false)
	f("the system's roots", w.files, rootFiles[0], w.files[rootFiles[0]]+"\n", true, false)
	f("where the roots are", w.env, "SSL_CERT_FILE", "ca.pem", true, false)
	f("a secret that now stands first", w.env, "WEIR_SECRET_A_FILE", "two", true, false)
	f("the same secret, elsewhere", w.env, "WEIR_SECRET_A_FILE", "one", true, false)
	f("an unrelated file", w.files, "unrelated", "two", false, false)
	check("a comment", config+"#", true, false)
	replaced := func(old, with string) string { return strings.Replace(config, old, with, 1) }
	check("the name of an access key", replaced("name: k", "name: l"), false, true)
	check("metadata of an access key", replaced("name: k", "name: k, metadata: {a: b}"), false, true)
	check("another access key", replaced("access_keys:\n", "access_keys:\n  - {name: m, value: 0123456789abcdef}\n"), false, true)
	check("no access key", replaced("  - {name: k, value: \"${secrets.get('clients', 'k')}\"}\n", "  []\n"), true, true)
}

// Access keys change without the policy. What is said of the policy later, by an Envoy or
// when a certificate expires, still names the lines of the file that was read last.
func TestPlacesAfterKeysChanged(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	w := newWorld()
	w.files["cert.pem"], w.files["key.pem"] = issued(t, onCurve(t, elliptic.P256()), now.Add(-48*time.Hour), now.Add(-24*time.Hour))
	const one = `access_keys:
  - {name: one, value: 0123456789abcdef}
listen: 127.0.0.1:9000
tls: {cert_file: cert.pem, key_file: key.pem}
providers:
  - {id: a, base_url: https://a.internal}
`
	two := strings.Replace(one, "listen", "  - {name: two, value: fedcba9876543210}\nlisten", 1)
	places := func(l Loaded) string {
		return strings.Join([]string{
			l.ProblemOf("", "x").String(), l.ProblemOf("weir/a/0", "x").String(), l.ProblemOf("weir/gone/0", "x").String(), l.Warnings(now).Error(),
			l.ProblemsOf([]Invalid{{Reason: "x"}, {"weir/a/0", "x"}}).Error(),
		}, "\n")
	}
	first := w.loaded(t, one, Loaded{})
	second := w.loaded(t, two, first)
	if second.Policy != first.Policy {
		t.Fatal("the policy was compiled again")
	}
	if got, want := places(second), places(w.loaded(t, two, Loaded{})); got != want || got == places(first) {
		t.Errorf("after keys changed:\n%s\nwant:\n%s", got, want)
	}
	if back := w.loaded(t, one, second); places(back) != places(first) {
		t.Errorf("after the key is gone:\n%s\nwant:\n%s", places(back), places(first))
	}
	src := w.source(two)
	src.File = "other.yaml"
	moved, problems := Reload(src, second)
	if problems != nil {
		t.Fatal(problems)
	}
	if got := moved.ProblemOf("weir/a/0", "x").String(); got != "other.yaml:7: providers[0]: x" {
		t.Errorf("after the file was renamed: %s", got)
	}
}

// TestLoadFiles: every file that a policy was made from is one of its inputs.
func TestLoadFiles(t *testing.T) {
	w := newWorld()
	w.files["/run/secrets/s/k"] = "v"
	p := w.load(t, `
secrets: {dir: /run/secrets}
providers:
  - {id: a, base_url: https://a.internal, api_keys: [{value: "${secrets.get('s', 'k')}"}]}
  - {id: b, base_url: https://b.internal, tls: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem}}
`)
	want := []string{"/etc/ssl/certs/ca-certificates.crt", "/run/secrets/s/k", "ca.pem", "cert.pem", "key.pem"}
	var files []string
	for input := range p.inputs {
		if name, ok := strings.CutPrefix(input, inputFile); ok {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Any file gives a policy or problems, each in its place on one line.
func FuzzLoad(f *testing.F) {
	data, err := os.ReadFile("testdata/seeds.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, document := range bytes.Split(data, []byte("\n---\n"))[1:] {
		f.Add(document)
	}
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, section := range archive.Files {
			f.Add(section.Data)
		}
	}
	w := newWorld()
	f.Fuzz(func(t *testing.T, data []byte) {
		p, _, problems := Load(w.source(string(data)))
		if (p == nil) != (len(problems) > 0) {
			t.Fatalf("policy %v, problems %v", p, problems)
		}
		for _, problem := range problems {
			if problem.Message == "" || problem.Path != "" && problem.Line == 0 || strings.ContainsAny(problem.String(), "\r\n") {
				t.Errorf("%+v", problem)
			}
		}
		if p != nil {
			if _, err := p.Plan(&Request{Endpoint: llm.EndpointAt(llm.ChatCompletionsPath), Body: readBody(t, `{"max_tokens":1}`), Now: testNow}); err != nil && llm.AsError(err).Code.Status() != llm.NoModelsSelected.Status() {
				t.Error(err)
			}
		}
	})
}
