package xds_test

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"slices"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/anypb"

	"weir/internal/gatewaytest"
	"weir/xds"
)

const (
	clusters  = resourcev3.ClusterType
	listeners = resourcev3.ListenerType
	routes    = resourcev3.RouteType
	secrets   = resourcev3.SecretType
)

// testServer is an xds.Server behind a real gRPC server in memory.
type testServer struct {
	*xds.Server
	conn *grpc.ClientConn
	logs *gatewaytest.Output
}

func newTestServer(t *testing.T) *testServer {
	t.Helper()
	logs := &gatewaytest.Output{}
	s := xds.NewServer(slog.New(slog.NewTextHandler(logs, nil)))
	g := grpc.NewServer()
	s.Register(g)
	lis := bufconn.Listen(1 << 20)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = g.Serve(lis)
	}()
	conn, err := grpc.NewClient("passthrough:///bufconn",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		g.Stop()
		<-served
	})
	return &testServer{Server: s, conn: conn, logs: logs}
}

// deadline ends a test that hangs.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// mustPublish publishes, which is expected to succeed without waiting for the
// test to do anything.
func (s *testServer) mustPublish(t *testing.T, set xds.Set) {
	t.Helper()
	if err := s.Publish(deadline(t), set); err != nil {
		t.Fatal(err)
	}
}

// publishing publishes in the background.
func (s *testServer) publishing(t *testing.T, ctx context.Context, set xds.Set) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Publish(ctx, set) }()
	return done
}

// synced returns a server that has published base(), and an Envoy that acknowledged it.
func synced(t *testing.T) (*testServer, *client) {
	t.Helper()
	s := newTestServer(t)
	s.mustPublish(t, base())
	c := s.connect(t, "envoy-1")
	c.start()
	s.waitPending(t)
	return s, c
}

func (s *testServer) wait(t *testing.T, done func([]xds.NodeStatus) bool) {
	t.Helper()
	if err := s.Wait(deadline(t), done); err != nil {
		t.Fatalf("%v; nodes: %+v", err, s.Nodes())
	}
}

// waitPending waits until there is one node, with these types pending.
func (s *testServer) waitPending(t *testing.T, types ...string) {
	t.Helper()
	s.wait(t, func(nodes []xds.NodeStatus) bool {
		return len(nodes) == 1 && slices.Equal(nodes[0].Pending, types)
	})
	if got, want := s.Synced(), len(types) == 0; got != want {
		t.Fatalf("Synced() = %v with %v pending", got, types)
	}
}

func receive(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-deadline(t).Done():
		t.Fatal("Publish does not return")
		return nil
	}
}

// mustBePublished fails the test if publishing fails.
func mustBePublished(t *testing.T, done <-chan error) {
	t.Helper()
	if err := receive(t, done); err != nil {
		t.Error(err)
	}
}

// mustBeRejected fails the test if publishing succeeds.
func mustBeRejected(t *testing.T, done <-chan error) {
	t.Helper()
	if err := receive(t, done); err == nil {
		t.Error("no error")
	}
}

// client is Envoy's side of a delta stream, by hand.
type client struct {
	t      *testing.T
	id     string
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	close  context.CancelFunc
	said   bool
	held   map[string]map[string]string // versions acknowledged, by type and name
}

func (s *testServer) connect(t *testing.T, id string) *client {
	t.Helper()
	ctx, cancel := context.WithCancel(deadline(t))
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(s.conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t: t, id: id, stream: stream, close: cancel, held: map[string]map[string]string{}}
}

func (c *client) send(req *discoveryv3.DeltaDiscoveryRequest) {
	c.t.Helper()
	if !c.said { // like Envoy, only once
		c.said = true
		req.Node = &corev3.Node{Id: c.id, UserAgentVersionType: &corev3.Node_UserAgentBuildVersion{
			UserAgentBuildVersion: &corev3.BuildVersion{Version: &typev3.SemanticVersion{MajorNumber: 1, MinorNumber: 40}},
		}}
	}
	if err := c.stream.Send(req); err != nil {
		c.t.Fatal(err)
	}
}

// subscribe asks for names of a type, or with none for everything.
func (c *client) subscribe(typeURL string, names ...string) {
	c.t.Helper()
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names})
}

