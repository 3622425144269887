package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/envoy"
	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// transports are the ways in which a client can send a body.
var transports = []struct {
	name   string
	client func(*testing.T) *http.Client
	// length reports whether the client announces the body's length.
	length bool
}{
	{"HTTP/1.1, content-length", http1, true},
	{"HTTP/1.1, chunked", http1, false},
	{"HTTP/2, prior knowledge", http2, true},
	{"HTTP/2, no content-length", http2, false},
}

func http1(t *testing.T) *http.Client { return clientOf(t, false) }

func http2(t *testing.T) *http.Client { return clientOf(t, true) }

// clientOf returns a client that keeps its connections and decompresses nothing.
func clientOf(t *testing.T, http2 bool) *http.Client {
	transport := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: gatewaytest.Patience}
}

// post sends a JSON body and reads the response to its end.
func post(t *testing.T, client *http.Client, url string, body []byte, length bool) gatewaytest.Response {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	if !length {
		r = io.MultiReader(r) // hides the length
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return gatewaytest.Response{Status: resp.StatusCode, Header: resp.Header, Body: string(b), Err: err}
}

// A body arrives as it was sent but for the model, and for `models`, which is
// the gateway's.
func TestBodies(t *testing.T) {
	first := recorder.Start(t, recorder.WithName("first"))
	second := recorder.Start(t, recorder.WithName("second"), recorder.WithTLS("second.internal"))
	third := recorder.Start(t, recorder.WithName("third"))
	g := gatewaytest.Start(t, fmt.Sprintf(`
connect_to: {"second.internal:443": %[2]s}
providers:
  - {id: first, base_url: %[1]s, models: [{id: known}]}
  - {id: second, base_url: https://second.internal, tls: {ca_file: %[4]s}}
  - {id: third, base_url: %[3]s}
`, first.URL(), second.Addr(), third.URL(), second.CA().File(t)))

	small := []struct{ name, sent, received string }{
		{"order and spacing", "\r\n{\n\t\"z\" : 1 ,\r\n  \"model\"\t:\n\"first:m\" ,\"a\":[ ] , \"b\" : { } }\n\n", "\r\n{\n\t\"z\" : 1 ,\r\n  \"model\"\t:\n\"m\" ,\"a\":[ ] , \"b\" : { } }\n\n"},
		{"numbers", `{"model":"first:m","a":1e400,"b":9007199254740993,"c":-0.0,"d":1E+02,"e":0.1000000000000000055511151231257827,"f":-0}`, `{"model":"m","a":1e400,"b":9007199254740993,"c":-0.0,"d":1E+02,"e":0.1000000000000000055511151231257827,"f":-0}`},
		{"escapes", `{"model":"first:m","a":"\/ \u00e9 \u00E9 \ud83d\ude00 \u2028 \u003c é 😀 < \b\f\n\r\t\"\\ \u0000"}`, `{"model":"m","a":"\/ \u00e9 \u00E9 \ud83d\ude00 \u2028 \u003c é 😀 < \b\f\n\r\t\"\\ \u0000"}`},
		{"half a surrogate pair", `{"model":"first:m","a":"\ud83d"}`, `{"model":"m","a":"\ud83d"}`},
		{"unknown fields, repeated", `{"x":1,"model":"first:m","x":2,"X":3,"":4,"":5}`, `{"x":1,"model":"m","x":2,"X":3,"":4,"":5}`},
		{"model further down", `{"a":{"model":"first:m","models":["first:m"]},"model":"first:m","b":["model"]}`, `{"a":{"model":"first:m","models":["first:m"]},"model":"m","b":["model"]}`},
		{"escapes in the key and the model", `{"mod\u0065l":"f\u0069rst:m"}`, `{"mod\u0065l":"m"}`},
		{"a model that needs escapes", `{"model":"first:a \"b\" \\ \u00e9 \u003c"}`, `{"model":"a \"b\" \\ é <"}`},
		{"models", `{"a":1, "models" : ["nowhere", "first:m"], "b":2}`, `{"model":"m","a":1, "b":2}`},
		{"model and models", `{"model":"first:m" ,"models":["second:m"]}`, `{"model":"m"}`},
		{"nothing to change", `{ "model" : "known", "n" : 1.0 }`, `{ "model" : "known", "n" : 1.0 }`},
		{"another case", `{"model":"FIRST/Known"}`, `{"model":"known"}`},
	}
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			client := tr.client(t)
			for _, c := range small {
				first.Reset()
				a := post(t, client, g.URL+"/v1/chat/completions", []byte(c.sent), tr.length)
				if a.Status != 200 {
					t.Errorf("%s: response %d %s", c.name, a.Status, a.Body)
					continue
				}
				r := first.Last(t)
				sameBody(t, c.name, []byte(c.received), r.Body)
				if r.BodyErr != nil || (r.ContentLength != int64(len(c.received)) && c.sent != c.received) {
					t.Errorf("%s: content-length %d, %v", c.name, r.ContentLength, r.BodyErr)
				}
			}
		})
	}

	head, tail := prompt30MB()
	for _, tr := range transports {
		t.Run("30 MB, "+tr.name, func(t *testing.T) {
			for _, p := range []*recorder.Provider{first, second, third} {
				p.Reset()
			}
			first.Script(recorder.Status(503, nil, "busy"))
			// The first time there is no connection to this provider yet while
			// Weir is asked for the body: Envoy crashed on that (see
			// envoy.controlCluster).
			second.Script(recorder.CloseBeforeHeaders)
			body := []byte(head + `"first:m", "models":["second:org/a-longer-name", "third:x"]` + tail)
			a := post(t, tr.client(t), g.URL+"/v1/chat/completions", body, tr.length)
			if a.Status != 200 || a.Header.Get("X-Weir-Attempts") != "3" || !strings.Contains(a.Body, third.ResponseText("x")) {
				t.Errorf("response %d after %s attempts: %s", a.Status, a.Header.Get("X-Weir-Attempts"), a.Body)
			}
			sameBody(t, "first", []byte(head+`"m"`+tail), first.Last(t).Body)
			sameBody(t, "second", []byte(head+`"org/a-longer-name"`+tail), second.Last(t).Body)
			sameBody(t, "third", []byte(head+`"x"`+tail), third.Last(t).Body)
		})
	}
}

