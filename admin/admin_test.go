package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestAdminNames: a web page whose host name resolves to 127.0.0.1 can read nothing.
func TestAdminNames(t *testing.T) {
	admin := toOperators(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	f := func(at, host string, want int) {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Host = host
		address := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(at))
		w := httptest.NewRecorder()
		admin.ServeHTTP(w, r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, address)))
		if w.Code != want {
			t.Errorf("%s at %s: %d %s", host, at, w.Code, w.Body)
		}
	}
	f("127.0.0.1:8081", "127.0.0.1:8081", 200)
	f("127.0.0.1:8081", "localhost:8081", 200)
	f("[::1]:8081", "[::1]:8081", 200)
	f("127.0.0.1:8081", "evil.example:8081", 403)
	f("[::1]:8081", "evil.example", 403)
	f("[::ffff:127.0.0.1]:8081", "evil.example", 403)
	f("10.0.0.2:8081", "weir.example.com:8081", 200) // operators chose that others may reach it
}

// fake is a gateway that counts how often it is refreshed.
type fake struct {
	refreshed int
	notReady  error
}

func (f *fake) Refresh(context.Context) { f.refreshed++ }
func (f *fake) Health() Health          { return Health{Status: "ok", Version: strconv.Itoa(f.refreshed)} }
func (f *fake) Ready() error            { return f.notReady }
func (f *fake) Basis() Basis            { return Basis{} }

func TestHandler(t *testing.T) {
	g := &fake{}
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "refreshed", Help: "x"}, func() float64 { return float64(g.refreshed) }))
	handler := Handler(g, registry)
	f := func(method, path string, code int, want string) {
		t.Helper()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != code || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s %s: %d %s, want %d %s", method, path, w.Code, w.Body, code, want)
		}
	}
	f("GET", "/healthz", 200, `"version": "1"`)
	f("GET", "/metrics", 200, "\nrefreshed 2\n")
	f("GET", "/readyz", 200, "ready\n")
	g.notReady = errors.New("stopping")
	f("GET", "/readyz", 503, "not ready: stopping\n")
	f("POST", "/healthz", 405, "")
	f("GET", "/explain", 405, "")
	f("GET", "/", 404, "")
}
