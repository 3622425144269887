package xds

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	deltav3 "github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	grpcstatus "google.golang.org/grpc/status"
)

// aggregated is the discovery service that Envoys call.
type aggregated struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	server *Server
}

// StreamAggregatedResources refuses state-of-the-world discovery: it sends
// everything at every change, and its acknowledgements name no resource.
func (a aggregated) StreamAggregatedResources(discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return grpcstatus.Error(codes.Unimplemented, "weir serves delta discovery only: set ads_config.api_type to DELTA_GRPC")
}

// DeltaAggregatedResources serves one Envoy until its stream ends. Each stream has its
// own go-control-plane server (a small struct), so that its calls arrive at the stream
// that they are about.
func (a aggregated) DeltaAggregatedResources(rpc discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	st := &stream{server: a.server, types: map[string]*progress{}}
	if p, ok := peer.FromContext(rpc.Context()); ok {
		st.address = p.Addr.String()
	}
	defer a.server.disconnected(st)
	return deltav3.NewServer(rpc.Context(), st, st,
		// An empty request for a type that is known by reference would otherwise mean
		// all of them: all secrets.
		deltav3.DeactivateLegacyWildcardForTypes([]string{resourcev3.RouteType, resourcev3.SecretType}),
	).DeltaStreamHandler(rpc, resourcev3.AnyType)
}

// stream is one Envoy's connection. It stands between go-control-plane's protocol
// handling and its cache, and sees every request and response.
type stream struct {
	server  *Server
	address string

	// Guarded by server.mu. An Envoy exists from its first request.
	connectedAt time.Time
	node        string
	version     string
	types       map[string]*progress // by type URL
	pending     []string
	// acknowledged is the last publication with nothing pending.
	acknowledged uint64
}

var (
	_ cachev3.ConfigWatcher = (*stream)(nil)
	_ deltav3.Callbacks     = (*stream)(nil)
)

// CreateDeltaWatch is called for every request, with the resulting subscription. It
// responds from the cache, at once or when the cache changes.
func (st *stream) CreateDeltaWatch(req *discoveryv3.DeltaDiscoveryRequest, sub cachev3.Subscription, out chan cachev3.DeltaResponse) (func(), error) {
	if cachev3.GetResponseType(req.GetTypeUrl()) == types.UnknownType {
		// No response, rather than ending the stream. The bound on types is also why
		// out, which has room for two responses of each known type, never fills up and
		// blocks the cache, however slow an Envoy is.
		st.server.log.Warn("envoy requested a type that is not served", "node", req.GetNode().GetId(), "type", req.GetTypeUrl())
		return nil, nil
	}
	return st.server.receive(st, req, sub, out)
}

// CreateWatch is the state-of-the-world half of the interface.
func (st *stream) CreateWatch(*cachev3.Request, cachev3.Subscription, chan cachev3.Response) (func(), error) {
	return nil, errors.ErrUnsupported
}

// OnStreamDeltaResponse is called before a response is sent.
func (st *stream) OnStreamDeltaResponse(_ int64, _ *discoveryv3.DeltaDiscoveryRequest, resp *discoveryv3.DeltaDiscoveryResponse) {
	st.server.sending(st, resp)
}

// OnStreamDeltaRequest does nothing: CreateDeltaWatch follows it, and knows
// the subscription too.
func (st *stream) OnStreamDeltaRequest(int64, *discoveryv3.DeltaDiscoveryRequest) error { return nil }

// OnDeltaStreamOpen does nothing.
func (st *stream) OnDeltaStreamOpen(context.Context, int64, string) error { return nil }

// OnDeltaStreamClosed does nothing.
func (st *stream) OnDeltaStreamClosed(int64, *corev3.Node) {}

// resubscription is a subscription with rejected resources. go-control-plane assumes
// that Envoy has what it was sent, rejected or not, and would never again send a good
// resource that shared a response with a bad one. From the next publication on, such a
// resource counts as held in an unknown version: it is sent again, or removed again.
type resubscription struct {
	cachev3.Subscription
	server    *Server
	unknown   versions
	refusedIn uint64
}

// ReturnedResources is called by the cache, hence with server.mu held.
func (r resubscription) ReturnedResources() map[string]string {
	if r.server.publication == r.refusedIn {
		return r.Subscription.ReturnedResources()
	}
	return r.unknown
}

// resubscribe returns sub, or a resubscription if anything of it was rejected.
func (s *Server) resubscribe(sub cachev3.Subscription, p *progress) cachev3.Subscription {
	if len(p.refused) == 0 {
		return sub
	}
	unknown := maps.Clone(sub.ReturnedResources())
	for name := range p.refused {
		unknown[name] = ""
	}
	return resubscription{Subscription: sub, server: s, unknown: unknown, refusedIn: p.refusedIn}
}

// envoyVersion returns the version that a node reports, such as "1.40.0".
func envoyVersion(node *corev3.Node) string {
	if v := node.GetUserAgentBuildVersion().GetVersion(); v != nil {
		return fmt.Sprintf("%d.%d.%d", v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch())
	}
	return node.GetUserAgentVersion()
}
