package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"weir/llm"
	"weir/llm/body"
)

// schema is a JSON Schema, by its keywords.
type schema = map[string]any

const (
	addressPattern = `^((localhost|[0-9.]+|\[[0-9A-Fa-f:.]+\])?:)?[0-9]{1,5}$`
	baseURLPattern = `^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+([/?][^#]*)?$`
)

// customTypes are the schemas of types that decode themselves.
var customTypes = map[reflect.Type]schema{
	durationType: {"type": "string", "pattern": `^\+?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`, "examples": []string{"500ms", "30s", "1m30s"}},

	reflect.TypeFor[RawValue]():       {},
	reflect.TypeFor[Template]():       {"type": "string"},
	reflect.TypeFor[llm.Format]():     {"type": "string", "enum": []llm.Format{llm.OpenAI, llm.Anthropic}},
	reflect.TypeFor[llm.Surface]():    {"type": "string", "enum": append(llm.Surfaces(llm.OpenAI), llm.Surfaces(llm.Anthropic)...)},
	reflect.TypeFor[Address]():        {"anyOf": address},
	reflect.TypeFor[Addresses]():      {"anyOf": append([]schema{{"type": "array", "minItems": 1, "items": schema{"anyOf": address}}}, address...)},
	reflect.TypeFor[FailoverConfig](): {"type": "array", "items": failure},
	reflect.TypeFor[UserList]():       {"type": "array", "items": systemUser},
	reflect.TypeFor[NamesConfig]():    {"anyOf": []schema{{"const": "all"}, {"type": "array", "items": schema{"type": "string", "minLength": 1}}}},
}

// address is host:port, or a port: 8080 and "8080" are the same.
var address = []schema{
	{"type": "string", "pattern": addressPattern},
	{"type": "integer", "minimum": 0, "maximum": 65535},
}

// failure is an entry of failover_on: 429 and "429" are the same.
var failure = schema{"anyOf": []schema{
	{"type": "string", "enum": []string{"connect_failure", "reset", "timeout", "4xx", "5xx",
		llm.CauseInvalidKey, llm.CauseAccount, llm.CauseRegion, llm.CauseUnknownModel, llm.CauseUnsupportedFeature, llm.CauseContext}},
	{"type": "integer", "minimum": 400, "maximum": 599},
	{"type": "string", "pattern": "^[45][0-9][0-9]$"},
}}

// systemUser is an entry of envoy.users: 101 and "101" are the same.
var systemUser = schema{"anyOf": []schema{
	{"type": "string", "pattern": userPattern.String()},
	{"type": "integer", "minimum": 0, "maximum": maxUID},
}}

