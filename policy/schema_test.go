package policy

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"weir/policy/config"
)

// validator gives a check of a file against the schema, by another's reading
// of the draft and its metaschema.
func validator(t *testing.T) func(any) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate
}

// instance reads a file as an editor does: types are those of the file.
func instance(file string) (any, config.Problems) {
	var v any
	_, problems := config.Decode("weir.yaml", []byte(file), &v)
	if v == nil {
		v = map[string]any{} // an empty file
	}
	return v, problems
}

// TestSchemaAccepts: every configuration that the repository shows.
func TestSchemaAccepts(t *testing.T) {
	validate := validator(t)
	n := map[string]int{}
	check := func(name, file string) {
		t.Helper()
		v, problems := instance(file)
		if err := errors.Join(problems.Err(), validate(v)); err != nil {
			t.Errorf("%s: %v\n%s", name, err, file)
		}
		n[filepath.Ext(name)]++
	}
	for _, document := range bytes.Split(read(t, "testdata/seeds.yaml"), []byte("\n---\n"))[1:] {
		check("testdata/seeds.yaml", string(document))
	}
	for _, file := range glob(t, "../examples/*/weir.yaml") {
		check(file, string(read(t, file)))
	}
	for _, file := range append(glob(t, "../*.md"), append(glob(t, "../docs/*.md"), glob(t, "../examples/*/*.md")...)...) {
		for _, block := range strings.Split(string(read(t, file)), "\n```yaml\n")[1:] {
			block, _, _ = strings.Cut(block, "```")
			check(file, block)
		}
	}
	if n[".yaml"] < 25 || n[".md"] < 5 {
		t.Errorf("only %v were found", n)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	return files
}

// TestSchemaAndLoader: over all files that test the loader, what the loader
// takes the schema takes, and what the decoder refuses (a name or a type) the
// schema refuses.
func TestSchemaAndLoader(t *testing.T) {
	validate := validator(t)
	taken, refused := 0, 0
	for _, file := range glob(t, "testdata/load/*.txtar") {
		w := newWorld()
		for _, section := range txtar.Parse(read(t, file)).Files {
			text := string(section.Data)
			if name, ok := strings.CutPrefix(section.Name, "file "); ok {
				w.files[name] = text
				continue
			}
			v, problems := instance(text)
			if section.Name == "env" || section.Name == "want" || problems != nil {
				continue // not a file, or one in which keys stand twice
			}
			_, unreadable := config.Decode("weir.yaml", section.Data, &config.Config{})
			_, _, problems = Load(w.source(text))
			switch err := validate(v); {
			case unreadable != nil && err == nil:
				t.Errorf("%s: %s: the schema takes it, the decoder says\n%v", file, section.Name, unreadable)
			case problems == nil && err != nil:
				t.Errorf("%s: %s: the loader takes it, the schema says\n%v", file, section.Name, err)
			}
			if unreadable != nil {
				refused++
			} else if problems == nil {
				taken++
			}
		}
	}
	if taken < 10 || refused < 5 {
		t.Errorf("only %d files were taken and %d refused: is the folder right?", taken, refused)
	}
}

// TestSchemaRefuses: what is wrong with one value or one mapping shows in the
// editor, at the place that the loader names.
func TestSchemaRefuses(t *testing.T) {
	// Of a key the validator (6.0.3) may give a wrong place.
	const somewhere = "?"
	validate := validator(t)
	f := func(file, at string) {
		t.Helper()
		if _, _, problems := Load(newWorld().source(file)); problems == nil {
			t.Errorf("%s: the loader takes it", file)
		}
		v, _ := instance(file)
		var invalid *jsonschema.ValidationError
		if err := validate(v); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", file, err)
		} else if got := deepest(invalid); got != at && at != somewhere {
			t.Errorf("%s: refused at %q, want %q\n%v", file, got, at, err)
		}
	}
	action := func(fields string) string {
		return "on_http_request: [{type: ai-gateway, config: {" + fields + "}}]"
	}
	provider := func(fields string) string {
		return "providers: [{id: a, base_url: http://a.internal, " + fields + "}]"
	}
	// Names.
	f("listem: 127.0.0.1:80", "")
	f("envoy: {loglevel: info}", "envoy")
	f("on_http_request: [{type: ai-gateway, configuration: {}}]", "on_http_request/0")
	f("on_http_request: [{actions: [{type: ai-gateway, name: x}]}]", "on_http_request/0/actions/0")
	f(action("timeout: 3m"), "on_http_request/0/config")
	f(provider("key: x"), "providers/0")
	f(provider("api_keys: [{key: x}]"), "providers/0/api_keys/0")
	f(provider("models: [{id: m, price: {}}]"), "providers/0/models/0")
	f("access_keys: [{name: k, value: 0123456789abcdef, configuration: {router: {}}}]", "access_keys/0/configuration")
	// Types.
	f("listen: 99999", "listen")
	f("max_body_bytes: 32MiB", "max_body_bytes")
	f("max_body_bytes: 2048.5", "max_body_bytes")
	f(`allow_anonymous: "true"`, "allow_anonymous")
	f("allow_anonymous: yes", "allow_anonymous")
	f("allow_http_hosts: example.com", "allow_http_hosts")
	f("shutdown_timeout: 10", "shutdown_timeout")
	f("on_http_request: {type: ai-gateway}", "on_http_request")
	f(action("headers: {x-a: 1}"), "on_http_request/0/config/headers/x-a")
	f(action("body: [store]"), "on_http_request/0/config/body")
	f(action("failover_on: 5xx"), "on_http_request/0/config/failover_on")
	f(action("response_gate: false"), "on_http_request/0/config/response_gate")
	f(action("response_gate: never"), "on_http_request/0/config/response_gate")
	f("providers: [openai]", "providers/0")
	f("providers: [{id: 7, base_url: http://a.internal}]", "providers/0/id")
	f(provider("api_keys: [secret]"), "providers/0/api_keys/0")
	f(provider("models: [llama3]"), "providers/0/models/0")
	f(provider("models: [{id: m, max_context_window: 8k}]"), "providers/0/models/0/max_context_window")
	f(provider("models: [{id: m, pricing: {input: 0.15}}]"), "providers/0/models/0/pricing/input")
	f(provider("metadata: [gpu]"), "providers/0/metadata")
	// What is missing, or in the wrong place.
	f("providers: [{base_url: http://a.internal}]", "providers/0")
	f(provider("api_keys: [{}]"), "providers/0/api_keys/0")
	f(provider("models: [{provider_model_id: m}]"), "providers/0/models/0")
	f(provider("supported_api_surfaces: [{surface: responses}]"), "providers/0/supported_api_surfaces/0")
	f(provider("supported_api_surfaces: [{format: openai, supported_params: [{name: input}]}]"), "providers/0/supported_api_surfaces/0")
	f("providers: [{id: a, base_url: https://a.internal, tls: {cert_file: cert.pem}}]", "providers/0/tls")
	f("access_keys: [{value: 0123456789abcdef}]", "access_keys/0")
	f("access_keys: [{name: k}]", "access_keys/0")
	f("access_keys: [{name: k, value: 0123456789abcdef, configuration: {access: {models: {}}}}]", "access_keys/0/configuration/access/models")
	f("on_http_request: [{config: {}}]", "on_http_request/0")
	f("on_http_request: [{actions: [{}]}]", "on_http_request/0/actions/0")
	f("on_http_request: [{type: ai-gateway, actions: [{type: ai-gateway}]}]", "on_http_request/0/type")
	f("on_http_request: [{type: ai-gateway}, {type: ai-gateway}]", "on_http_request")
	f("on_http_request: [{type: ai-gateway}]\nproviders: []", "providers")
	// Words, ranges and forms.
	f("listen: example.com:80", "listen")
	f("admin: {listen: 127.0.0.1}", "admin/listen")
	f("envoy: {log_level: loud}", "envoy/log_level")
	f("envoy: {concurrency: -1}", "envoy/concurrency")
	f("max_body_bytes: 1023", "max_body_bytes")
	f("max_body_bytes: 536870913", "max_body_bytes")
	f("shutdown_timeout: 10 s", "shutdown_timeout")
	f("telemetry: {window: 60}", "telemetry/window")
	f("connect_to: {a.internal: 'b.internal:443'}", somewhere)
	f("connect_to: {'a.internal:80': b.internal}\nproviders: [{id: a, base_url: http://a.internal}]", "connect_to/a.internal:80")
	f("allow_http_hosts: [http://a.example.com]", "allow_http_hosts/0")
	f("on_http_request: [{type: deny}]", "on_http_request/0/type")
	f("on_http_request: [{expressions: [x], actions: [{type: ai-gateway}]}]", "on_http_request/0/expressions")
	f(action("on_error: continue"), "on_http_request/0/config/on_error")
	f(action("max_output_tokens: 500001"), "on_http_request/0/config/max_output_tokens")
	f(action("per_request_timeout: -1s"), "on_http_request/0/config/per_request_timeout")
	f(action("failover_on: [429, 600]"), "on_http_request/0/config/failover_on/1")
	f(action("outlier_detection: {consecutive_failures: 1001}"), "on_http_request/0/config/outlier_detection/consecutive_failures")
	f(action("outlier_detection: {base_ejection_time: 5}"), "on_http_request/0/config/outlier_detection/base_ejection_time")
	f(action(`failover_on: ["5x"]`), "on_http_request/0/config/failover_on/0")
	f(action("headers: {x a: b}"), somewhere)
	f(action(`query_params: {"": b}`), somewhere)
	f(action("body: {Model: m}"), somewhere)
	f("providers: [{id: a b, base_url: http://a.internal}]", "providers/0/id")
	f("providers: [{id: a, base_url: a.internal/v1}]", "providers/0/base_url")
	f("providers: [{id: a, base_url: 'https://user@a.internal'}]", "providers/0/base_url")
	f(provider("id_aliases: [a:b]"), "providers/0/id_aliases/0")
	f(provider("auth: {header: x y}"), "providers/0/auth/header")
	f(provider("auth: {prefix: Schlüssel}"), "providers/0/auth/prefix")
	f(provider("supported_api_surfaces: [{format: gemini}]"), "providers/0/supported_api_surfaces/0/format")
	f(provider("supported_api_surfaces: [{format: openai, surface: messages}]"), "providers/0/supported_api_surfaces/0/surface")
	f(provider("supported_api_surfaces: [{format: anthropic, surface: responses}]"), "providers/0/supported_api_surfaces/0/surface")
	f(provider(`models: [{id: m, pricing: {input: "$1"}}]`), "providers/0/models/0/pricing/input")
	f("access_keys: [{name: k, sha256: abc}]", "access_keys/0/sha256")
	f("access_keys: [{name: k, value: short}]", "access_keys/0/value")
	f("access_keys: [{name: k, value: 0123456789abcdef, configuration: {access: {models: {allow: [gpt-4o]}}}}]", "access_keys/0/configuration/access/models/allow/0")
}

// deepest is the place in the file of what is wrong.
func deepest(e *jsonschema.ValidationError) string {
	at := e.InstanceLocation
	for _, cause := range e.Causes {
		if inner := deepest(cause); strings.Count(inner, "/")+1 > len(at) && inner != "" {
			at = strings.Split(inner, "/")
		}
	}
	return strings.Join(at, "/")
}
