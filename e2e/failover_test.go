package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// failures are the behaviours of a provider that send a request to its next attempt
// (docs/failover.md).
var failures = []struct {
	name   string
	answer recorder.Response
}{
	{"400: the key", recorder.Status(400, nil, `[{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]`)},
	{"400: the context", recorder.Status(400, nil, `{"error":{"code":"context_length_exceeded","type":"invalid_request_error"}}`)},
	{"401", recorder.Status(401, nil, "no")},
	{"402", recorder.Status(402, nil, "no")},
	{"403", recorder.Status(403, nil, "no")},
	{"404", recorder.Status(404, nil, "no")},
	{"408", recorder.Status(408, nil, "no")},
	{"409", recorder.Status(409, nil, "no")},
	{"410", recorder.Status(410, nil, "no")},
	{"429", recorder.Status(429, http.Header{"Retry-After": {"3600"}}, "slow down")},
	{"500", recorder.Status(500, nil, "broken")},
	{"503", recorder.Status(503, nil, "busy")},
	{"529", recorder.Status(529, nil, "overloaded")},
	{"silence", recorder.Silence},
	{"reset before headers", recorder.ResetBeforeHeaders},
	{"close before headers", recorder.CloseBeforeHeaders},
}

func TestFailover(t *testing.T) {
	t.Parallel()
	ca := recorder.NewCA(t)
	first := recorder.Start(t, recorder.WithName("first"))
	second := recorder.Start(t, recorder.WithName("second"), recorder.WithTLS("second.internal"), recorder.WithCA(ca))
	badTLS := recorder.Start(t, recorder.WithTLS("another.internal"), recorder.WithCA(ca))
	g := gatewaytest.Start(t, fmt.Sprintf(`
connect_to:
  second.internal:443: %[2]s
  mistaken.internal:443: %[3]s
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: 2s
      outlier_detection: {disabled: true}
      providers:
        - id: first
          base_url: %[1]s
          api_keys: [{value: key-of-first}]
          headers: {x-first-only: "yes", x-first-token: secret-header-of-first}
          models: [{id: small, max_context_window: 8000}, {id: large, max_context_window: 128000}]
        - id: second
          base_url: https://second.internal/base?version=2
          api_keys: [{value: key-of-second}]
          auth: {header: x-second-key}
          forward: {headers: [x-custom]}
          tls: {ca_file: %[4]s}
        - id: refused
          base_url: http://%[5]s
          api_keys: [{value: key-of-refused}]
        - id: unresolved
          base_url: http://does-not-resolve.internal:8123
          api_keys: [{value: key-of-unresolved}]
        - id: untrusted
          base_url: https://second.internal:444
          api_keys: [{value: key-of-untrusted}]
        - id: mistaken
          base_url: https://mistaken.internal
          api_keys: [{value: key-of-mistaken}]
          tls: {ca_file: %[4]s}
`, first.URL(), second.Addr(), badTLS.Addr(), ca.File(t), recorder.ClosedAddr(t)),
		gatewaytest.Secrets("key-of-first", "key-of-second", "secret-header-of-first", "key-of-refused"))

	check := func(t *testing.T, model string, attempts string) {
		t.Helper()
		body := `{"model":"` + model + `", "models" : ["second:big/model"], "n": 1e400, "stream": false}`
		a := g.Post("/v1/chat/completions?beta=true", body, "Authorization", "Bearer client-secret", "X-Custom", "kept", "Cookie", "a=b", "X-Forwarded-For", "1.2.3.4", "X-Envoy-Max-Retries", "0", "X-Weir-Stream", "1")
		if a.Status != 200 || !strings.Contains(a.Body, second.ResponseText("big/model")) {
			t.Fatalf("response %d %s, want the second provider's", a.Status, a.Body)
		}
		for name, want := range map[string]string{"X-Weir-Attempts": attempts, "X-Weir-Provider": "second", "X-Weir-Model": "big/model"} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		r := second.WaitRequests(t, 1)[0]
		if want := `{"model":"big/model", "n": 1e400, "stream": false}`; string(r.Body) != want {
			t.Errorf("second received %s, want %s", r.Body, want)
		}
		if want := "/base/v1/chat/completions?version=2&beta=true"; r.Path != want {
			t.Errorf("second received path %s, want %s", r.Path, want)
		}
		if r.Authority != "second.internal" || r.SNI != "second.internal" {
			t.Errorf("second received authority %q, SNI %q", r.Authority, r.SNI)
		}
		if got := r.Header.Get("X-Second-Key"); got != "key-of-second" {
			t.Errorf("second received key %q", got)
		}
		if r.Header.Get("X-Custom") != "kept" {
			t.Error("second did not receive the client's own header")
		}
		noForeignHeaders(t, r, "X-Second-Key")
	}
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			first.Reset()
			second.Reset()
			first.Script(f.answer)
			check(t, "first:m", "2")
			r := first.WaitRequests(t, 1)[0]
			if want := `{"model":"m", "n": 1e400, "stream": false}`; string(r.Body) != want {
				t.Errorf("first received %s, want %s", r.Body, want)
			}
			if got := r.Header.Get("Authorization"); got != "Bearer key-of-first" {
				t.Errorf("first received key %q", got)
			}
			if r.Header.Get("X-First-Only") != "yes" || r.Header.Get("X-First-Token") != "secret-header-of-first" {
				t.Errorf("first received %v", r.Header)
			}
		})
	}
	for _, id := range []string{"refused", "unresolved", "untrusted", "mistaken"} {
		t.Run(id, func(t *testing.T) {
			second.Reset()
			check(t, id+":m", "2")
		})
	}
	t.Run("a longer context is nowhere", func(t *testing.T) {
		first.Reset()
		const overflow = `{"error":{"code":"context_length_exceeded","message":"too long","type":"invalid_request_error"}}`
		first.Script(recorder.Status(400, nil, overflow), recorder.Status(400, nil, overflow))
		a := g.Post("/v1/chat/completions", `{"model":"first:large","models":["first:small"]}`)
		if a.Status != 400 || a.Body != overflow || a.Header.Get("X-Weir-Attempts") != "1" {
			t.Errorf("response %d %v %s", a.Status, a.Header, a.Body)
		}
		if a := g.Post("/v1/chat/completions", `{"model":"first:small","models":["first:large"]}`); a.Status != 200 || a.Header.Get("X-Weir-Model") != "large" {
			t.Errorf("response %d %v %s", a.Status, a.Header, a.Body)
		}
	})
	for _, status := range []int{400, 413, 422} {
		t.Run(fmt.Sprint("no failover on ", status), func(t *testing.T) {
			first.Reset()
			second.Reset()
			first.Script(recorder.Status(status, http.Header{"X-From": {"first"}}, "the request is wrong"))
			a := g.Post("/v1/chat/completions", `{"model":"first:m","models":["second:m"]}`)
			if a.Status != status || a.Body != "the request is wrong" || a.Header.Get("X-Weir-Attempts") != "1" {
				t.Errorf("response %d %q %v", a.Status, a.Body, a.Header)
			}
			if n := len(second.Requests()); n != 0 {
				t.Errorf("second received %d requests", n)
			}
		})
	}
	t.Run("all fail", func(t *testing.T) {
		first.Reset()
		second.Reset()
		first.Script(recorder.Status(500, nil, "first"))
		second.Script(recorder.Status(429, http.Header{"Retry-After": {"7"}}, "the last word"))
		a := g.Post("/v1/chat/completions", `{"model":"first:m","models":["second:m"]}`)
		if a.Status != 429 || a.Body != "the last word" || a.Header.Get("Retry-After") != "7" || a.Header.Get("X-Weir-Attempts") != "2" {
			t.Errorf("response %d %q %v", a.Status, a.Body, a.Header)
		}
	})
	t.Run("none reachable", func(t *testing.T) {
		a := g.Post("/v1/chat/completions", `{"model":"refused:m","models":["unresolved:m"]}`)
		wantError(t, a, 502, `{"error":{"message":"no provider of this model could be reached","type":"api_error","code":"provider_unreachable","param":null}}`)
	})
	t.Run("no provider responds", func(t *testing.T) {
		first.Reset()
		first.Script(recorder.Silence)
		a := g.Post("/v1/chat/completions", `{"model":"first:m"}`)
		wantError(t, a, 504, `{"error":{"message":"no provider responded in time","type":"timeout_error","code":"timeout","param":null}}`)
	})
}

func wantError(t *testing.T, a gatewaytest.Response, status int, body string) {
	t.Helper()
	if a.Status != status || a.Body != body || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("response %d %s (%s)\nwant     %d %s", a.Status, a.Body, a.Header.Get("Content-Type"), status, body)
	}
	if a.Header.Get("X-Weir-Attempts") == "" {
		t.Error("no x-weir-attempts")
	}
}

// noForeignHeaders checks that a provider got no credential but its own and
// no header that is the gateway's business.
func noForeignHeaders(t *testing.T, r recorder.Request, own string) {
	t.Helper()
	for name := range r.Header {
		low := strings.ToLower(name)
		foreign := slices.ContainsFunc([]string{"x-envoy-", "x-weir-", "x-forwarded-", "x-first-"}, func(p string) bool { return strings.HasPrefix(low, p) })
		credential := slices.Contains([]string{"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"}, low)
		if (foreign || credential) && name != own {
			t.Errorf("the provider received %s: %s", name, r.Header.Get(name))
		}
	}
}
