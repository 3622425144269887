package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
	"weir/metadata"
)

// maxBody is the limit on bodies of the gateway under attack.
const maxBody = 2 << 20

// hostile is a gateway without access keys and its two providers.
type hostile struct {
	*gatewaytest.Gateway
	p *recorder.Provider // over HTTP/1.1, the only one with a configured model
	q *recorder.Provider // over HTTP/2
}

// TestHostile sends what no client should. Each case has its exact response, and
// what the providers received is asserted even where that is nothing.
func TestHostile(t *testing.T) {
	h := hostile{p: recorder.Start(t, recorder.WithName("p")), q: recorder.Start(t, recorder.WithName("q"), recorder.WithTLS("q.internal"))}
	h.Gateway = gatewaytest.Start(t, fmt.Sprintf(`
max_body_bytes: %[1]d
connect_to: {"q.internal:443": %[2]q}
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: 10m
      total_timeout: 5s
      providers:
        - id: p
          base_url: %[3]s
          api_keys: [{value: key-of-p}]
          models: [{id: m}]
          supported_api_surfaces: [{format: openai}, {format: anthropic}]
          forward: {headers: all, query: all}
        - id: q
          base_url: https://q.internal
          models: []
          http2: true
          api_keys: [{value: key-of-q}]
          tls: {ca_file: %[4]s}
`, maxBody, h.q.Addr(), h.p.URL(), h.q.CA().File(t)), gatewaytest.Secrets("key-of-p", "key-of-q"))

	slow := h.slowHeaders()
	t.Run("bodies", h.bodies)
	t.Run("unusual bodies that are valid", h.oddBodies)
	t.Run("content types", h.contentTypes)
	t.Run("paths", h.paths)
	t.Run("methods", h.methods)
	t.Run("queries", h.queries)
	t.Run("headers that control Envoy", h.orders)
	t.Run("sizes", h.sizes)
	t.Run("raw HTTP/1", h.http1)
	t.Run("raw HTTP/2 frames", h.http2)
	t.Run("upgrades", h.upgrades)
	t.Run("patience", func(t *testing.T) { h.patience(t, slow) })
}

// specified are the statuses and types of docs/errors.md.
var specified = map[string]struct {
	status int
	kind   string
}{
	"invalid_body":          {400, "invalid_request_error"},
	"duplicate_key":         {400, "invalid_request_error"},
	"unsupported_surface":   {400, "invalid_request_error"},
	"invalid_api_key":       {401, "authentication_error"},
	"provider_not_allowed":  {403, "permission_error"},
	"model_not_allowed":     {403, "permission_error"},
	"model_not_found":       {404, "not_found_error"},
	"unknown_path":          {404, "not_found_error"},
	"method_not_allowed":    {405, "invalid_request_error"},
	"request_too_large":     {413, "invalid_request_error"},
	"input_too_large":       {413, "invalid_request_error"},
	"upgrade_not_supported": {426, "invalid_request_error"},
	"unsupported_encoding":  {415, "invalid_request_error"},
	"no_models_selected":    {422, "invalid_request_error"},
	"not_implemented":       {501, "invalid_request_error"},
	"rate_limit":            {429, "rate_limit_error"},
	"overloaded":            {503, "api_error"},
	"gateway_unavailable":   {503, "api_error"},
	"timeout":               {504, "timeout_error"},
}

