package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestCORS: pages of the configured origins may ask, without a key, and read responses and
// errors; others may not.
func TestCORS(t *testing.T) {
	p := recorder.Start(t)
	g := gatewaytest.Start(t, fmt.Sprintf(`
cors: {origins: [https://app.example.com, "https://*.pages.example.com"], max_age: 1m}
access_keys: [{name: app, value: app-app-app-app-app-app}]
on_http_request:
  - type: ai-gateway
    config:
      failover_on: [5xx]
      providers:
        - {id: p, base_url: %s, models: [{id: m}], forward: {response_headers: all}}
        - {id: down, base_url: http://%s, models: [{id: down}]}
`, p.URL(), recorder.ClosedAddr(t)))
	key := []string{"Authorization", "Bearer app-app-app-app-app-app", "Content-Type", "application/json"}
	for _, origin := range []struct {
		value   string
		allowed bool
	}{
		{"https://app.example.com", true}, {"https://a.b.pages.example.com", true},
		{"https://pages.example.com", false}, {"https://app.example.com.evil.example", false}, {"http://app.example.com", false}, {"null", false}, {"", false},
	} {
		for _, c := range []struct {
			name, method, path, body string
			header                   []string
			status                   int
		}{
			{"preflight", "OPTIONS", "/v1/messages", "", []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,x-stainless-os"}, 204},
			{"models", "GET", "/v1/models", "", key, 200},
			{"response", "POST", "/v1/chat/completions", `{"model":"p:m"}`, key, 200},
			{"stream", "POST", "/v1/chat/completions", `{"model":"p:m","stream":true}`, key, 200},
			{"no key", "POST", "/v1/chat/completions", `{"model":"p:m"}`, nil, 401},
			{"no such path", "POST", "/v1/other", `{"model":"p:m"}`, key, 404},
			{"too large", "POST", "/v1/chat/completions", strings.Repeat(" ", 40<<20), key, 413},
			{"unreachable", "POST", "/v1/chat/completions", `{"model":"down:down"}`, key, 502},
			{"provider's error", "POST", "/v1/chat/completions", `{"model":"p:m"}`, key, 400},
		} {
			if c.name == "too large" && origin.value != "https://app.example.com" {
				continue
			}
			p.Reset()
			p.Respond(func(w http.ResponseWriter, r *http.Request, body []byte) {
				w.Header().Set("Access-Control-Allow-Origin", "*")
				w.Header().Set("Access-Control-Allow-Credentials", "true")
				w.Header().Set("Content-Type", "application/json")
				if c.status == 400 {
					w.WriteHeader(400)
				}
				_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"x"}}],"error":null}`)
			})
			header := c.header
			if origin.value != "" {
				header = append(slices.Clone(header), "Origin", origin.value)
			}
			var body io.Reader
			if c.body != "" {
				body = strings.NewReader(c.body)
			}
			a := g.Send(c.method, c.path, body, header...)
			status, want, preflight := c.status, "", c.name == "preflight"
			if origin.allowed {
				want = origin.value
				if preflight {
					status = 200
				}
			}
			got := a.Header.Values("Access-Control-Allow-Origin")
			if a.Status != status || strings.Join(got, " ") != want || a.Header.Values("Access-Control-Allow-Credentials") != nil {
				t.Errorf("%s from %q: %d %s %q %v", c.name, origin.value, a.Status, a.Body, got, a.Header)
			}
			if exposed := a.Header.Get("Access-Control-Expose-Headers"); (exposed != "") != origin.allowed || origin.allowed && !strings.Contains(exposed, "x-weir-request-id") {
				t.Errorf("%s from %q exposes %q", c.name, origin.value, exposed)
			}
			if !preflight && c.status == 200 && !slices.Equal(a.Header.Values("Vary"), []string{"Origin"}) {
				t.Errorf("%s from %q varies by %q", c.name, origin.value, a.Header.Values("Vary"))
			}
			if preflight && origin.allowed && (a.Header.Get("Access-Control-Max-Age") != "60" || !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "x-stainless-os") || !strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), "POST")) {
				t.Errorf("preflight from %q: %v", origin.value, a.Header)
			}
		}
	}
	gatewaytest.Eventually(t, "preflights are counted", func() bool {
		return strings.Contains(g.Admin("/metrics"), `weir_requests_total{code="",operation="preflight",status="2xx"} 2`)
	})
	// Without the field, no response has such a header.
	g.Reload(fmt.Sprintf("providers: [{id: p, base_url: %s, models: [{id: m}]}]\n", p.URL()))
	p.Reset()
	gatewaytest.Eventually(t, "no header without cors", func() bool {
		a := g.Post("/v1/chat/completions", `{"model":"p:m"}`, "Origin", "http://localhost:3000", "Content-Type", "application/json")
		return a.Status == 200 && a.Header.Values("Access-Control-Allow-Origin") == nil && a.Header.Values("Vary") == nil
	})
}
