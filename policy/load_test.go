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
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write what the code says into testdata; read the difference before you keep it")

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
	p, problems := Load(w.source(config))
	if err := problems.Err(); err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	return p
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
					if diff := cmp.Diff(string(*want), got); diff != "" && !*update {
						t.Errorf("%s: (-want +got)\n%s", section.Name, diff)
					}
					*want = []byte(got)
				}
			}
			if *update {
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
		_, problems := Load(w.source(config))
		var b strings.Builder
		for _, p := range problems {
			fmt.Fprintln(&b, p)
		}
		return b.String()
	})
}

// Every configuration of the documents that the specification comes from
// loads; what is not there yet is said, and nothing else.
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
		p, problems := Load(w.source(string(document)))
		if bytes.Contains(document, []byte("strategy:")) {
			if len(problems) != 1 || !strings.HasSuffix(problems[0].String(), "config.model_selection.strategy: CEL strategies are not supported yet") {
				t.Errorf("problems %v\n%s", problems, document)
			}
			continue
		}
		if problems != nil || p == nil {
			t.Errorf("%v\n%s", problems, document)
		}
	}
}

// TestLoadCatalogue: what the specification says of it, and that it loads.
func TestLoadCatalogue(t *testing.T) {
	var got strings.Builder
	for _, c := range readCatalogue() {
		fmt.Fprintln(&got, c.ID, c.BaseURL, c.IDAliases)
		if _, err := ParseBaseURL(c.BaseURL, nil); err != nil {
			t.Errorf("%s: %v", c.ID, err)
		}
		if c.ID != lower(c.ID) {
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
		got := []any{p.Listen, p.AdminListen, p.MaxBodyBytes, p.PerRequestTimeout, p.TotalTimeout, p.StreamIdleTimeout, p.ShutdownTimeout, p.anonymous, len(p.Clusters), p.Roots}
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
	got := []any{p.Listen, p.AdminListen, p.MaxBodyBytes, p.PerRequestTimeout, p.TotalTimeout, p.StreamIdleTimeout, p.ShutdownTimeout}
	want := []any{"0.0.0.0:80", "[::1]:0", 1024, 2 * time.Minute, 5 * time.Minute, time.Minute, time.Second}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if f := p.Failover; len(f.Statuses) != 101 || f.Statuses[0] != 429 || !f.Timeout || f.Reset || f.ConnectFailure {
		t.Errorf("failover %v", f)
	}
}

func TestFailover(t *testing.T) {
	f := func(list, want string) {
		t.Helper()
		got := newWorld().load(t, "on_http_request: [{type: ai-gateway, config: {"+list+"}}]").Failover
		if got := fmt.Sprint(got.Statuses, got.ConnectFailure, got.Reset, got.Timeout); got != want {
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
	f(``, "[401 403 404 408 409 429 "+hundred(500)+"] true true true")
	f(`failover_on: []`, "[] false false false")
	f(`failover_on: [503, "503", 5xx]`, "[503 "+strings.Replace(hundred(500), " 503", "", 1)+"] false false false")
	f(`failover_on: [4xx]`, "["+hundred(400)+"] false false false")
	f(`failover_on: [connect_failure]`, "[] true false false")
	f(`failover_on: [reset, 400, timeout]`, "[400] false true true")
}

// Secrets are read in the order of the specification, each place for itself.
func TestLoadSecrets(t *testing.T) {
	const config = `
secrets: {dir: secrets}
providers:
  - {id: p, base_url: https://p.internal, api_keys: [{value: "${secrets.get('my-store', 'api.key')}"}]}
`
	f := func(env, file, want string) {
		t.Helper()
		w := newWorld()
		w.env["WEIR_SECRET_MY_STORE_API_KEY"] = env
		if file != "" {
			w.files["secrets/my-store/api.key"] = file
		}
		p := w.load(t, config)
		var got []string
		for _, s := range p.Secrets {
			got = append(got, s.Reveal())
		}
		if !slices.Equal(got, []string{want}) {
			t.Errorf("env %q, file %q: got %q, want %q", env, file, got, want)
		}
		if inFiles := slices.Contains(p.Files, "secrets/my-store/api.key"); inFiles != (env == "") {
			t.Errorf("env %q: files %q", env, p.Files)
		}
	}
	f("from env", "", "from env")
	f("from env", "from file", "from env")
	f("", "from file", "from file")
	f("", "from file\r\n", "from file")
	f("", "two ${secrets.get('a','b')} words\n\n", "two ${secrets.get('a','b')} words")
}

// A policy's version is that of everything it was made from.
func TestVersion(t *testing.T) {
	const config = `
secrets: {dir: secrets}
access_keys: [{name: k, value: "${secrets.get('clients', 'k')}"}]
providers:
  - {id: a, base_url: https://a.internal, api_keys: [{value: "${secrets.get('a', 'file')}"}, {value: "${secrets.get('a', 'env')}"}]}
  - {id: b, base_url: https://b.internal, tls: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem}}
`
	w := newWorld()
	w.env["WEIR_SECRET_A_ENV"] = "one"
	w.files["secrets/a/file"] = "one"
	w.files["secrets/clients/k"] = "a client's long key"
	w.files["unrelated"] = "one"
	version := w.load(t, config).Version
	if again := w.load(t, config).Version; again != version {
		t.Error("the same configuration has two versions")
	}
	f := func(what string, m map[string]string, name, value string, changes bool) {
		t.Helper()
		old := m[name]
		m[name] = value
		if got := w.load(t, config).Version; got != version != changes {
			t.Errorf("%s: version %s, before %s", what, got, version)
		}
		m[name] = old
	}
	f("a secret in a file", w.files, "secrets/a/file", "two", true)
	f("a secret in the environment", w.env, "WEIR_SECRET_A_ENV", "two", true)
	f("an access key", w.files, "secrets/clients/k", "another long key", true)
	f("a CA", w.files, "ca.pem", w.files["ca.pem"]+"\n", true)
	f("a client certificate", w.files, "cert.pem", w.files["cert.pem"]+"\n", true)
	f("its key", w.files, "key.pem", w.files["key.pem"]+"\n", true)
	f("the system's roots", w.files, rootFiles[0], w.files[rootFiles[0]]+"\n", true)
	f("where the roots are", w.env, "SSL_CERT_FILE", "ca.pem", true)
	f("a secret that now stands first", w.env, "WEIR_SECRET_A_FILE", "two", true)
	f("the same secret, elsewhere", w.env, "WEIR_SECRET_A_FILE", "one", true)
	f("an unrelated file", w.files, "unrelated", "two", false)
	if got := w.load(t, config+"#").Version; got == version {
		t.Error("the file changed, the version did not")
	}
}

// TestLoadFiles: every file that a policy was made from is watched, in order.
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
	if diff := cmp.Diff(want, p.Files); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAuthenticate(t *testing.T) {
	const sum = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" // of "foo"
	keys := "access_keys: [{name: hashed, sha256: " + sum + "}, {name: plain, value: 0123456789abcdef}]"
	for _, c := range []struct{ config, credential, want string }{
		{"", "", "anonymous"},
		{"", "unused", "anonymous"},
		{"{listen: 0.0.0.0:80, allow_anonymous: true}", "anything", "anonymous"},
		{keys, "foo", "hashed"},
		{keys, "0123456789abcdef", "plain"},
		{strings.Replace(keys, sum, strings.ToUpper(sum), 1), "foo", "hashed"},
		{keys, "FOO", "401"},
		{keys, "", "401"},
		{keys, sum, "401"},
		{keys, "0123456789abcde", "401"},
		{"{allow_anonymous: true, " + keys + "}", "unused", "401"},
	} {
		key, err := newWorld().load(t, c.config).Authenticate(c.credential)
		got := "anonymous"
		switch {
		case err != nil:
			got = fmt.Sprint(AsError(err).Code.Status())
			if strings.Contains(err.Error(), c.credential) && c.credential != "" {
				t.Errorf("the error repeats the credential: %v", err)
			}
		case key != nil:
			got = key.Name
		}
		if got != c.want {
			t.Errorf("%s with %q: got %s, want %s", c.config, c.credential, got, c.want)
		}
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.8.9.1:80": true, "[::1]:80": true, "localhost:80": true, "[::ffff:127.0.0.1]:80": true,
		"0.0.0.0:80": false, ":80": false, "[::]:80": false, "10.0.0.1:80": false, "example.com:80": false, "nonsense": false, "": false,
	} {
		if got := Loopback(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

// The effective configuration shows defaults, and no secret in any place that
// can hold one.
func TestEffective(t *testing.T) {
	const config = `
access_keys: [{name: k, value: SECRET-access-key}]
on_http_request:
  - type: ai-gateway
    config:
      headers: {X-Custom: SECRET-header}
      query_params: {tag: SECRET-param}
      providers:
        - id: a
          base_url: https://a.internal/v1?api-version=1&api_key=SECRET-query&x=2
          api_keys: [{value: SECRET-key}, {value: "SECRET-${secrets.get('s', 'k')}"}]
          headers: {X-Other: "SECRET ${secrets.get('s', 'k')}"}
          supported_api_surfaces: [{format: openai, base_url: "https://b.internal?token=SECRET-token"}]
`
	w := newWorld()
	w.env["WEIR_SECRET_S_K"] = "SECRET-value"
	p := w.load(t, config)
	out, err := yaml.Marshal(p.Effective())
	if err != nil {
		t.Fatal(err)
	}
	text := string(out)
	if strings.Contains(text, "SECRET") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	for _, want := range []string{
		"listen: 127.0.0.1:8080", "max_body_bytes: 33554432", "per_request_timeout: 3m0s", "total_timeout: 6m0s", "stream_idle_timeout: 5m0s", "shutdown_timeout: 10s",
		"base_url: https://a.internal/v1?api-version=1&api_key=[redacted]&x=2", "base_url: https://b.internal?token=[redacted]",
		"value: ${secrets.get('s', 'k')}", "- value: '[redacted]'", "- connect_failure",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if !strings.Contains(p.gateway.Providers[0].BaseURL, "SECRET-query") || !strings.Contains(p.gateway.Providers[0].Surfaces[0].BaseURL, "SECRET-token") {
		t.Error("the policy's own configuration was changed")
	}
}

// Metadata and descriptions stay here: nothing that Envoy is given has them.
func TestMetadataIsNotSent(t *testing.T) {
	p := newWorld().load(t, `
providers:
  - id: a
    base_url: http://a.internal
    metadata: {m: STAYS}
    display_name: STAYS
    description: STAYS
    website: STAYS
    models: [{id: m, metadata: {m: STAYS}, description: STAYS}]
`)
	for _, c := range p.Clusters {
		if strings.Contains(fmt.Sprintf("%+v %+v", *c, c.Set), "STAYS") {
			t.Errorf("%+v", c)
		}
	}
	plan := planned(t, p, &endpoints[0], "", nil, `{"model":"a:m","models":["a:n"]}`)
	if text := fmt.Sprintf("%+v", plan.Attempts) + plan.Encode(); strings.Contains(text, "STAYS") {
		t.Error(text)
	}
}

// clusterNames are those of a configuration's providers.
func clusterNames(p *Policy) []string {
	var names []string
	for _, c := range p.Clusters {
		names = append(names, c.Name)
	}
	return names
}

// A cluster's name changes with everything that makes it another cluster.
func TestClusterNames(t *testing.T) {
	const base = `{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}]}`
	w := newWorld()
	w.env["WEIR_SECRET_S_A"], w.env["WEIR_SECRET_S_B"] = "a", "b"
	seen := map[string]string{}
	names := func(providers string) []string {
		t.Helper()
		return clusterNames(w.load(t, "allow_http_hosts: [p.example.com]\nproviders: ["+providers+"]"))
	}
	for _, c := range []string{
		base,
		`{id: q, base_url: "https://p.internal/v1", api_keys: [{value: k1}]}`,
		`{id: p, base_url: "https://q.internal/v1", api_keys: [{value: k1}]}`,
		`{id: p, base_url: "https://p.internal/v2", api_keys: [{value: k1}]}`,
		`{id: p, base_url: "https://p.internal/v1?a=b", api_keys: [{value: k1}]}`,
		`{id: p, base_url: "https://p.internal:8443/v1", api_keys: [{value: k1}]}`,
		`{id: p, base_url: "http://p.internal/v1", api_keys: [{value: k1}]}`,
		`{id: p, base_url: "http://p.internal:443/v1", api_keys: [{value: k1}]}`,
		`{id: p, base_url: "https://p.internal/v1"}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: "${secrets.get('s', 'a')}"}]}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: "${secrets.get('s', 'b')}"}]}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], auth: {header: x-key}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], auth: {prefix: "Key "}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], headers: {x-a: "1"}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], headers: {x-a: "2"}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], headers: {x-a: "${secrets.get('s', 'a')}"}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], tls: {insecure_skip_verify: true}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], tls: {ca_file: ca.pem}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], tls: {server_name: q.internal}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], tls: {cert_file: cert.pem, key_file: key.pem}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], supported_api_surfaces: [{format: anthropic}]}`,
	} {
		got := names(c)
		if len(got) != 1 || !strings.HasPrefix(got[0], "weir/"+c[len("{id: "):][:1]+"/") {
			t.Errorf("%s: names %q", c, got)
			continue
		}
		if other := seen[got[0]]; other != "" {
			t.Errorf("one name for\n%s\n%s", other, c)
		}
		seen[got[0]] = c
	}

	// Each key has its cluster, by its position and reference.
	if got := names(`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}, {value: k1}, {value: k2}]}`); len(got) != 3 {
		t.Errorf("three keys have %d clusters", len(got))
	}
	// A header that any cluster sets is stripped by all, which is a difference.
	if got := names(base + `, {id: q, base_url: "https://q.internal", headers: {x-a: b}}`); slices.Contains(got, names(base)[0]) {
		t.Error("another list of stripped headers, the same name")
	}
	// What two surfaces share is one cluster.
	if got := names(`{id: p, base_url: "https://p.internal/v1", supported_api_surfaces: [{format: openai, surface: chat-completions}, {format: openai, surface: embeddings}]}`); len(got) != 1 {
		t.Errorf("two surfaces of one origin have %d clusters", len(got))
	}

	// A secret's value is no part of any name, nor does one hold a trace of it.
	f := func(what, one, two string) {
		t.Helper()
		a, b := w.load(t, "providers: ["+one+"]"), w.load(t, "providers: ["+two+"]")
		if diff := cmp.Diff(clusterNames(a), clusterNames(b)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		if diff := cmp.Diff(sortedKeys(a.Secrets), sortedKeys(b.Secrets)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	f("a literal key", base, strings.Replace(base, "k1", "k2", 1))
	f("a literal header", `{id: p, base_url: "https://p.internal", headers: {x-token: one}}`, `{id: p, base_url: "https://p.internal", headers: {x-token: two}}`)
	before := names(`{id: p, base_url: "https://p.internal", api_keys: [{value: "x-${secrets.get('s', 'a')}"}], headers: {x-a: "y-${secrets.get('s', 'b')}"}}`)
	w.env["WEIR_SECRET_S_A"], w.env["WEIR_SECRET_S_B"] = "another", "value"
	w.files["ca.pem"] += "\n"
	after := names(`{id: p, base_url: "https://p.internal", api_keys: [{value: "z-${secrets.get('s', 'a')}"}], headers: {x-a: "z-${secrets.get('s', 'b')}"}}`)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("rotated secrets: %s", diff)
	}
}

// Providers and ports never share a cluster, nor a secret's name.
func TestNamesNeverCollide(t *testing.T) {
	var config strings.Builder
	config.WriteString("providers:\n")
	for i := range 30 {
		for port := range 30 {
			fmt.Fprintf(&config, "  - {id: p%d-%d, base_url: 'http://h.internal:%d', api_keys: [{value: 'k%d'}, {value: 'l'}]}\n", i, port, 8000+port, i)
		}
	}
	p := newWorld().load(t, config.String())
	if len(p.Clusters) != 1800 || len(p.Secrets) != 1800 {
		t.Errorf("%d clusters, %d secrets, want 1800 of each", len(p.Clusters), len(p.Secrets))
	}
	used := map[string]bool{}
	for _, c := range p.Clusters {
		for _, h := range c.Set {
			used[h.Secret] = true
		}
	}
	if len(used) != len(p.Secrets) {
		t.Errorf("%d secrets are used", len(used))
	}
}

// What each cluster sets and strips.
func TestClusterHeaders(t *testing.T) {
	w := newWorld()
	w.env["WEIR_SECRET_S_K"] = "from-the-store"
	f := func(config, want string) {
		t.Helper()
		p := w.load(t, config)
		var got []string
		for _, c := range p.Clusters {
			for _, h := range c.Set {
				line := c.Provider + " " + h.Name + ": " + h.Value
				if h.Secret != "" {
					line += "<" + h.Prefix + p.Secrets[h.Secret].Reveal() + ">"
				}
				got = append(got, line)
				if !slices.Contains(c.Strip, h.Name) {
					t.Errorf("%s: %s is set and not stripped", config, h.Name)
				}
			}
			for _, name := range strippedHeaders {
				if !slices.Contains(c.Strip, name) {
					t.Errorf("%s: %s is not stripped", config, name)
				}
			}
			if !slices.Equal(c.Strip, p.Clusters[0].Strip) {
				t.Errorf("%s: clusters strip different headers", config)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", config, diff)
		}
	}
	one := func(fields string) string { return "providers: [{id: p, base_url: http://p.internal, " + fields + "}]" }
	// <…> is what Envoy gets as a secret.
	f(one(`api_keys: [{value: k}]`), "p authorization: <Bearer k>")
	f(one(`api_keys: [{value: k}], supported_api_surfaces: [{format: anthropic}]`), "p x-api-key: <k>")
	f(one(`api_keys: [{value: k}], auth: {header: X-Key}`), "p x-key: <k>")
	f(one(`api_keys: [{value: k}], auth: {header: X-Key, prefix: "Key "}`), "p x-key: <Key k>")
	f(one(`api_keys: [{value: k}], auth: {header: Authorization}`), "p authorization: <Bearer k>")
	f(one(`api_keys: [{value: k}], auth: {prefix: ""}`), "p authorization: <k>")
	f(`providers: [{id: az, base_url: "https://x.openai.azure.com/openai/v1", api_keys: [{value: k}]}]`, "az api-key: <k>")
	f(`providers: [{id: anthropic, api_keys: [{value: k}]}]`, "anthropic authorization: <Bearer k>\nanthropic x-api-key: <k>")

	f(one(`headers: {X-Plain: visible}`), "p x-plain: visible")
	f(one(`headers: {X-Plain: "a${secrets.get('s', 'k')}b"}`), "p x-plain: <afrom-the-storeb>")
	f(one(`headers: {Authorization: literal, X-Api-Key: literal, X-Service-Token: literal, Cookie: literal, X-Password: literal, X-Session-Id: literal}`),
		"p authorization: <literal>\np cookie: <literal>\np x-api-key: <literal>\np x-password: <literal>\np x-service-token: <literal>\np x-session-id: <literal>")
	f(one(`headers: {X-A: "Bearer literal", X-B: "basic bGl0ZXJhbA==", X-C: sk-literal, X-D: bear}`),
		"p x-a: <Bearer literal>\np x-b: <basic bGl0ZXJhbA==>\np x-c: <sk-literal>\np x-d: bear")
	f(one(`headers: {X-Plain: "", X-Token: ""}`), "") // taken out, and nothing set

	f(`on_http_request: [{type: ai-gateway, config: {headers: {X-A: all, X-B: all}, providers: [
  {id: p, base_url: "http://p.internal", headers: {x-b: own}}, {id: q, base_url: "http://q.internal"}, {id: openai}]}}]`,
		"p x-a: all\np x-b: own\nq x-a: all\nq x-b: all")
}

// TestDial: where a cluster connects to, and what it calls itself there.
func TestDial(t *testing.T) {
	f := func(baseURL, connectTo, want string) {
		t.Helper()
		c := newWorld().load(t, "connect_to: {"+connectTo+"}\nproviders: [{id: p, base_url: '"+baseURL+"'}]").Clusters[0]
		got := fmt.Sprintf("%s %d", c.DialHost, c.DialPort)
		if c.TLS != nil {
			got += " " + c.TLS.ServerName
		}
		if got != want {
			t.Errorf("%s to %s: got %q, want %q", baseURL, connectTo, got, want)
		}
	}
	f("https://p.example.com/v1", "", "p.example.com 443 p.example.com")
	f("https://P.example.com:8443", "", "p.example.com 8443 p.example.com")
	f("http://p.internal", "", "p.internal 80")
	f("http://[::1]:11434", "", "::1 11434")
	f("https://p.example.com", `"p.example.com:443": "127.0.0.1:8443"`, "127.0.0.1 8443 p.example.com")
	f("https://p.example.com", `"p.example.com:8443": "127.0.0.1:8443"`, "p.example.com 443 p.example.com")
	f("http://p.internal", `"p.internal:80": "[::1]:80"`, "::1 80")
	f("https://[fd00::1]", `"[fd00::1]:443": "q.internal:1"`, "q.internal 1 fd00::1")
}

func TestTemplateReferences(t *testing.T) {
	for template, want := range map[Template]string{
		"": "", "literal": "", "${secrets.get('a','b')}": "${secrets.get('a','b')}",
		"x ${secrets.get('a','b')} y ${ secrets.get( \"c\" , 'd' ) } z": "${secrets.get('a','b')}${ secrets.get( \"c\" , 'd' ) }",
	} {
		if got := template.references(); got != want {
			t.Errorf("%q: %q", string(template), got)
		}
	}
}