// errorBody is what a client of a path gets for an error.
func errorBody(path, code, message string) string {
	var v any = map[string]any{"error": struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Code    string  `json:"code"`
		Param   *string `json:"param"`
	}{message, specified[code].kind, code, nil}}
	if strings.HasPrefix(path, "/v1/messages") {
		v = struct {
			Type  string `json:"type"`
			Error any    `json:"error"`
		}{"error", struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		}{specified[code].kind, message}}
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// wantRefusal checks a response that no provider had a part in.
func wantRefusal(t *testing.T, a gatewaytest.Response, path, code, message string) {
	t.Helper()
	if want := errorBody(path, code, message); a.Status != specified[code].status || a.Body != want {
		t.Errorf("response %d %s\nwant     %d %s", a.Status, a.Body, specified[code].status, want)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "X-Weir-Attempts": "0", "X-Weir-Provider": "", "X-Weir-Model": ""} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// nothingSent checks that no provider received anything.
func (h *hostile) nothingSent(t *testing.T) {
	t.Helper()
	for _, p := range []*recorder.Provider{h.p, h.q} {
		for _, r := range p.Requests() {
			t.Errorf("%s received %s %s %.200q", p.Name, r.Method, r.Path, r.Body)
		}
		p.Reset()
	}
}

// wantSent checks that p received one request and no other provider any.
func (h *hostile) wantSent(t *testing.T, a gatewaytest.Response, path, body string) recorder.Request {
	t.Helper()
	if a.Status != 200 || !strings.Contains(a.Body, "p answers as ") || a.Header.Get("X-Weir-Attempts") != "1" {
		t.Errorf("response %d %s %v", a.Status, a.Body, a.Header)
	}
	requests := h.p.Requests()
	h.p.Reset()
	h.nothingSent(t)
	if len(requests) != 1 {
		t.Fatalf("p received %d requests, want 1", len(requests))
	}
	r := requests[0]
	if r.Method != "POST" || r.Path != path || string(r.Body) != body {
		t.Errorf("p received %s %s %.300q\nwant POST %s %.300q", r.Method, r.Path, r.Body, path, body)
	}
	if r.Authority != h.p.Addr() {
		t.Errorf("p received authority %s", r.Authority)
	}
	return r
}

const notServed = " is not a path of this gateway: it serves /v1/chat/completions, /v1/responses, /v1/messages, /v1/embeddings, /v1/models and other paths of OpenAI's and Anthropic's APIs. Case, slashes and escapes in a path must match exactly"

// unknownPath is the error for a path that is not served.
func unknownPath(path string) string {
	for _, operation := range []string{"/chat/completions", "/completions", "/messages"} {
		if strings.HasSuffix(strings.TrimRight(path, "/"), operation) {
			return fmt.Sprintf("%q is not a path of this gateway; did you mean /v1%s? Check the client's base URL. Case, slashes and escapes in a path must match exactly", path, operation)
		}
	}
	return strconv.Quote(path) + notServed
}

// paths are compared as bytes: no spelling of a path means another.
func (h *hostile) paths(t *testing.T) {
	for _, path := range []string{
		"/", "//v1/chat/completions", "/v1//chat/completions", "/v1/chat/completions/", "/v1/chat/completions//",
		"/v1/../v1/chat/completions", "/v1/./chat/completions", "/../v1/chat/completions",
		"/v1/%2e%2e/v1/chat/completions", "/v1/%2E/chat/completions", "/v1%2fchat/completions",
		"/v1/chat/completions%2f", "/v1/chat/completions%20", "/v1/chat/completions%00", "/v1/chat/completions%3f",
		"/v1/%63hat/completions", "/V1/chat/completions", "/v1/chat/Completions", "/v1/chat/completions;x=1", "/v1/chat",
		"/v1/engines/x/completions", "/v2/chat/completions", "/openai//v1/chat/completions", "/openai%2fv1/chat/completions", "/v1/v1/v1/chat/completions",
		"/openai/deployments/../v1/chat/completions/", "/openai/deployments//chat/completions", "/openai/deployments/p:m/../chat", "/%76%31/chat/completions",
		"/healthz", "/metrics", "/config_dump", "/quitquitquit", "/v1/assistants",
	} {
		t.Run(path, func(t *testing.T) {
			wantRefusal(t, h.Post(path, `{"model":"p:m"}`), path, "unknown_path", unknownPath(path))
			h.nothingSent(t)
		})
	}
	for _, path := range []string{"/v1/messages/", "/v1/messages/other", "/v1/messages/../chat/completions"} {
		t.Run(path, func(t *testing.T) {
			wantRefusal(t, h.Post(path, `{"model":"p:m"}`), path, "unknown_path", unknownPath(path))
			h.nothingSent(t)
		})
	}
	// Whatever the client's path, and the model in it, the provider's is the gateway's own.
	for _, path := range []string{
		"/chat/completions", "/v1/v1/chat/completions", "/openai/v1/chat/completions", "/openai/chat/completions?api-version=2024-10-21",
		"/openai/deployments/p:m/chat/completions?api-version=2024-10-21", "/openai/deployments/p%3Am/chat/completions",
	} {
		t.Run("served: "+path, func(t *testing.T) {
			a := h.Post(path, `{"messages":[], "model":"p:m"}`)
			h.wantSent(t, a, "/v1/chat/completions", `{"messages":[], "model":"m"}`)
		})
	}
	for _, name := range []string{"p:m", "p%3Am", "p%2Fm", "p/m"} {
		t.Run("the model in the path: "+name, func(t *testing.T) {
			a := h.Post("/openai/deployments/"+name+"/chat/completions", `{"messages":[]}`)
			h.wantSent(t, a, "/v1/chat/completions", `{"model":"m","messages":[]}`)
		})
	}
	t.Run("no model in the path", func(t *testing.T) {
		wantRefusal(t, h.Post("/openai/deployments/p%3Aa%0d%0ab/chat/completions", `{}`), "", "invalid_body", `the model in the path has a control character: "p:a\r\nb"`)
		wantRefusal(t, h.Post("/openai/deployments/../../x/chat/completions", `{}`), "", "model_not_found", `unknown model "../../x": write provider:model, or a name from GET /v1/models`)
		h.nothingSent(t)
	})
	t.Run("a long one", func(t *testing.T) {
		path := "/v1/" + strings.Repeat("a", 20_000)
		wantRefusal(t, h.Post(path, `{"model":"p:m"}`), path, "unknown_path", `"`+path[:64]+`"`+notServed)
		h.nothingSent(t)
	})
	t.Run("a model without a name", func(t *testing.T) {
		wantRefusal(t, h.Get("/v1/models/"), "", "unknown_path", `"/v1/models/" is not a path of this gateway`)
		h.nothingSent(t)
	})
	t.Run("an unknown model", func(t *testing.T) {
		message := `unknown model "no/where": write provider:model, or a name from GET /v1/models`
		wantRefusal(t, h.Get("/v1/models/no%2Fwhere"), "", "model_not_found", message)
		h.nothingSent(t)
	})
}

func (h *hostile) methods(t *testing.T) {
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		for _, method := range []string{"GET", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} {
			t.Run(method+path, func(t *testing.T) {
				a := h.Send(method, path, strings.NewReader(`{"model":"p:m"}`), "Content-Type", "application/json", "X-HTTP-Method-Override", "POST")
				wantRefusal(t, a, path, "method_not_allowed", method+" "+path+" is not an operation of this gateway: use POST")
				h.nothingSent(t)
			})
		}
	}
	for _, method := range []string{"POST", "DELETE"} {
		t.Run(method+" /v1/models", func(t *testing.T) {
			a := h.Send(method, "/v1/models", strings.NewReader(`{"model":"p:m"}`), "Content-Type", "application/json")
			wantRefusal(t, a, "/v1/models", "method_not_allowed", method+" /v1/models is not an operation of this gateway: use GET")
			h.nothingSent(t)
		})
	}
	t.Run("HEAD", func(t *testing.T) {
		if a := h.Send("HEAD", "/v1/models", nil); a.Status != 405 || a.Body != "" || a.Header.Get("Allow") != "GET" {
			t.Errorf("response %d %q", a.Status, a.Body)
		}
		h.nothingSent(t)
	})
	t.Run("GET with a body", func(t *testing.T) {
		a := h.Send("GET", "/v1/models", strings.NewReader(`{"model":"p:m"}`))
		if want := `{"object":"list","data":[{"id":"p:m","object":"model","created":0,"owned_by":"p"}]}`; a.Status != 200 || a.Body != want {
			t.Errorf("response %d %s", a.Status, a.Body)
		}
		h.nothingSent(t)
	})
}

