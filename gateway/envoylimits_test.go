package gateway

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"weir/envoy"
	"weir/telemetry/limits"
)

// TestEnvoyCounters: the growth of Envoy's counters counts once, and the counters of a
// new Envoy begin at zero.
func TestEnvoyCounters(t *testing.T) {
	stats, pid := "", 1
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"stats":[%s]}`, stats)
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })

	r := limits.New(slog.New(slog.DiscardHandler), time.Now)
	e := newEnvoyLimits(r)
	e.read(t.Context()) // without an Envoy
	e.follow(envoy.NewAdmin(l.Addr().String()), func() int { return pid })
	stat := func(name string, value int) string { return fmt.Sprintf(`{"name":%q,"value":%d}`, name, value) }
	check := func(what, now string, want map[string]uint64) {
		t.Helper()
		stats, e.last = now, time.Time{}
		e.read(t.Context())
		got := map[string]uint64{}
		for _, reached := range r.Reached() {
			got[reached.Limit] = reached.Total
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	const clients, heap = "listener.127.0.0.1_1.downstream_global_cx_overflow", "listener.127.0.0.1_1.downstream_cx_overload_reject"
	check("nothing", "", map[string]uint64{})
	check("two listeners", stat(clients, 2)+","+stat("listener.[__1]_1.downstream_global_cx_overflow", 3), map[string]uint64{"client_connections": 5})
	check("the same again", stat(clients, 5), map[string]uint64{"client_connections": 5})
	check("others", stat(heap, 1)+","+stat("cluster.weir/p/x.upstream_cx_overflow", 4), map[string]uint64{"client_connections": 5, "envoy_heap": 1, "provider_connections": 4})
	check("a cluster is gone", stat("cluster.weir/q/x.upstream_cx_overflow", 1), map[string]uint64{"client_connections": 5, "envoy_heap": 1, "provider_connections": 4})
	check("another goes on", stat("cluster.weir/q/x.upstream_cx_overflow", 3), map[string]uint64{"client_connections": 5, "envoy_heap": 1, "provider_connections": 6})
	pid = 2
	check("a new Envoy", stat(clients, 1), map[string]uint64{"client_connections": 6, "envoy_heap": 1, "provider_connections": 6})
	pid = 0
	check("none", stat(clients, 9), map[string]uint64{"client_connections": 6, "envoy_heap": 1, "provider_connections": 6})
}
