package policy

import (
	"os"
	"strings"
	"testing"

	"weir/llm"
	"weir/llm/body"
	"weir/policy/header"
)

// TestForwardDocumented: docs/api.md has every name of the lists.
func TestForwardDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	var names []string
	for name := range queryParams.Exact {
		names = append(names, name)
	}
	names = append(names, header.With(func(r header.Rule) bool { return r.Passes == header.Always })...)
	exact, prefixes := header.Stripped()
	names = append(append(names, exact...), prefixes...)
	names = append(append(names, returned...), NeverReturned()...)
	for _, name := range names {
		if !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("docs/api.md does not have %s", name)
		}
	}
}

func TestClientQuery(t *testing.T) {
	f := forward{query: body.NamesOf([]string{"Trace", "x-*"})}
	every := forward{query: body.NamesOf([]string{"*"})}
	for _, c := range []struct{ query, want, all string }{
		{"", "", ""},
		{"api-version=1&beta=true&limit=2", "api-version=1&beta=true&limit=2", "api-version=1&beta=true&limit=2"},
		{"API-Version=1&%62eta=%2f+", "API-Version=1&%62eta=%2f+", "API-Version=1&%62eta=%2f+"},
		{"trace=1&TRACE=2&trac%65=3&traces=4", "trace=1&TRACE=2&trac%65=3", "trace=1&TRACE=2&trac%65=3&traces=4"},
		{"x-a=1&x-=2&x=3", "x-a=1&x-=2", "x-a=1&x-=2&x=3"},
		{"include=a&include[]=b&include%5B%5D=c&include[0]=d", "include=a&include[]=b&include%5B%5D=c", "include=a&include[]=b&include%5B%5D=c&include[0]=d"},
		{"a=%zz&%q=1&=2&&", "", ""},
		// Methods and credentials, however they are written.
		{"$httpMethod=PUT&%24httpMethod=PUT&$HTTPMETHOD=PUT&httpMethod=PUT&$httpHeaders=a", "", ""},
		{"_method=PUT&_METHOD=PUT&%5fmethod=PUT&_method[]=PUT&_method[a]=PUT&%20_method=PUT&_Http_Method=PUT&X-HTTP-Method-Override=PUT&x_http_method=PUT", "", ""},
		{"key=1&api_key=2&apiKey=3&access_token[]=4&$key=5", "", ""},
	} {
		req := &Request{Endpoint: llm.EndpointAt(llm.ChatCompletionsPath), Query: c.query}
		if got := f.clientQuery(req); got != c.want {
			t.Errorf("%s: %s, want %s", c.query, got, c.want)
		}
		if got := every.clientQuery(req); got != c.all {
			t.Errorf("%s, with all: %s, want %s", c.query, got, c.all)
		}
	}
}

// TestHeaderOfAttempts: what is removed, and what later attempts change.
func TestHeaderOfAttempts(t *testing.T) {
	p := &Policy{strip: map[string]bool{"authorization": true, "x-token": true}}
	list := func(names ...string) *Cluster { return &Cluster{forward: &forward{headers: body.NamesOf(names)}} }
	none, a, ab, all := list(), list("x-a"), list("x-a", "x-b"), list("*")
	own := presenting("weir-0123456789-abcdef")
	for _, c := range []struct {
		name     string
		clusters []*Cluster
		headers  string // name: value, one a line
		want     string
	}{
		{"an SDK's", []*Cluster{none}, "user-agent: x\naccept: y\nanthropic-beta: z\nx-stainless-os: Linux\nauthorization: Bearer x\nx-token: x\nx-forwarded-proto: http\nx-envoy-a: b\n:path: /", ""},
		{"unknown", []*Cluster{none}, "x-a: 1\nx-a: 2\nx-b: 3", "-x-a -x-b"},
		{"allowed", []*Cluster{ab}, "x-a: 1\nx-b: 2\nx-c: 3", "-x-c"},
		{"everywhere", []*Cluster{all, all}, "x-a: 1\nx-b: 2", ""},
		{"nowhere", []*Cluster{none, none}, "x-a: 1", "-x-a"},
		{"later", []*Cluster{none, a, all}, "x-a: 1\nx-b: 2\nx-a: 3", "-x-a -x-b | x-a=1, 3 -x-b | x-a=1, 3 x-b=2"},
		{"no more", []*Cluster{all, none, a}, "x-a: 1\nx-b: 2", "| -x-a -x-b | x-a=1 -x-b"},
		{"the key", []*Cluster{all, all}, "x-a: Bearer weir-0123456789-abcdef\nuser-agent: weir-0123456789-abcdef", "-x-a -user-agent"},
		{"the key beside others", []*Cluster{none, a}, "x-a: 1\nx-a: weir-0123456789-abcdef", "-x-a | x-a=1"},
	} {
		plan := &Plan{}
		for _, cluster := range c.clusters {
			plan.Attempts = append(plan.Attempts, Attempt{Cluster: cluster})
		}
		for line := range strings.SplitSeq(c.headers, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			p.Header(plan, own, name, value)
		}
		var got []string
		for _, name := range plan.Withheld {
			got = append(got, "-"+name)
		}
		for i := range plan.Attempts[1:] {
			changes := plan.changes(i + 1)
			if len(plan.mixed) > 0 {
				got = append(got, "|")
			}
			for _, change := range changes {
				if change.Value == "" {
					got = append(got, "-"+change.Name)
				} else {
					got = append(got, change.Name+"="+change.Value)
				}
			}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %s, want %s", c.name, text, c.want)
		}
	}
}