// expect receives a response and compares what it carries.
func (c *client) expect(typeURL string, names, removed []string) *discoveryv3.DeltaDiscoveryResponse {
	c.t.Helper()
	resp, err := c.stream.Recv()
	if err != nil {
		c.t.Fatal(err)
	}
	type carried struct {
		Type           string
		Names, Removed []string
	}
	got := carried{Type: resp.GetTypeUrl(), Removed: slices.Sorted(slices.Values(resp.GetRemovedResources()))}
	for _, r := range resp.GetResources() {
		got.Names = append(got.Names, r.GetName())
	}
	slices.Sort(got.Names)
	if diff := cmp.Diff(carried{typeURL, names, removed}, got); diff != "" {
		c.t.Fatalf("response (-want +got):\n%s", diff)
	}
	return resp
}

func (c *client) ack(resp *discoveryv3.DeltaDiscoveryResponse) {
	c.t.Helper()
	held := c.held[resp.GetTypeUrl()]
	if held == nil {
		held = map[string]string{}
		c.held[resp.GetTypeUrl()] = held
	}
	for _, r := range resp.GetResources() {
		held[r.GetName()] = r.GetVersion()
	}
	for _, name := range resp.GetRemovedResources() {
		delete(held, name)
	}
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce()})
}

func (c *client) nack(resp *discoveryv3.DeltaDiscoveryResponse, text string) {
	c.t.Helper()
	c.send(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl:       resp.GetTypeUrl(),
		ResponseNonce: resp.GetNonce(),
		ErrorDetail:   &rpcstatus.Status{Code: int32(codes.Internal), Message: text},
	})
}

// expectNothing proves that no response is on its way: the next one is the
// empty answer to a question asked now.
func (c *client) expectNothing() {
	c.t.Helper()
	c.subscribe(resourcev3.EndpointType)
	c.ack(c.expect(resourcev3.EndpointType, nil, nil))
}

// start does what Envoy does when it starts with the set of base().
func (c *client) start() {
	c.t.Helper()
	c.subscribe(clusters)
	resp := c.expect(clusters, []string{"a", "b"}, nil)
	c.subscribe(secrets, "key")
	c.ack(c.expect(secrets, []string{"key"}, nil))
	c.ack(resp)
	c.subscribe(listeners)
	c.ack(c.expect(listeners, []string{"l"}, nil))
	c.subscribe(routes, "r")
	c.ack(c.expect(routes, []string{"r"}, nil))
}

// reconnect does what Envoy does on a new stream: it says what it holds.
func (c *client) reconnect(s *testServer) *client {
	c.t.Helper()
	c.close()
	again := s.connect(c.t, c.id)
	for _, typeURL := range []string{clusters, secrets, listeners, routes} {
		req := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, InitialResourceVersions: maps.Clone(c.held[typeURL])}
		if typeURL == secrets || typeURL == routes {
			req.ResourceNamesSubscribe = slices.Sorted(maps.Keys(c.held[typeURL]))
		}
		again.send(req)
	}
	again.held = c.held
	return again
}

// base is a set that uses every type; start subscribes to all but one secret.
func base() xds.Set {
	return xds.Set{
		Clusters:  []types.Resource{aCluster("a", ""), aCluster("b", "")},
		Listeners: []types.Resource{aListener("l", "r")},
		Routes:    []types.Resource{aRoute("r", "a")},
		Secrets:   []types.Resource{aSecret("key", "sk-1"), aSecret("other", "sk-other")},
	}
}

// aCluster makes clusters that differ in their content.
func aCluster(name, content string) *clusterv3.Cluster {
	return &clusterv3.Cluster{Name: name, AltStatName: content}
}

func aSecret(name, value string) *tlsv3.Secret {
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{
		Secret: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: value}},
	}}}
}

func aRoute(name, cluster string) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{{Name: cluster, Domains: []string{"*"}}}}
}

func aListener(name, route string) *listenerv3.Listener {
	config, err := anypb.New(&hcmv3.HttpConnectionManager{
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: route}},
	})
	if err != nil {
		panic(err)
	}
	return &listenerv3.Listener{Name: name, FilterChains: []*listenerv3.FilterChain{{
		Filters: []*listenerv3.Filter{{ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: config}}},
	}}}
}

func unsubscribe(typeURL string, names ...string) *discoveryv3.DeltaDiscoveryRequest {
	return &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesUnsubscribe: names}
}
