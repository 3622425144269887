package admin

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
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
