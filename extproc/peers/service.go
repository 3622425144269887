package peers

import (
	"context"
	"net/netip"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"

	"weir/metadata"
)

// Register serves envoy.service.ratelimit.v3 for Envoy's network filter.
func (l *Limiter) Register(s grpc.ServiceRegistrar) {
	ratelimitv3.RegisterRateLimitServiceServer(s, service{limiter: l})
}

type service struct {
	ratelimitv3.UnimplementedRateLimitServiceServer
	limiter *Limiter
}

// ShouldRateLimit decides on one connection. It accepts one whose address it cannot
// read.
func (s service) ShouldRateLimit(ctx context.Context, r *ratelimitv3.RateLimitRequest) (*ratelimitv3.RateLimitResponse, error) {
	code := ratelimitv3.RateLimitResponse_OK
	for _, d := range r.GetDescriptors() {
		for _, e := range d.GetEntries() {
			peer, err := netip.ParseAddrPort(e.GetValue())
			// The client has already left: no end of this connection will be reported.
			if err != nil || e.GetKey() != metadata.PeerKey || ctx.Err() != nil {
				continue
			}
			if !s.limiter.Opened(Canonical(peer)) {
				code = ratelimitv3.RateLimitResponse_OVER_LIMIT
			}
		}
	}
	return &ratelimitv3.RateLimitResponse{OverallCode: code}, nil
}

// Canonical returns an IPv4 address for an IPv4-mapped IPv6 address.
func Canonical(peer netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
}