// queries neither choose nor authenticate; what passes is the provider's.
func (h *hostile) queries(t *testing.T) {
	for query, want := range map[string]string{
		"?":                             "",
		"?model=q:m&models=q:m":         "?model=q:m&models=q:m",
		"?/v1/messages":                 "?/v1/messages",
		"?a=/../&b=%2e%2e":              "?a=/../&b=%2e%2e",
		"?x-weir-stream=1":              "?x-weir-stream=1",
		"?key=k&api_key=k&API-Key=k":    "",
		"?%6bey=k&a=1&access_token=k":   "?a=1",
		"?a=1;key=k":                    "",
		"?a=1&%zz=1&b=2":                "?a=1&b=2",
		"?" + strings.Repeat("b", 9000): "?" + strings.Repeat("b", 9000),
	} {
		t.Run(query[:min(40, len(query))], func(t *testing.T) {
			h.wantSent(t, h.Post("/v1/chat/completions"+query, `{"model":"p:m"}`), "/v1/chat/completions"+want, `{"model":"m"}`)
		})
	}
}

// orders are headers that Envoy or Weir would act on, had they come from
// inside. Each pair below would change this test's outcome.
func (h *hostile) orders(t *testing.T) {
	orders := []string{
		"X-Envoy-Upstream-Rq-Timeout-Ms", "1",
		"X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms", "1",
		"X-Envoy-Hedge-On-Per-Try-Timeout", "true",
		"X-Envoy-Retry-On", "5xx,retriable-4xx,retriable-status-codes",
		"X-Envoy-Retriable-Status-Codes", "400",
		"X-Envoy-Max-Retries", "5",
		"X-Envoy-Attempt-Count", "2",
		"X-Envoy-Original-Path", "/v1/messages",
		"X-Envoy-Internal", "true",
		"X-Envoy-Force-Trace", "true",
		"X-Envoy-Decorator-Operation", "evil",
		"X-Envoy-Ip-Tags", "evil",
		"X-Weir-Stream", "1",
		"X-Weir-Provider", "q",
		"X-Weir-Refused", "1",
		"X-Forwarded-For", "10.0.0.1, garbage",
		"X-Forwarded-Proto", "gopher",
		"X-Forwarded-Host", "q.internal",
		"X-Forwarded-Client-Cert", "By=evil",
		"Forwarded", "for=10.0.0.1;host=q.internal",
		"Via", "1.1 evil",
		"Host", "q.internal",
		"Authorization", "Bearer client-secret",
		"X-Api-Key", "client-secret",
		"X-Goog-Api-Key", "client-secret",
		"Api-Key", "client-secret",
		"Proxy-Authorization", "Basic client-secret",
		"Cookie", "session=client-secret",
		"OpenAI-Organization", "org",
		"X-Goog-User-Project", "project",
		"X-Auth-Token", "client-secret",
		"Ocp-Apim-Subscription-Key", "client-secret",
		"X-Amz-Security-Token", "client-secret",
		"Cf-Access-Client-Secret", "client-secret",
		"Cf-Access-Jwt-Assertion", "client-secret",
		"X-Goog-Iap-Jwt-Assertion", "client-secret",
		"X-Amzn-Oidc-Accesstoken", "client-secret",
		"X-Amzn-Oidc-Data", "client-secret",
		"Cf-Connecting-Ip", "10.0.0.1",
		"X-Client-Ip", "10.0.0.1",
		"X-HTTP-Method", "DELETE",
		"X-HTTP-Method-Override", "DELETE",
		"X-Method-Override", "DELETE",
		"X-Original-Url", "/v1/assistants",
		"X-Rewrite-Url", "/v1/assistants",
		"x_api_key", "client-secret",
		"X_Forwarded_For", "10.0.0.1",
		"Expect", "the impossible",
		"Keep-Alive", "timeout=1",
		"Proxy-Connection", "keep-alive",
	}
	own := func(t *testing.T, r recorder.Request) {
		t.Helper()
		r.Header.Del("X-Request-Id") // Envoy's, random
		r.Header.Del(metadata.HopHeader)
		if got, want := fmt.Sprint(r.Header), fmt.Sprint(http.Header{
			"Authorization": {"Bearer key-of-p"}, "Content-Length": {"13"},
			"Content-Type": {"application/json"}, "User-Agent": {"Go-http-client/1.1"},
		}); got != want {
			t.Errorf("p received %s\nwant       %s", got, want)
		}
	}
	t.Run("timeouts and retries", func(t *testing.T) {
		h.p.Script(func(x *recorder.Exchange) {
			<-time.After(50 * time.Millisecond) // a provider that thinks
			recorder.Status(400, nil, "thought about it")(x)
		})
		a := h.Post("/v1/chat/completions", `{"model":"p:m"}`, orders...)
		if a.Status != 400 || a.Body != "thought about it" || a.Header.Get("X-Weir-Attempts") != "1" {
			t.Errorf("response %d %s %v", a.Status, a.Body, a.Header)
		}
		requests := h.p.Requests()
		h.p.Reset()
		h.nothingSent(t)
		if len(requests) != 1 {
			t.Fatalf("p received %d requests", len(requests))
		}
		own(t, requests[0])
	})
	// On the route for streams, this would wait for per_request_timeout.
	t.Run("stream", func(t *testing.T) {
		h.p.Script(recorder.Silence)
		a := h.Post("/v1/chat/completions", `{"model":"p:m"}`, orders...)
		if want := errorBody("", "timeout", "no provider responded in time"); a.Status != 504 || a.Body != want {
			t.Errorf("response %d %s\nwant     504 %s", a.Status, a.Body, want)
		}
		own(t, h.p.WaitRequests(t, 1)[0])
		h.p.Reset()
		h.nothingSent(t)
	})
	t.Run("not in a response", func(t *testing.T) {
		a := h.Post("/v1/chat/completions", `{"model":"p:m"}`)
		for name := range a.Header {
			if strings.HasPrefix(name, "X-Envoy-") || name == "Server" || name == "Via" {
				t.Errorf("the client received %s: %s", name, a.Header.Get(name))
			}
		}
		h.p.Reset()
	})
}