// schemaRules are the keywords that the type of a field does not imply, by type and field.
// They override those of the type.
var schemaRules = map[string]schema{
	"Config": { // providers are in one place
		"if":   schema{"required": []string{"on_http_request"}, "properties": schema{"on_http_request": schema{"minItems": 1}}},
		"then": schema{"properties": schema{"providers": false}},
	},
	"Config.listen":           {"default": DefaultListen, "examples": []any{8080, ":8080", []string{"10.0.0.1:8080", "[fd00::1]:8080"}}},
	"Config.allow_http_hosts": {"items": schema{"type": "string", "pattern": `^[^/?#@]+$`}, "examples": [][]string{{"models.example.com"}}},
	"Config.max_body_bytes":   {"minimum": 1024, "maximum": MaxMaxBodyBytes, "default": DefaultMaxBodyBytes},
	"Config.connect_to": {
		"propertyNames":        schema{"pattern": `^.+:[0-9]+$`},
		"additionalProperties": schema{"type": "string", "pattern": `^.+:[0-9]+$`},
		"examples":             []map[string]string{{"api.openai.com:443": "proxy.internal:8443"}},
	},
	"Config.on_http_request":  {"maxItems": 1},
	"Config.shutdown_timeout": {"default": written(DefaultShutdownTimeout)},

	"LimitsConfig.envoy_heap_bytes":                   {"minimum": MinMemoryBytes, "maximum": MaxMemoryBytes},
	"LimitsConfig.weir_memory_bytes":                  {"minimum": MinMemoryBytes, "maximum": MaxMemoryBytes},
	"LimitsConfig.max_request_headers":                {"minimum": MinMaxRequestHeaders, "maximum": MaxMaxRequestHeaders, "default": DefaultMaxRequestHeaders},
	"LimitsConfig.max_request_header_bytes":           {"minimum": MinMaxRequestHeaderBytes, "maximum": MaxMaxRequestHeaderBytes, "default": DefaultMaxRequestHeaderBytes},
	"LimitsConfig.max_streams_per_connection":         {"minimum": MinMaxStreamsPerConnection, "maximum": MaxMaxStreamsPerConnection, "default": DefaultMaxStreamsPerConnection},
	"LimitsConfig.stream_window_bytes":                {"minimum": MinStreamWindowBytes, "maximum": MaxStreamWindowBytes, "default": DefaultStreamWindowBytes},
	"LimitsConfig.connection_window_bytes":            {"minimum": MinStreamWindowBytes, "maximum": MaxConnectionWindowBytes, "default": DefaultConnectionWindowBytes},
	"LimitsConfig.client_buffer_bytes":                {"minimum": MinClientBufferBytes, "maximum": MaxClientBufferBytes, "default": DefaultClientBufferBytes},
	"LimitsConfig.max_requests":                       {"minimum": 1, "maximum": MaxMaxRequests, "default": DefaultMaxRequests},
	"LimitsConfig.max_requests_per_key":               {"minimum": 1, "maximum": MaxMaxRequests},
	"LimitsConfig.max_buffered_body_bytes":            {"minimum": 1024, "maximum": MaxMaxBufferedBodyBytes, "default": DefaultMaxBufferedBodyBytes},
	"LimitsConfig.max_buffered_body_bytes_per_key":    {"minimum": 1024, "maximum": MaxMaxBufferedBodyBytes},
	"LimitsConfig.max_wait":                           {"default": written(DefaultMaxWait)},
	"KeyLimitsConfig.max_requests":                    {"minimum": 1, "maximum": MaxMaxRequests},
	"KeyLimitsConfig.max_buffered_body_bytes":         {"minimum": 1024, "maximum": MaxMaxBufferedBodyBytes},
	"LimitsConfig.open_files":                         {"minimum": MinOpenFiles, "maximum": MaxOpenFiles},
	"LimitsConfig.max_client_connections":             {"minimum": 1, "maximum": MaxOpenFiles},
	"LimitsConfig.max_client_connections_per_address": {"minimum": 1, "maximum": MaxOpenFiles},
	"LimitsConfig.max_provider_connections":           {"minimum": 1, "maximum": MaxOpenFiles},
	"LimitsConfig.client_headers_timeout":             {"default": written(DefaultClientHeadersTimeout)},
	"LimitsConfig.client_body_timeout":                {"default": written(DefaultClientBodyTimeout)},
	"LimitsConfig.client_idle_timeout":                {"default": written(DefaultClientIdleTimeout)},
	"LimitsConfig.max_client_connection_age":          {"default": written(DefaultMaxClientConnectionAge)},

	"AdminConfig.listen":          {"default": DefaultAdminListen},
	"ListenTLSConfig.cert_file":   {"minLength": 1},
	"ListenTLSConfig.key_file":    {"minLength": 1},
	"Config.trusted_proxies":      {"items": schema{"type": "string", "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"}, "examples": [][]string{{"10.0.0.0/8", "fd00::/8"}}},
	"Config.xff_num_trusted_hops": {"minimum": 0, "maximum": MaxTrustedHops, "default": 0},
	"EnvoyConfig.concurrency":     {"minimum": 0, "default": 0},
	"EnvoyConfig.log_level":       {"enum": LogLevels(), "default": "warning"},
	"EnvoyConfig.users":           {"examples": [][]any{{"envoy", 101}}},
	"SecretsConfig.dir":           {"examples": []string{"/run/secrets"}},
	"TelemetryConfig.access_log":  {"default": DefaultAccessLog, "examples": []string{"off", "stderr", "/var/log/weir/access.log"}},
	"TelemetryConfig.window":      {"default": written(DefaultWindow)},

	"AccessKeyConfig":        {"oneOf": []schema{{"required": []string{"sha256"}}, {"required": []string{"value"}}}},
	"AccessKeyConfig.name":   {"minLength": 1},
	"AccessKeyConfig.sha256": {"pattern": "^[0-9A-Fa-f]{64}$"},
	"AccessKeyConfig.value":  {"minLength": MinKeyLength, "examples": []string{"${secrets.get('clients', 'team-a')}"}},
	"AccessConfig.models": {"allOf": []schema{{"properties": schema{"allow": schema{
		"items": schema{"pattern": "^[^:]+:."}, "examples": [][]string{{"openai:gpt-4o"}},
	}}}}},

	"RuleConfig": { // the long form, or the short one
		"if":   schema{"required": []string{"actions"}, "properties": schema{"actions": schema{"minItems": 1}}},
		"then": schema{"properties": schema{"type": false, "config": false}},
		"else": schema{"required": []string{"type"}},
	},
	"RuleConfig.expressions": {"maxItems": 0},
	"RuleConfig.actions":     {"maxItems": 1},
	"RuleConfig.type":        {"const": "ai-gateway"},
	"ActionConfig.type":      {"const": "ai-gateway"},

	"GatewayConfig.headers":                       {"propertyNames": schema{"pattern": headerPattern.String()}},
	"GatewayConfig.query_params":                  {"propertyNames": schema{"minLength": 1}},
	"GatewayConfig.body":                          {"propertyNames": schema{"not": schema{"pattern": "^[Mm][Oo][Dd][Ee][Ll][Ss]?$"}}},
	"GatewayConfig.per_request_timeout":           {"default": written(DefaultPerRequestTimeout)},
	"GatewayConfig.total_timeout":                 {"default": written(DefaultTotalTimeout)},
	"GatewayConfig.stream_idle_timeout":           {"default": written(DefaultStreamIdleTimeout)},
	"GatewayConfig.max_input_tokens":              {"minimum": 1, "maximum": MaxTokens},
	"GatewayConfig.max_output_tokens":             {"minimum": 1, "maximum": MaxTokens},
	"GatewayConfig.on_error":                      {"enum": []string{"halt"}, "default": "halt"},
	"GatewayConfig.response_gate":                 {"enum": []string{"on", "off"}, "default": "on"},
	"GatewayConfig.failover_on":                   {"default": DefaultFailover(), "examples": [][]any{{"connect_failure", "timeout", 429, "5xx"}}},
	"OutlierDetectionConfig.consecutive_failures": {"minimum": 1, "maximum": MaxConsecutiveFailures, "default": DefaultConsecutiveFailures},
	"OutlierDetectionConfig.base_ejection_time":   {"default": written(DefaultBaseEjectionTime)},
	"OutlierDetectionConfig.max_ejection_time":    {"default": written(DefaultMaxEjectionTime)},
	"StrategyConfig.strategy":                     {"examples": [][]string{{"ai.models.filter(m, m.provider_id == 'ollama')", "ai.models.random()"}}},

	"ProviderConfig.id":                     {"pattern": idPattern.String(), "examples": []string{"ollama", "openai"}},
	"ProviderConfig.id_aliases":             {"items": schema{"type": "string", "pattern": idPattern.String()}},
	"ProviderConfig.base_url":               {"pattern": baseURLPattern, "examples": []string{"https://api.example.com/v1", "http://localhost:11434"}},
	"ProviderConfig.headers":                {"propertyNames": schema{"pattern": headerPattern.String()}},
	"ProviderConfig.supported_api_surfaces": {"default": []schema{{"format": llm.OpenAI}}},
	"APIKeyConfig.value":                    {"minLength": 1, "examples": []string{"${secrets.get('openai', 'api-key')}"}},
	"TLSConfig":                             {"dependentRequired": schema{"cert_file": []string{"key_file"}, "key_file": []string{"cert_file"}}},
	"AuthConfig.header":                     {"pattern": headerPattern.String(), "examples": []string{"X-Token"}},
	"AuthConfig.prefix":                     {"pattern": "^[ -~]*$"},
	"SurfaceConfig": {
		"dependentRequired": schema{"supported_params": []string{"surface"}},
		"if":                schema{"required": []string{"format"}, "properties": schema{"format": schema{"const": llm.Anthropic}}},
		"then":              schema{"properties": schema{"surface": schema{"enum": llm.Surfaces(llm.Anthropic)}}},
		"else":              schema{"properties": schema{"surface": schema{"enum": llm.Surfaces(llm.OpenAI)}}},
	},
	"SurfaceConfig.base_url": {"pattern": baseURLPattern},
	"ParamConfig.name":       {"minLength": 1, "examples": []string{"temperature", "logprobs"}},

	"ModelConfig.id":                 {"minLength": 1, "maxLength": body.MaxModelLen, "examples": []string{"llama3.2:1b", "gpt-4o"}},
	"ModelConfig.provider_model_id":  {"maxLength": body.MaxModelLen},
	"ModelConfig.id_aliases":         {"items": schema{"type": "string", "minLength": 1, "maxLength": body.MaxModelLen}},
	"ModelConfig.input_modalities":   {"examples": [][]string{{"text", "image"}}},
	"ModelConfig.output_modalities":  {"examples": [][]string{{"text"}}},
	"ModelConfig.max_context_window": {"minimum": 0},
	"ModelConfig.max_output_tokens":  {"minimum": 0},
	"ModelConfig.supported_features": {"examples": [][]string{{"tools", "structured-outputs"}}},
	"PricingConfig.input":            price,
	"PricingConfig.output":           price,
	"PricingConfig.cache_read":       price,
	"PricingConfig.cache_write":      price,
}

