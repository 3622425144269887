package xds

import (
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	proxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	xffv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/original_ip_detection/xff/v3"
)

// clientAddress sets how Envoy determines the address of a client, which is given to
// Weir and logged. By default it is the connection's, whatever X-Forwarded-For says.
func (b *builder) clientAddress(manager *hcmv3.HttpConnectionManager) {
	proxies := b.policy.Proxies
	manager.SkipXffAppend = true
	if len(proxies.Trusted) == 0 {
		manager.UseRemoteAddress = boolean(true)
		manager.XffNumTrustedHops = uint32(proxies.Hops)
		return
	}
	// Envoy does not accept this extension together with use_remote_address.
	manager.OriginalIpDetectionExtensions = []*corev3.TypedExtensionConfig{
		b.extension("envoy.http.original_ip_detection.xff", &xffv3.XffConfig{
			XffTrustedCidrs: &xffv3.XffTrustedCidrs{Cidrs: ranges(proxies.Trusted)},
			SkipXffAppend:   boolean(true),
		}),
	}
}

// proxyProtocol makes a listener read a PROXY header at the beginning of each
// connection. Connections from outside the trusted networks have no filter chain, so
// Envoy closes them.
func (b *builder) proxyProtocol(l *listenerv3.Listener) {
	proxies := b.policy.Proxies
	if !proxies.ProxyProtocol {
		return
	}
	l.ListenerFilters = append(l.ListenerFilters, &listenerv3.ListenerFilter{
		Name:       "envoy.filters.listener.proxy_protocol",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: b.pack(&proxyv3.ProxyProtocol{})},
	})
	for _, chain := range l.FilterChains {
		chain.FilterChainMatch = &listenerv3.FilterChainMatch{DirectSourcePrefixRanges: ranges(proxies.Trusted)}
	}
}

func ranges(prefixes []netip.Prefix) []*corev3.CidrRange {
	out := make([]*corev3.CidrRange, len(prefixes))
	for i, p := range prefixes {
		out[i] = &corev3.CidrRange{AddressPrefix: p.Addr().String(), PrefixLen: number(p.Bits())}
	}
	return out
}
