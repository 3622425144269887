package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
	"weir/metadata"
	"weir/policy"
)

const loopError = `{"error":{"message":"the request has passed this gateway before: the base_url of a provider leads back to it","type":"api_error","code":"loop_detected","param":null}}`

// through is a proxy that passes everything on to an address that it is told
// later, and counts.
type through struct {
	*httptest.Server
	to       atomic.Pointer[string]
	requests atomic.Int32
}

func startThrough(t *testing.T) *through {
	p := &through{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		to, _ := url.Parse("http://" + *p.to.Load())
		r.SetURL(to)
	}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// A base URL that leads back through another server: each attempt arrives once
// more, and that is all.
func TestLoopThroughAnother(t *testing.T) {
	t.Parallel()
	proxy := startThrough(t)
	real := recorder.Start(t, recorder.WithName("real"))
	g := gatewaytest.Start(t, fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      only_allow_configured_providers: true
      providers:
        - {id: one, base_url: %[1]q, models: [{id: m}, {id: n}]}
        - {id: two, base_url: %[1]q, api_keys: [{value: key-1}, {value: key-2}], models: [{id: m}]}
        - {id: real, base_url: %[2]q, models: [{id: n}]}
`, proxy.URL, real.URL()))
	address := g.Address()
	proxy.to.Store(&address)
	a := g.Post("/v1/chat/completions", `{"model":"one:m","messages":[]}`)
	if a.Status != 508 || a.Body != loopError {
		t.Errorf("response %d %s", a.Status, a.Body)
	}
	if n := proxy.requests.Load(); n != 1 {
		t.Errorf("%d requests went around", n)
	}
	if a := g.Post("/v1/messages", `{"model":"one:m","messages":[]}`); a.Status != 404 && a.Status != 400 {
		t.Errorf("response %d %s", a.Status, a.Body)
	}
	// The shape of the other API.
	proxied := g.Post("/v1/messages", `{}`, metadata.HopHeader, strings.Join(strings.Fields(strings.Repeat("weir-0123456789abcdef ", policy.MaxHops)), ", "))
	if proxied.Status != 508 || !strings.HasPrefix(proxied.Body, `{"type":"error","error":{"type":"api_error"`) {
		t.Errorf("response %d %s", proxied.Status, proxied.Body)
	}
	// Every candidate of the plan is tried, none goes around.
	proxy.requests.Store(0)
	if a := g.Post("/v1/chat/completions", `{"model":"m","messages":[]}`); a.Status != 508 {
		t.Errorf("response %d %s", a.Status, a.Body)
	}
	if n := proxy.requests.Load(); n < 1 || n > 3 {
		t.Errorf("%d requests went around, of a plan of 3 attempts", n)
	}
	// Who does not loop still serves.
	if a := g.Post("/v1/chat/completions", `{"model":"n","messages":[]}`); a.Status != 200 || a.Header.Get("X-Weir-Provider") != "real" {
		t.Errorf("response %d %s", a.Status, a.Body)
	}
	if got := real.Last(t).Header.Values(metadata.HopHeader); len(got) != 1 || !strings.HasPrefix(got[0], "weir-") || strings.Contains(got[0], ",") {
		t.Errorf("after a failover the provider received %s: %q", metadata.HopHeader, got)
	}
}

// One gateway behind another is no loop, and both are named to the provider,
// once each. What a client says of other networks does not pass.
func TestGatewayBehindGateway(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	config := func(base string) string {
		return fmt.Sprintf("providers: [{id: p, base_url: %q, models: [{id: m}]}]", base)
	}
	inner := gatewaytest.Start(t, config(p.URL()))
	outer := gatewaytest.Start(t, config(inner.URL))
	a := outer.Post("/v1/chat/completions", `{"model":"m","messages":[]}`, metadata.HopHeader, "cloudflare; loops=1", metadata.HopHeader, "weir-0123456789abcdef")
	if a.Status != 200 {
		t.Fatalf("response %d %s", a.Status, a.Body)
	}
	got := p.Last(t).Header.Values(metadata.HopHeader)
	names := strings.Split(strings.Join(got, ","), ", ")
	if len(got) != 1 || len(names) != 3 || names[0] != "weir-0123456789abcdef" || names[1] == names[2] {
		t.Errorf("the provider received %q", got)
	}
}

// A reload that makes the gateway its own provider is rejected with the reason.
func TestOwnListenerAsProvider(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	config := fmt.Sprintf("providers: [{id: p, base_url: %q, models: [{id: m}]}]", p.URL())
	g := gatewaytest.Start(t, config)
	_, port, _ := strings.Cut(g.Address(), ":")
	g.Write(strings.Replace(config, p.URL(), "http://localhost:"+port, 1)) // --listen chose the port
	gatewaytest.Eventually(t, "the problem in /healthz", func() bool {
		return strings.Contains(g.Admin("/healthz"), "leads back to this gateway")
	})
	if a := g.Post("/v1/chat/completions", `{"model":"m","messages":[]}`); a.Status != 200 {
		t.Errorf("response %d %s", a.Status, a.Body)
	}
}