// prompt30MB is a chat with images, as it stands before and after the model.
func prompt30MB() (head, tail string) {
	const images, size = 6, 5 << 20
	source := rand.NewChaCha8([32]byte{})
	var b strings.Builder
	b.WriteString(`, "temperature": 1.0, "messages": [{"role": "user", "content": [`)
	raw := make([]byte, size/4*3)
	for range images {
		_, _ = source.Read(raw)
		b.WriteString(`{"type": "image_url", "image_url": {"url": "data:image/png;base64,`)
		b.WriteString(base64.StdEncoding.EncodeToString(raw))
		b.WriteString(`"}}, `)
	}
	b.WriteString(`{"type": "text", "text": "What is this?"}]}], "x-last": 1e400}`)
	return `{"seed": 9007199254740993, "model" : `, b.String()
}

// arrival describes in one line what a provider received.
func arrival(r recorder.Request) string {
	scheme := "http"
	if r.TLS {
		scheme = "https"
	}
	key := "no key"
	for _, name := range []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key"} {
		if value := r.Header.Get(name); value != "" {
			key = name + ": " + value
		}
	}
	return fmt.Sprintf("%s://%s%s | %s | %s", scheme, r.Authority, r.Path, key, r.Body)
}

// TestProviders tests where a request goes, and with which path, host and body
// (docs/providers.md and docs/models.md).
func TestProviders(t *testing.T) {
	hosts := []string{
		"api.openai.com", "api.anthropic.com", "openrouter.ai", "generativelanguage.googleapis.com", "api.groq.com", "api.deepseek.com",
		"api.my-service.com", "ollama.internal", "dmr.internal", "x.openai.azure.com", "one.internal", "two.internal",
	}
	ca := recorder.NewCA(t)
	cloud := recorder.Start(t, recorder.WithName("cloud"), recorder.WithTLS(append(hosts, "ported.internal")...), recorder.WithCA(ca))
	old := recorder.Start(t, recorder.WithName("old"), recorder.WithTLS("old.internal"), recorder.WithCA(ca), recorder.WithProtocols("http/1.1"))
	local := recorder.Start(t, recorder.WithName("local"))
	connect := fmt.Sprintf("ported.internal:8443: %s\n  old.internal:443: %s\n  \"[::1]:11434\": %s\n  vllm:80: %[3]s", cloud.Addr(), old.Addr(), local.Addr())
	for _, h := range hosts {
		connect += fmt.Sprintf("\n  %s:443: %s", h, cloud.Addr())
	}
	// Found now, because an Envoy cannot be downloaded with the test's CA.
	path, err := envoy.Find(t.Context(), envoy.FindOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g := gatewaytest.Start(t, fmt.Sprintf(`
connect_to:
  %[1]s
on_http_request:
  - type: ai-gateway
    config:
      providers:
        # The catalogue's, with a key.
        - {id: openai, api_keys: [{value: "${secrets.get('openai', 'api-key')}"}]}
        - {id: anthropic, api_keys: [{value: key-of-anthropic}]}
        - {id: openrouter, api_keys: [{value: key-of-openrouter}]}
        - {id: google, http2: true, api_keys: [{value: key-of-google}]}
        - {id: groq, api_keys: [{value: key-of-groq}]}
        - {id: deepseek, api_keys: [{value: key-of-deepseek}]}
        # Base URLs of every kind.
        - {id: ollama, base_url: https://ollama.internal, models: [{id: llama3.2:1b}, {id: llama3.2:3b, id_aliases: [small]}]}
        - {id: my-service, base_url: https://api.my-service.com/v1, api_keys: [{value: key-of-my-service}]}
        - {id: dmr, base_url: https://dmr.internal/engines/llama.cpp}
        - {id: gemini-custom, base_url: https://generativelanguage.googleapis.com/v1beta/openai/, api_keys: [{value: key-of-gemini}]}
        - {id: azure, http2: true, base_url: "https://x.openai.azure.com/openai/deployments/D?api-version=2024-10-21", api_keys: [{value: key-of-azure}], forward: {query: [trace]}}
        - {id: ported, base_url: https://ported.internal:8443/v2/, tls: {ca_file: %[2]s}}
        - {id: old, http2: true, base_url: https://old.internal}
        - {id: vllm, base_url: http://vllm}
        - {id: ipv6, base_url: "http://[::1]:11434"}
        # Several of a kind.
        - id: one
          base_url: https://one.internal
          api_keys: [{value: first-key-of-one}, {value: second-key-of-one}]
          models: [{id: shared}, {id: renamed, provider_model_id: Vendor/Renamed-2026}]
        - id: two
          base_url: https://two.internal
          api_keys: [{value: key-of-two}]
          models: [{id: shared, provider_model_id: shared@two}]
`, connect, ca.File(t)),
		gatewaytest.Env("SSL_CERT_FILE", ca.File(t)), gatewaytest.Env("ENVOY_PATH", path),
		gatewaytest.Env("WEIR_SECRET_OPENAI_API_KEY", "key-of-openai"),
		gatewaytest.Secrets("key-of-", "first-key", "second-key"))

	const chat = "/v1/chat/completions"
	for _, c := range []struct {
		name, path, body string
		failures         []int // statuses that the first attempts get
		provider, model  string
		want             []string
	}{
		// Base URLs.
		{"version", chat, `{"model":"my-service:m"}`, nil, "my-service", "m", []string{`https://api.my-service.com/v1/chat/completions | Authorization: Bearer key-of-my-service | {"model":"m"}`}},
		{"no path", chat, `{"model":"ollama:m"}`, nil, "ollama", "m", []string{`https://ollama.internal/v1/chat/completions | no key | {"model":"m"}`}},
		{"path without a version", chat, `{"model":"dmr:ai/smollm2"}`, nil, "dmr", "ai/smollm2", []string{`https://dmr.internal/engines/llama.cpp/v1/chat/completions | no key | {"model":"ai/smollm2"}`}},
		{"path that ends with openai/", chat, `{"model":"gemini-custom:m"}`, nil, "gemini-custom", "m", []string{`https://generativelanguage.googleapis.com/v1beta/openai/chat/completions | Authorization: Bearer key-of-gemini | {"model":"m"}`}},
		{"openai/ and a version", chat, `{"model":"groq:m"}`, nil, "groq", "m", []string{`https://api.groq.com/openai/v1/chat/completions | Authorization: Bearer key-of-groq | {"model":"m"}`}},
		{"Azure", chat, `{"model":"azure:gpt-4o"}`, nil, "azure", "gpt-4o", []string{`https://x.openai.azure.com/openai/deployments/D/chat/completions?api-version=2024-10-21 | Api-Key: key-of-azure | {"model":"gpt-4o"}`}},
		{"Azure, the client's query", chat + "?api-version=1&api-key=stolen&trace=%2F+1", `{"model":"azure:gpt-4o"}`, nil, "azure", "gpt-4o", []string{`https://x.openai.azure.com/openai/deployments/D/chat/completions?api-version=2024-10-21&trace=%2F+1 | Api-Key: key-of-azure | {"model":"gpt-4o"}`}},
		{"port", "/v1/embeddings", `{"model":"ported:m"}`, nil, "ported", "m", []string{`https://ported.internal:8443/v2/embeddings | no key | {"model":"m"}`}},
		{"plain, one label", chat, `{"model":"vllm:m"}`, nil, "vllm", "m", []string{`http://vllm/v1/chat/completions | no key | {"model":"m"}`}},
		{"plain, IPv6", chat, `{"model":"ipv6:m"}`, nil, "ipv6", "m", []string{`http://[::1]:11434/v1/chat/completions | no key | {"model":"m"}`}},
		// Names.
		{"a colon in the model", chat, `{"model":"ollama:llama3.2:1b"}`, nil, "ollama", "llama3.2:1b", []string{`https://ollama.internal/v1/chat/completions | no key | {"model":"llama3.2:1b"}`}},
		{"bare, with a colon", chat, `{"model":"llama3.2:1b"}`, nil, "ollama", "llama3.2:1b", []string{`https://ollama.internal/v1/chat/completions | no key | {"model":"llama3.2:1b"}`}},
		{"alias", chat, `{"model":"small"}`, nil, "ollama", "llama3.2:3b", []string{`https://ollama.internal/v1/chat/completions | no key | {"model":"llama3.2:3b"}`}},
		{"a slash in the model", chat, `{"model":"openrouter:anthropic/claude-3.5-sonnet"}`, nil, "openrouter", "anthropic/claude-3.5-sonnet", []string{`https://openrouter.ai/api/v1/chat/completions | Authorization: Bearer key-of-openrouter | {"model":"anthropic/claude-3.5-sonnet"}`}},
		{"provider/model", chat, `{"model":"openai/gpt-4o"}`, nil, "openai", "gpt-4o", []string{`https://api.openai.com/v1/chat/completions | Authorization: Bearer key-of-openai | {"model":"gpt-4o"}`}},
		{"bare, in the catalogue", "/v1/responses", `{"model":"gpt-4o"}`, nil, "openai", "gpt-4o", []string{`https://api.openai.com/v1/responses | Authorization: Bearer key-of-openai | {"model":"gpt-4o"}`}},
		{"alias of a provider", chat, `{"model":"gemini:gemini-2.5-pro"}`, nil, "google", "gemini-2.5-pro", []string{`https://generativelanguage.googleapis.com/v1beta/openai/chat/completions | Authorization: Bearer key-of-google | {"model":"gemini-2.5-pro"}`}},
		{"no version in the catalogue", chat, `{"model":"deepseek-chat"}`, nil, "deepseek", "deepseek-chat", []string{`https://api.deepseek.com/v1/chat/completions | Authorization: Bearer key-of-deepseek | {"model":"deepseek-chat"}`}},
		{"Anthropic, messages", "/v1/messages?beta=true", `{"model":"anthropic:claude-sonnet-4-5","max_tokens":5}`, nil, "anthropic", "claude-sonnet-4-5", []string{`https://api.anthropic.com/v1/messages?beta=true | X-Api-Key: key-of-anthropic | {"model":"claude-sonnet-4-5","max_tokens":5}`}},
		{"Anthropic, chat completions", chat, `{"model":"claude-sonnet-4-5"}`, nil, "anthropic", "claude-sonnet-4-5", []string{`https://api.anthropic.com/v1/chat/completions | Authorization: Bearer key-of-anthropic | {"model":"claude-sonnet-4-5"}`}},
		{"provider_model_id", chat, `{"model":"renamed"}`, nil, "one", "Vendor/Renamed-2026", []string{`https://one.internal/v1/chat/completions | Authorization: Bearer first-key-of-one | {"model":"Vendor/Renamed-2026"}`}},
		// Attempts, in their order.
		{"keys, then the next provider", chat, `{"model":"shared", "n":1}`, []int{429, 401}, "two", "shared@two", []string{
			`https://one.internal/v1/chat/completions | Authorization: Bearer first-key-of-one | {"model":"shared", "n":1}`,
			`https://one.internal/v1/chat/completions | Authorization: Bearer second-key-of-one | {"model":"shared", "n":1}`,
			`https://two.internal/v1/chat/completions | Authorization: Bearer key-of-two | {"model":"shared@two", "n":1}`,
		}},
		{"models", chat, `{"model":"azure:gpt-4o","models":["anthropic:claude-sonnet-4-5", "azure:gpt-4o", "openrouter:meta/llama", "vllm:m"],"n":1}`, []int{500, 503, 529}, "vllm", "m", []string{
			`https://x.openai.azure.com/openai/deployments/D/chat/completions?api-version=2024-10-21 | Api-Key: key-of-azure | {"model":"gpt-4o","n":1}`,
			`https://api.anthropic.com/v1/chat/completions | Authorization: Bearer key-of-anthropic | {"model":"claude-sonnet-4-5","n":1}`,
			`https://openrouter.ai/api/v1/chat/completions | Authorization: Bearer key-of-openrouter | {"model":"meta/llama","n":1}`,
			`http://vllm/v1/chat/completions | no key | {"model":"m","n":1}`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud.Reset()
			local.Reset()
			for _, status := range c.failures {
				cloud.Script(recorder.Status(status, nil, "no"))
			}
			a := g.Post(c.path, c.body, "Authorization", "Bearer of-the-client", "X-Api-Key", "of-the-client", "X-Goog-Api-Key", "of-the-client", "Api-Key", "of-the-client", "Cookie", "of=the-client")
			if a.Status != 200 {
				t.Fatalf("response %d %s", a.Status, a.Body)
			}
			var got []string
			for _, r := range append(cloud.Requests(), local.Requests()...) {
				got = append(got, arrival(r))
				host, _, _ := strings.Cut(r.Authority, ":")
				proto, alpn := "HTTP/1.1", "http/1.1"
				if host == "generativelanguage.googleapis.com" && c.provider == "google" || host == "x.openai.azure.com" { // http2: true
					proto, alpn = "HTTP/2.0", "h2"
				}
				if r.TLS && (r.SNI != host || r.Proto != proto || r.ALPN != alpn) {
					t.Errorf("SNI %q, %s, ALPN %q for %s, want %s, %q", r.SNI, r.Proto, r.ALPN, r.Authority, proto, alpn)
				}
				for name, values := range r.Header {
					if strings.Contains(strings.Join(values, " "), "the-client") {
						t.Errorf("%s received %s: %s", r.Authority, name, values)
					}
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("- want, + received:\n%s", diff)
			}
			said := []string{a.Header.Get("X-Weir-Provider"), a.Header.Get("X-Weir-Model"), a.Header.Get("X-Weir-Attempts")}
			if diff := cmp.Diff([]string{c.provider, c.model, strconv.Itoa(len(c.want))}, said); diff != "" {
				t.Errorf("the client received: - want, + got:\n%s", diff)
			}
		})
	}
	t.Run("HTTP/1.1 by ALPN", func(t *testing.T) {
		if a := g.Post(chat, `{"model":"old:m"}`); a.Status != 200 {
			t.Fatalf("response %d %s", a.Status, a.Body)
		}
		if r := old.Last(t); r.Proto != "HTTP/1.1" || r.ALPN != "http/1.1" || r.SNI != "old.internal" || r.Authority != "old.internal" {
			t.Errorf("%s, ALPN %q, SNI %q, for %s", r.Proto, r.ALPN, r.SNI, r.Authority)
		}
	})
}
