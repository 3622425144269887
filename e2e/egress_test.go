package e2e

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestHTTPSProxy: providers that are reached through an HTTP proxy. What it gets is the name
// of a provider and its own credential, and what it refuses leads to the next attempt.
func TestHTTPSProxy(t *testing.T) {
	const password = "p:ss@word/of-the-proxy"
	credential := base64.StdEncoding.EncodeToString([]byte("user:" + password))
	far := recorder.Start(t, recorder.WithName("far"), recorder.WithTLS("far.example", "alone.example", "near.example"))
	backup := recorder.Start(t, recorder.WithName("backup"))
	deaf := recorder.StartRaw(t, func(net.Conn) {})
	proxy := recorder.StartProxy(t, map[string]string{"far.example:443": far.Addr(), "alone.example:8443": far.Addr(), "deaf.example:443": deaf})
	login := recorder.StartProxy(t, nil)
	login.Refuse(http.StatusProxyAuthRequired)
	closed := recorder.ClosedAddr(t)
	broken := recorder.StartProxy(t, nil)
	provider := func(id, rest string) string {
		return fmt.Sprintf("\n  - {id: %s, api_keys: [{value: key-of-the-provider}], tls: {ca_file: %s}, models: [{id: m}], %s}", id, far.CA().File(t), rest)
	}
	config := fmt.Sprintf(`
https_proxy: http://user:${secrets.get('proxy', 'password')}@%s
no_proxy: [near.example]
connect_to: {"near.example:443": %q}
providers:
  - {id: backup, base_url: %q}`, proxy.Addr(), far.Addr(), backup.URL()) +
		provider("far", "base_url: https://far.example/v1") +
		provider("two", "base_url: https://far.example/v1, http2: true") +
		provider("alone", `base_url: "https://alone.example:8443/v1", https_proxy: "http://`+proxy.Addr()+`"`) +
		provider("near", "base_url: https://near.example/v1") +
		provider("login", `base_url: https://far.example/v1, https_proxy: "http://`+login.Addr()+`"`) +
		provider("broken", `base_url: https://far.example/v1, https_proxy: "http://`+broken.Addr()+`"`) +
		provider("closed", `base_url: https://far.example/v1, https_proxy: "http://`+closed+`"`) +
		provider("nowhere", `base_url: https://far.example/v1, https_proxy: "http://nowhere.invalid:3128"`) +
		provider("deaf", `base_url: https://deaf.example/v1`) + "\n"
	g := gatewaytest.Start(t, config,
		gatewaytest.Env("WEIR_SECRET_PROXY_PASSWORD", password), gatewaytest.Secrets("key-of-the-provider", password, credential))

	for _, test := range []struct {
		model, tunnel, header string
	}{
		{"far", "far.example:443", "Basic " + credential},
		{"two", "far.example:443", "Basic " + credential},
		{"alone", "alone.example:8443", ""},
		{"near", "", ""},
	} {
		t.Run(test.model, func(t *testing.T) {
			before := len(proxy.Requests())
			for _, stream := range []string{"false", "true"} {
				far.Reset()
				a := g.Post("/v1/chat/completions", `{"model":"`+test.model+`:m","stream":`+stream+`,"messages":[]}`)
				if a.Status != 200 || a.Header.Get("X-Weir-Provider") != test.model || a.Header.Get("X-Weir-Attempts") != "1" {
					t.Fatalf("%d %v %s", a.Status, a.Header, a.Body)
				}
				r := far.Last(t)
				if r.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer key-of-the-provider" || r.Header.Get("Proxy-Authorization") != "" {
					t.Errorf("the provider received %s %v", r.Path, r.Header)
				}
			}
			asked := proxy.Requests()[before:]
			if test.tunnel == "" {
				if len(asked) > 0 {
					t.Errorf("the proxy was asked for %s", asked[0].Host)
				}
				return
			}
			if len(asked) == 0 {
				t.Fatal("the proxy was not asked for a tunnel")
			}
			for _, r := range asked {
				if r.Method != "CONNECT" || r.Host != test.tunnel || r.Header.Get("Proxy-Authorization") != test.header {
					t.Errorf("the proxy received %s %s %v, want CONNECT %s", r.Method, r.Host, r.Header, test.tunnel)
				}
			}
		})
	}
	t.Run("another proxy, while a stream runs", func(t *testing.T) {
		other := recorder.StartProxy(t, map[string]string{"far.example:443": far.Addr()})
		gate := make(chan struct{})
		far.Reset()
		far.Script(recorder.Gated(gate))
		running := background(t, g, `{"model":"far:m","stream":true}`)
		far.WaitRequests(t, 1)
		g.Reload(strings.Replace(config, "@"+proxy.Addr(), "@"+other.Addr(), 1))
		if a := g.Post("/v1/chat/completions", `{"model":"far:m","messages":[]}`); a.Status != 200 || len(other.Requests()) != 1 {
			t.Errorf("%d %s, %d tunnels through the other proxy", a.Status, a.Body, len(other.Requests()))
		}
		close(gate)
		if a := running(); a.Status != 200 || !strings.HasSuffix(a.Body, "data: [DONE]\n\n") {
			t.Errorf("the stream: %d %s", a.Status, a.Body)
		}
		g.Reload(config)
	})
	refusals := []struct{ model, proxy, reason string }{
		{"login", login.Addr(), "tunnel_response:407"},
		{"broken", broken.Addr(), "tunnel_response:502"},
		{"closed", closed, "Connection_refused"},
		{"nowhere", "nowhere.invalid:3128", "Connection_refused"}, // of the cluster for names that do not resolve
		{"deaf", "", ""}, // the tunnel is there
	}
	for _, test := range refusals {
		t.Run(test.model, func(t *testing.T) {
			a := g.Post("/v1/chat/completions", `{"models":["`+test.model+`:m","backup:m"],"messages":[]}`)
			if a.Status != 200 || a.Header.Get("X-Weir-Provider") != "backup" || a.Header.Get("X-Weir-Attempts") != "2" {
				t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
			}
		})
	}
	g.WaitLog(func(lines []map[string]any) bool {
		for _, test := range refusals {
			if test.reason != "" && !slices.ContainsFunc(lines, func(l map[string]any) bool {
				message, _ := l["msg"].(string)
				return l["level"] == "WARN" && strings.HasPrefix(message, "the proxy "+test.proxy+" opened no tunnel to far.example:443: ") && strings.HasSuffix(message, test.reason)
			}) {
				return false
			}
		}
		return true
	}, "a warning for each tunnel that was refused")
}