func TestIsSelector(t *testing.T) {
	for _, key := range []string{
		"fallbacks", "Fallbacks", "FALLBACKS", "fallbackſ", "route", "provider", "provider_", "pro-vider", "deployment_id", "deploymentId", "DeploymentID", "deployment-id", "deployment.id",
		"lora_path", "aws_region_name", "awsRegionName", "litellm_metadata", "base_url", "baseURL", "extra_body", "api_\u212Aey", "custom_llm_provider",
	} {
		if !body.IsSelector(key) || !body.IsSelector([]byte(key)) {
			t.Errorf("%s", key)
		}
	}
	for _, key := range []string{
		"", "model", "messages", "stream", "stream_options", "tools", "tool_choice", "metadata", "user", "service_tier", "temperature", "prompt", "input", "system", "max_tokens", "thinking",
		"response_format", "instructions", "previous_response_id", "store", "store_id", "include", "reasoning", "reasoning_effort", "top_p", "seed", "file", "language", "voice", "size", "n",
		"container", "mcp_servers", "context_management", "prompt_cache_key", "safety_identifier", "parallel_tool_calls", "modalities", "audio", "prediction", "web_search_options", "verbosity",
		"encoding_format", "dimensions", "documents", "query", "top_n", "transforms", "plugins", "guided_json", "chat_template_kwargs", "min_p", "top_k", "repetition_penalty", "keep_alive", "options",
		"fallbac", "routes", "providersx", strings.Repeat("x", 1000),
	} {
		if body.IsSelector(key) {
			t.Errorf("%s", key)
		}
	}
}

// sdkHeaders are what the OpenAI SDK for Python sends, as Envoy passes it on.
var sdkHeaders = []ExplainedHeader{
	{":authority", "127.0.0.1:8080"}, {":path", "/v1/chat/completions"}, {":method", "POST"}, {":scheme", "http"},
	{"accept-encoding", "gzip, deflate"}, {"accept", "application/json"}, {"content-type", "application/json"}, {"user-agent", "OpenAI/Python 2.8.1"},
	{"x-stainless-lang", "python"}, {"x-stainless-package-version", "2.8.1"}, {"x-stainless-os", "Linux"}, {"x-stainless-arch", "x64"},
	{"x-stainless-runtime", "CPython"}, {"x-stainless-runtime-version", "3.12.3"}, {"authorization", "Bearer weir-0123456789-abcdefghijkl"}, {"x-stainless-async", "false"},
	{"x-stainless-retry-count", "0"}, {"x-stainless-read-timeout", "600"}, {"content-length", "1024"},
	{"x-forwarded-proto", "http"}, {"x-request-id", "3fa85f64-5717-4562-b3fc-2c963f66afa6"}, {"x-envoy-expected-rq-timeout-ms", "15000"},
}

// TestHeaderAllocations: an SDK's request has nothing to remove, and costs no
// allocation.
func TestHeaderAllocations(t *testing.T) {
	decide := headerDecision()
	if got := testing.AllocsPerRun(100, decide); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkHeader(b *testing.B) {
	decide := headerDecision()
	b.ReportAllocs()
	for b.Loop() {
		decide()
	}
}

func headerDecision() func() {
	p := &Policy{strip: map[string]bool{"authorization": true}}
	plan := &Plan{Attempts: []Attempt{{Cluster: &Cluster{forward: &forward{}}}}}
	own := presenting("weir-0123456789-abcdefghijkl")
	return func() {
		for i := range sdkHeaders {
			p.Header(plan, own, sdkHeaders[i].Name, sdkHeaders[i].Value)
		}
		if len(plan.Withheld) > 0 {
			panic(plan.Withheld[0])
		}
	}
}
