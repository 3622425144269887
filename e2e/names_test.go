package e2e

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	dnsclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"

	"weir/envoy"
	"weir/internal/gatewaytest"
	"weir/internal/recorder"
	"weir/policy"
	"weir/xds"
)

// nameServer answers DNS queries (RFC 1035) over UDP on loopback: A queries
// with 127.0.0.1, others with nothing.
type nameServer struct {
	delay          time.Duration
	unknown, quiet bool
}

// start returns the port.
func (n nameServer) start(t *testing.T) uint32 {
	t.Helper()
	return serveDNS(t, func(query []byte, reply func([]byte)) {
		if !n.quiet {
			time.AfterFunc(n.delay, func() { reply(n.answer(query)) })
		}
	})
}

// serveDNS hands queries to a function until the test is over, and returns the
// port.
func serveDNS(t *testing.T, asked func(query []byte, reply func([]byte))) uint32 {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		for {
			query := make([]byte, 512)
			size, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			asked(query[:size], func(answer []byte) { _, _ = conn.WriteTo(answer, from) })
		}
	}()
	return uint32(conn.LocalAddr().(*net.UDPAddr).Port)
}

func (n nameServer) answer(query []byte) []byte {
	const header, typeA = 12, 1
	end := header
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5 // the root label, type and class
	out := append([]byte{}, query[:end]...)
	out[2], out[3] = 0x81, 0x80 // a response, recursion desired and available
	clear(out[6:header])        // no records
	switch {
	case n.unknown:
		out[3] |= 3 // NXDOMAIN
	case binary.BigEndian.Uint16(out[end-4:]) == typeA:
		out[7] = 1
		out = append(out, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return out
}

// TestNames looks at when Envoy acknowledges a provider whose name has to be
// looked up: not before it can be used, and in bounded time where it cannot.
func TestNames(t *testing.T) {
	const patience = 15 * time.Second // well below ackTimeout, well above what it takes
	cases := []struct {
		name     string
		server   nameServer
		resolved bool
		from, to time.Duration // how long the acknowledgement takes
	}{
		{"resolves at once", nameServer{}, true, 0, patience},
		{"resolves slowly", nameServer{delay: 500 * time.Millisecond}, true, 500 * time.Millisecond, patience},
		{"does not exist", nameServer{unknown: true}, false, 0, patience},
		// Queries for IPv4 and for IPv6, a second each, every one twice.
		{"server does not answer", nameServer{quiet: true}, false, time.Second, patience},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			server := xds.NewServer(slog.New(slog.NewTextHandler(t.Output(), nil)))
			services := grpc.NewServer()
			server.Register(services)
			listener, err := net.Listen("unix", filepath.Join(dir, "weir.sock"))
			if err != nil {
				t.Fatal(err)
			}
			go func() { _ = services.Serve(listener) }()
			t.Cleanup(services.Stop)
			startEnvoy(t, "envoy", filepath.Join(dir, "weir.sock"), filepath.Join(dir, "admin.sock"))
			admin := envoy.NewAdmin(filepath.Join(dir, "admin.sock"))

			resolver := c.server.start(t)
			if err := server.Publish(t.Context(), resources(t, setup{}, resolver)); err != nil {
				t.Fatal(err)
			}
			if err := server.Wait(t.Context(), func(nodes []xds.NodeStatus) bool { return len(nodes) == 1 && nodes[0].Synced }); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			named := setup{providers: []string{"id: alpha, base_url: http://alpha.internal:8123"}}
			if err := server.Publish(t.Context(), resources(t, named, resolver)); err != nil {
				t.Fatal(err)
			}
			took := time.Since(start)
			t.Logf("acknowledged after %v", took)
			if took < c.from || took > c.to {
				t.Errorf("acknowledged after %v, want between %v and %v", took, c.from, c.to)
			}
			if got := hosts(t, admin, "weir/host/"); slices.Contains(got, "127.0.0.1:8123") != c.resolved {
				t.Errorf("Envoy has the hosts %v, resolved is %v", got, c.resolved)
			}

			// Other headers are another cluster, and the same host: nothing is
			// looked up again.
			before := hosts(t, admin, "weir/host/")
			added := counter(t, admin, "cluster_manager.cluster_added")
			named.providers[0] += ", headers: {x-new: header}"
			if err := server.Publish(t.Context(), resources(t, named, resolver)); err != nil {
				t.Fatal(err)
			}
			if after := hosts(t, admin, "weir/host/"); !slices.Equal(before, after) {
				t.Errorf("other headers changed the hosts from %v to %v", before, after)
			}
			if n := counter(t, admin, "cluster_manager.cluster_added") - added; n != 1 {
				t.Errorf("other headers added %d clusters, want 1: the host stays", n)
			}
		})
	}
}

