package envoy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	logv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	grpclogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/types/known/durationpb"
)

// deadline bounds every wait of these tests. It is never reached by a test
// that passes.
const deadline = 60 * time.Second

// running is an Envoy under Run, configured over ADS by a server of the test
// and proxying to an upstream of the test's.
type running struct {
	t        *testing.T
	dir      string // holds the sockets
	admin    *Admin
	pids     chan int // of every Envoy started
	cancel   func()
	ended    chan struct{} // closed when Run is back
	err      error         // of Run; valid once ended
	upstream *upstream
	ads      *adsServer
}

// startEnvoy runs an Envoy until the test ends and waits until it serves. The
// fields of c that a test leaves empty are filled in.
func startEnvoy(t *testing.T, c Config, adminSocket string) *running {
	t.Helper()
	if c.Dir == "" {
		c.Dir = shortDir(t)
	}
	if adminSocket == "" {
		adminSocket = filepath.Join(c.Dir, "admin.sock")
	}
	e := &running{
		t: t, dir: c.Dir, admin: NewAdmin(adminSocket),
		pids: make(chan int, 100), ended: make(chan struct{}),
		upstream: startUpstream(t),
	}
	socket := filepath.Join(c.Dir, "weir.sock")
	e.ads = startADS(t, socket)
	e.ads.publish("one", e.upstream.address)

	var err error
	if c.Bootstrap, err = Bootstrap(BootstrapOptions{NodeID: nodeID, Socket: socket, AdminSocket: adminSocket}); err != nil {
		t.Fatal(err)
	}
	c.Path = realEnvoy(t)
	c.Concurrency = 1
	log := &testLog{t: t}
	c.Log = slog.New(slog.NewTextHandler(log, nil))
	c.Started = func(pid int) { e.pids <- pid }

	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	go func() {
		e.err = Run(ctx, c)
		close(e.ended)
	}()
	t.Cleanup(func() {
		cancel()
		e.upstream.release()
		<-e.ended
		log.close()
	})
	e.waitServing()
	return e
}

// waitServing waits for the listener's answer and gives its address.
func (e *running) waitServing() string {
	e.t.Helper()
	var address string
	until(e.t, "envoy serves", func() error {
		select {
		case <-e.ended:
			e.t.Fatalf("Run ended: %v", e.err)
		default:
		}
		listeners, err := e.admin.Listeners(e.t.Context())
		if err != nil {
			return err
		}
		if len(listeners) != 1 {
			return fmt.Errorf("%d listeners", len(listeners))
		}
		address = listeners[0].Address
		resp, err := http.Get("http://" + address + "/")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	return address
}

// wait waits for Run to come back.
func (e *running) wait() error {
	e.t.Helper()
	select {
	case <-e.ended:
		return e.err
	case <-time.After(deadline):
		e.t.Fatal("Run does not end")
		return nil
	}
}

// call is a request to /hold that Envoy has passed to the upstream.
type call struct {
	resp chan *http.Response
	err  chan error
}

// hold starts a request that the upstream answers with headers and half a body,
// and with the rest once it is released.
func (e *running) hold() call {
	e.t.Helper()
	address := e.waitServing()
	c := call{make(chan *http.Response, 1), make(chan error, 1)}
	go func() {
		resp, err := (&http.Client{Transport: &http.Transport{}}).Get("http://" + address + "/hold")
		if err != nil {
			c.err <- err
			return
		}
		c.resp <- resp
	}()
	until(e.t, "the request is active", func() error {
		n, err := e.admin.ActiveRequests(e.t.Context())
		if err == nil && n != 1 {
			err = fmt.Errorf("%d active", n)
		}
		return err
	})
	return c
}

// finish gives the whole body of the response.
func (c call) finish() (string, error) {
	select {
	case resp := <-c.resp:
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	case err := <-c.err:
		return "", err
	case <-time.After(deadline):
		return "", errors.New("no response")
	}
}

// upstream is what Envoy proxies to.
type upstream struct {
	address string
	release func() // lets the requests to /hold finish
}

func startUpstream(t *testing.T) *upstream {
	released := make(chan struct{})
	u := &upstream{release: sync.OnceFunc(func() { close(released) })}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/hold" {
			return
		}
		io.WriteString(w, "first,")
		w.(http.Flusher).Flush()
		<-released
		io.WriteString(w, "last")
	}))
	u.address = s.Listener.Addr().String()
	t.Cleanup(func() { u.release(); s.Close() })
	return u
}

