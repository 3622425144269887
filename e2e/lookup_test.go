package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"weir/envoy"
	"weir/internal/gatewaytest"
	"weir/xds"
)

// zone is a name server (RFC 1035) on loopback whose answers change. Its records
// have a TTL of one second.
type zone struct {
	mu    sync.Mutex
	rcode byte // 2: SERVFAIL, 3: NXDOMAIN
	addrs []netip.Addr
	asked int
}

func (z *zone) set(rcode byte, addrs ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.rcode, z.addrs = rcode, nil
	for _, a := range addrs {
		z.addrs = append(z.addrs, netip.MustParseAddr(a))
	}
}

// lookups counts the questions so far.
func (z *zone) lookups() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked
}

// start returns the port.
func (z *zone) start(t *testing.T) uint32 {
	t.Helper()
	return serveDNS(t, func(query []byte, reply func([]byte)) { reply(z.answer(query)) })
}

func (z *zone) answer(query []byte) []byte {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	const header, typeA, typeAAAA = 12, 1, 28
	end := header
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5 // the root label, type and class
	asked := binary.BigEndian.Uint16(query[end-4:])
	out := append([]byte{}, query[:end]...)
	out[2], out[3] = 0x81, 0x80|z.rcode
	clear(out[6:header])
	for _, a := range z.addrs {
		kind := uint16(typeAAAA)
		if a.Is4() {
			kind = typeA
		}
		if kind == asked {
			out[7]++
			raw := a.AsSlice()
			out = append(out, 0xc0, header, 0, byte(kind), 0, 1, 0, 0, 0, 1, 0, byte(len(raw)))
			out = append(out, raw...)
		}
	}
	return out
}

// server responds on one address, with that address.
type server struct {
	mu    sync.Mutex
	conns int
}

// serve starts servers on the same port of several addresses.
func serve(t *testing.T, addrs ...string) (port int, servers map[string]*server) {
	t.Helper()
	for range 20 {
		servers = map[string]*server{}
		var open []net.Listener
		port = 0
		for _, a := range addrs {
			l, err := net.Listen("tcp", net.JoinHostPort(a, fmt.Sprint(port)))
			if err != nil {
				break // taken on that address
			}
			open = append(open, l)
			port = l.Addr().(*net.TCPAddr).Port
		}
		if len(open) < len(addrs) {
			for _, l := range open {
				_ = l.Close()
			}
			continue
		}
		for i, l := range open {
			s := &server{}
			servers[addrs[i]] = s
			h := &http.Server{
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, addrs[i]) }),
				ConnState: func(_ net.Conn, state http.ConnState) {
					if state == http.StateNew {
						s.mu.Lock()
						s.conns++
						s.mu.Unlock()
					}
				},
			}
			go func() { _ = h.Serve(l) }()
			t.Cleanup(func() { _ = h.Close() })
		}
		return port, servers
	}
	t.Fatal("no port is free on all addresses")
	return 0, nil
}

// lookedUp is an Envoy with the clusters of one provider that has a name.
type lookedUp struct {
	url   string
	admin *envoy.Admin
}

func startLookedUp(t *testing.T, z *zone, port int, fields string) lookedUp {
	t.Helper()
	dir := t.TempDir()
	control := xds.NewServer(slog.New(slog.NewTextHandler(t.Output(), nil)))
	services := grpc.NewServer()
	control.Register(services)
	l, err := net.Listen("unix", filepath.Join(dir, "weir.sock"))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = services.Serve(l) }()
	t.Cleanup(services.Stop)
	startEnvoy(t, "envoy", filepath.Join(dir, "weir.sock"), filepath.Join(dir, "admin.sock"))
	set := resources(t, setup{providers: []string{fmt.Sprintf("id: alpha, base_url: http://alpha.internal:%d%s", port, fields)}}, z.start(t))
	name := ""
	for _, c := range set.Clusters {
		if n := c.(interface{ GetName() string }).GetName(); len(n) > 11 && n[:11] == "weir/alpha/" {
			name = n
		}
	}
	addr := gatewaytest.FreeAddr(t)
	set.Listeners, set.Routes = []types.Resource{toCluster(t, addr, name)}, nil
	ctx, cancel := context.WithTimeout(t.Context(), gatewaytest.Patience)
	defer cancel()
	if err := control.Publish(ctx, set); err != nil {
		t.Fatal(err)
	}
	if err := control.Wait(ctx, func(nodes []xds.NodeStatus) bool { return len(nodes) == 1 && nodes[0].Synced }); err != nil {
		t.Fatal(err)
	}
	e := lookedUp{"http://" + addr, envoy.NewAdmin(filepath.Join(dir, "admin.sock"))}
	gatewaytest.Eventually(t, "Envoy listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return e
}