var price = schema{"pattern": decimalPattern.String(), "examples": []string{"0.15"}}

// writeSchema returns the schema of Config.
func writeSchema(t *testing.T) string {
	t.Helper()
	w := &schemaWriter{t: t, comments: fieldComments(t), defs: schema{}, unused: maps.Clone(schemaRules)}
	root := w.structure(reflect.TypeFor[Config]())
	for name := range w.unused {
		t.Errorf("schemaRules has %s, but the configuration does not", name)
	}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Weir configuration"
	root["$defs"] = w.defs
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

type schemaWriter struct {
	t        *testing.T
	comments map[string]string
	defs     schema
	unused   map[string]schema
}

// of returns the schema of a type. Its cases are those of decoder.reflected.
func (w *schemaWriter) of(t reflect.Type) schema {
	if s, ok := customTypes[t]; ok {
		return maps.Clone(s)
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[nodeDecoder]()) {
		w.t.Fatalf("add the schema of %s to customTypes", t)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return w.of(t.Elem())
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean", "default": false}
	case reflect.Int, reflect.Int64:
		return schema{"type": "integer"}
	case reflect.Float64:
		return schema{"type": "number"}
	case reflect.Slice:
		return schema{"type": "array", "items": w.of(t.Elem())}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": w.of(t.Elem())}
	case reflect.Interface:
		return schema{}
	case reflect.Struct:
		if w.defs[t.Name()] == nil {
			w.defs[t.Name()] = schema{} // fields may refer to it
			w.defs[t.Name()] = w.structure(t)
		}
		return schema{"$ref": "#/$defs/" + t.Name()}
	}
	w.t.Fatalf("no rule for %s", t)
	return nil
}

func (w *schemaWriter) structure(t reflect.Type) schema {
	properties, required := schema{}, []string{}
	names, index := fieldsOf(t)
	for _, name := range names {
		f := t.FieldByIndex(index[name])
		s := w.of(f.Type)
		s["description"] = w.comments[t.Name()+"."+f.Name]
		if s["description"] == "" {
			w.t.Errorf("%s.%s has no comment: editors show it", t.Name(), f.Name)
		}
		maps.Copy(s, w.rule(t.Name()+"."+name))
		properties[name] = s
		if !strings.HasSuffix(f.Tag.Get("yaml"), ",omitempty") {
			required = append(required, name)
		}
	}
	s := schema{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	maps.Copy(s, w.rule(t.Name()))
	return s
}

func (w *schemaWriter) rule(name string) schema {
	delete(w.unused, name)
	return schemaRules[name]
}

// fieldComments returns the comments of the package's fields, by Type.Field.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					for _, name := range f.Names {
						comments[fmt.Sprintf("%s.%s", spec.Name, name)] = strings.Join(strings.Fields(f.Doc.Text()), " ")
					}
				}
			}
			return false
		})
	}
	return comments
}