const nodeID = "test"

// logFlush is how long Envoy keeps access log entries to itself.
const logFlush = 500 * time.Millisecond

// adsServer is a real delta ADS server on a Unix socket, which takes access
// logs as well.
type adsServer struct {
	accesslogv3.UnimplementedAccessLogServiceServer

	t      *testing.T
	socket string
	cache  cachev3.SnapshotCache
	stop   func()
	logged chan string // the path of every request in the access log
}

func (s *adsServer) StreamAccessLogs(stream accesslogv3.AccessLogService_StreamAccessLogsServer) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, entry := range m.GetHttpLogs().GetLogEntry() {
			s.logged <- entry.GetRequest().GetPath()
		}
	}
}

func startADS(t *testing.T, socket string) *adsServer {
	t.Helper()
	s := &adsServer{
		t: t, socket: socket, logged: make(chan string, 1000),
		cache: cachev3.NewSnapshotCache(true, cachev3.IDHash{}, nil),
	}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *adsServer) start() {
	s.t.Helper()
	l, err := net.Listen("unix", s.socket)
	if err != nil {
		s.t.Fatal(err)
	}
	g := grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
		MinTime: KeepaliveInterval / 2, PermitWithoutStream: true,
	}))
	ctx, cancel := context.WithCancel(context.Background())
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, serverv3.NewServer(ctx, s.cache, nil))
	accesslogv3.RegisterAccessLogServiceServer(g, s)
	done := make(chan struct{})
	go func() { defer close(done); g.Serve(l) }()
	s.stop = sync.OnceFunc(func() { cancel(); g.Stop(); <-done })
}

// publish gives Envoy a listener of that name, on any free port, whose routes
// all lead to the upstream.
func (s *adsServer) publish(name, upstream string) {
	s.t.Helper()
	host, port, err := net.SplitHostPort(upstream)
	if err != nil {
		s.t.Fatal(err)
	}
	var number uint32
	fmt.Sscan(port, &number)

	cluster := &clusterv3.Cluster{
		Name:                 "upstream",
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: "upstream",
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: tcp(host, number)}},
			}}}},
		},
	}
	accessLog := &grpclogv3.HttpGrpcAccessLogConfig{CommonConfig: &grpclogv3.CommonGrpcAccessLogConfig{
		LogName: "requests", TransportApiVersion: corev3.ApiVersion_V3,
		BufferFlushInterval: durationpb.New(logFlush),
		GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
			EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: ControlCluster},
		}},
	}}
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix: "in",
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			VirtualHosts: []*routev3.VirtualHost{{
				Name: "all", Domains: []string{"*"},
				Routes: []*routev3.Route{{
					Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
					Action: &routev3.Route_Route{Route: &routev3.RouteAction{
						ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "upstream"},
						Timeout:          durationpb.New(0),
					}},
				}},
			}},
		}},
		AccessLog: []*logv3.AccessLog{{
			Name:       "requests",
			ConfigType: &logv3.AccessLog_TypedConfig{TypedConfig: toAny(accessLog)},
		}},
		HttpFilters: []*hcmv3.HttpFilter{{
			Name:       "router",
			ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: toAny(&routerv3.Router{})},
		}},
	}
	listener := &listenerv3.Listener{
		Name: name,
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{},
		}}},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "http",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: toAny(manager)},
		}}}},
	}
	snapshot, err := cachev3.NewSnapshot(name, map[resourcev3.Type][]types.Resource{
		resourcev3.ClusterType:  {cluster},
		resourcev3.ListenerType: {listener},
	})
	if err == nil {
		err = s.cache.SetSnapshot(context.Background(), nodeID, snapshot)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// until polls for a condition.
func until(t *testing.T, what string, condition func() error) {
	t.Helper()
	end := time.Now().Add(deadline)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not reached: %s: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond) // between two looks, not for a result
	}
}

// shortDir is t.TempDir with a path that leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// testLog shows a log when the test fails.
type testLog struct {
	mu     sync.Mutex
	t      *testing.T
	lines  []string
	closed bool
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		for scan := bufio.NewScanner(strings.NewReader(string(p))); scan.Scan(); {
			l.lines = append(l.lines, scan.Text())
		}
	}
	return len(p), nil
}

func (l *testLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.t.Failed() {
		l.t.Log(strings.Join(l.lines, "\n"))
	}
}