// toCluster is a listener that sends every request to a cluster.
func toCluster(t *testing.T, addr, cluster string) *listenerv3.Listener {
	t.Helper()
	pack := func(m proto.Message) *anypb.Any {
		a, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	hcm := &hcmv3.HttpConnectionManager{
		StatPrefix: "test",
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{Name: "test", VirtualHosts: []*routev3.VirtualHost{{
			Name: "test", Domains: []string{"*"}, IncludeRequestAttemptCount: true,
			Routes: []*routev3.Route{{
				Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}}},
			}},
		}}}},
		HttpFilters: []*hcmv3.HttpFilter{{Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{})}}},
	}
	return &listenerv3.Listener{
		Name: "test",
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: tcp.IP.String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(tcp.Port)},
		}}},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: "hcm", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(hcm)},
		}}}},
	}
}

// ask returns the status, and the address that answered.
func (e lookedUp) ask(t *testing.T) (int, string) {
	t.Helper()
	resp, err := http.Get(e.url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// wait waits for a number of lookups from now on: of each name there are two
// questions, for IPv4 and IPv6.
func (z *zone) wait(t *testing.T, lookups int) {
	t.Helper()
	until := z.lookups() + 2*lookups
	gatewaytest.Eventually(t, "lookups", func() bool { return z.lookups() >= until })
}

// A provider's name with several addresses is one host: what does not answer
// costs no request.
func TestAddressesOfAName(t *testing.T) {
	for _, c := range []struct {
		name    string
		addrs   []string
		live    []string
		servers []string // addresses that may answer
	}{
		{"one dead of four", []string{"127.21.0.1", "127.21.0.2", "127.21.0.3", "127.21.0.4"}, []string{"127.21.0.2", "127.21.0.3", "127.21.0.4"}, nil},
		{"all but the last dead", []string{"127.22.0.1", "127.22.0.2", "127.22.0.3"}, []string{"127.22.0.3"}, nil},
		{"IPv4 dead, IPv6 alive", []string{"127.23.0.1", "::1"}, []string{"::1"}, nil},
		{"IPv6 dead, IPv4 alive", []string{"::1", "127.24.0.1"}, []string{"127.24.0.1"}, nil},
		{"IPv6 alone", []string{"::1"}, []string{"::1"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			port, _ := serve(t, c.live...)
			z := &zone{}
			z.set(0, c.addrs...)
			e := startLookedUp(t, z, port, ", idle_timeout: 10ms") // a connection for almost every request
			for range 24 {
				if status, from := e.ask(t); status != 200 || !slices.Contains(c.live, from) {
					t.Errorf("response %d from %s", status, from)
				}
			}
		})
	}
}

// What a name server says later is followed, but that the name is gone.
func TestNameThatChanges(t *testing.T) {
	t.Parallel()
	const one, two = "127.25.0.1", "127.25.0.2"
	port, servers := serve(t, one, two)
	z := &zone{}
	z.set(3)
	e := startLookedUp(t, z, port, ", idle_timeout: 1h")
	if status, _ := e.ask(t); status != 503 {
		t.Errorf("a name that does not exist: response %d", status)
	}
	z.set(0, one)
	gatewaytest.Eventually(t, "the name that has come", func() bool { status, _ := e.ask(t); return status == 200 })

	for _, gone := range []struct {
		name  string
		rcode byte
	}{{"NXDOMAIN", 3}, {"SERVFAIL", 2}, {"no addresses", 0}} {
		z.set(gone.rcode)
		z.wait(t, 1)
		if status, from := e.ask(t); status != 200 || from != one {
			t.Errorf("%s: response %d from %s", gone.name, status, from)
		}
	}
	z.set(0, one)
	z.wait(t, 1)
	if status, _ := e.ask(t); status != 200 {
		t.Errorf("after it: response %d", status)
	}
	// Nothing has changed, so that no connection was given up.
	s := servers[one]
	s.mu.Lock()
	conns := s.conns
	s.mu.Unlock()
	if conns != 1 {
		t.Errorf("%d connections, want 1", conns)
	}

	z.set(0, two)
	gatewaytest.Eventually(t, "the new address", func() bool { _, from := e.ask(t); return from == two })
}