// resources are those of a configuration, with names looked up at a port of
// this machine.
func resources(t *testing.T, config setup, resolver uint32) xds.Set {
	t.Helper()
	p, _, problems := policy.Load(policy.Source{File: "weir.yaml", Data: []byte(config.String()), Getenv: func(string) string { return "" }, ReadFile: os.ReadFile})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	set, err := xds.Resources(p, nil, xds.Options{ControlCluster: envoy.ControlCluster, LogCluster: envoy.LogCluster, Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range set.Clusters {
		custom := r.(*clusterv3.Cluster).GetClusterType()
		dns, cares := &dnsclusterv3.DnsCluster{}, &caresv3.CaresDnsResolverConfig{}
		if custom == nil || custom.TypedConfig.UnmarshalTo(dns) != nil {
			continue
		}
		if err := dns.TypedDnsResolverConfig.TypedConfig.UnmarshalTo(cares); err != nil {
			t.Fatal(err)
		}
		cares.Resolvers = []*corev3.Address{{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: resolver},
		}}}}
		if dns.TypedDnsResolverConfig.TypedConfig, err = anypb.New(cares); err != nil {
			t.Fatal(err)
		}
		if custom.TypedConfig, err = anypb.New(dns); err != nil {
			t.Fatal(err)
		}
	}
	return set
}

// hosts are the addresses that Envoy has for the clusters with a prefix.
func hosts(t *testing.T, admin *envoy.Admin, prefix string) []string {
	t.Helper()
	body, err := admin.Get(t.Context(), "/clusters?format=json")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Statuses []struct {
			Name  string
			Hosts []struct {
				Address struct {
					Socket struct {
						Address string
						Port    int `json:"port_value"`
					} `json:"socket_address"`
				}
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range answer.Statuses {
		if strings.HasPrefix(c.Name, prefix) {
			for _, h := range c.Hosts {
				out = append(out, fmt.Sprintf("%s:%d", h.Address.Socket.Address, h.Address.Socket.Port))
			}
		}
	}
	return out
}

// counter reads one of Envoy's counters.
func counter(t *testing.T, admin *envoy.Admin, name string) int {
	t.Helper()
	body, err := admin.Get(t.Context(), "/stats?filter="+url.QueryEscape("^"+name+"$"))
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscanf(string(body), name+": %d", &n); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return n
}

// TestNamedProviders: providers whose names are looked up, over TLS and plain,
// in both orders of failover. (Every name under localhost is loopback, RFC 6761.)
func TestNamedProviders(t *testing.T) {
	ca := recorder.NewCA(t)
	plain := recorder.Start(t, recorder.WithName("plain"))
	secure := recorder.Start(t, recorder.WithName("secure"), recorder.WithTLS("secure.internal"), recorder.WithCA(ca))
	g := gatewaytest.Start(t, fmt.Sprintf(`
connect_to:
  plain.internal:80: plain.localhost:%s
  secure.internal:443: secure.localhost:%s
  wrong.internal:443: secure.localhost:%[2]s
providers:
  - {id: plain, base_url: http://plain.internal, api_keys: [{value: key-of-plain}], headers: {x-of-plain: a}}
  - {id: secure, base_url: https://secure.internal, api_keys: [{value: key-of-secure}], auth: {header: x-secure-key}}
  - {id: wrong, base_url: https://wrong.internal, api_keys: [{value: key-of-wrong}]}
  - {id: nowhere, base_url: http://nowhere.internal, api_keys: [{value: key-of-nowhere}]}
`, port(t, plain), port(t, secure)), gatewaytest.Env("SSL_CERT_FILE", ca.File(t)), gatewaytest.Secrets("key-of-plain", "key-of-secure", "key-of-wrong"))

	for _, c := range []struct {
		models, attempts string
		failing          *recorder.Provider
		answers          *recorder.Provider
	}{
		{`["plain:m"]`, "1", nil, plain},
		{`["secure:m"]`, "1", nil, secure},
		{`["plain:m","secure:m"]`, "2", plain, secure},
		{`["secure:m","plain:m"]`, "2", secure, plain},
		{`["wrong:m","secure:m"]`, "2", nil, secure},
		{`["nowhere:m","wrong:m","plain:m"]`, "3", nil, plain},
	} {
		t.Run(c.models, func(t *testing.T) {
			plain.Reset()
			secure.Reset()
			if c.failing != nil {
				c.failing.Script(recorder.Status(503, nil, "busy"))
			}
			a := g.Post("/v1/chat/completions", `{"models":`+c.models+`}`)
			if a.Status != 200 || !strings.Contains(a.Body, c.answers.ResponseText("m")) || a.Header.Get("X-Weir-Attempts") != c.attempts {
				t.Fatalf("response %d %s after %s attempts", a.Status, a.Body, a.Header.Get("X-Weir-Attempts"))
			}
			if got := a.Header.Get("X-Weir-Provider"); got != c.answers.Name {
				t.Errorf("x-weir-provider: %q", got)
			}
			r := c.answers.Last(t)
			if c.answers == plain {
				if r.Header.Get("Authorization") != "Bearer key-of-plain" || r.Authority != "plain.internal" || r.Header.Get("X-Secure-Key") != "" {
					t.Errorf("received %s %v", r.Authority, r.Header)
				}
				return
			}
			if r.Header.Get("X-Secure-Key") != "key-of-secure" || r.Authority != "secure.internal" || r.SNI != "secure.internal" || r.Header.Get("Authorization") != "" || r.Header.Get("X-Of-Plain") != "" {
				t.Errorf("received %s (SNI %s) %v", r.Authority, r.SNI, r.Header)
			}
		})
	}
}
