package xds

import (
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	ratelimitconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/ratelimit/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	ratelimitcommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"weir/metadata"
)

const (
	// clientPing is the interval of pings to HTTP/2 clients, clientPingTimeout the
	// time for a reply. HTTP/1.1 connections have TCP keepalive.
	clientPing        = 30 * time.Second
	clientPingTimeout = 10 * time.Second
	// peerTimeout is how long a connection waits for Weir's decision whether its
	// client has too many. Without a decision by then, it is accepted.
	peerTimeout = 500 * time.Millisecond
	// inspectedBytes is the initial buffer of a connection that has sent nothing yet.
	// It grows while a TLS handshake needs more. With Envoy's 16 KiB, 10,000 silent
	// connections took 157 MB more.
	inspectedBytes = 256
	// drainTime is how long a connection that was asked to close still accepts
	// requests: those that the client sent before it knew.
	drainTime = 5 * time.Second
	// ageJitter spreads, in percent, the ends of connections that began at the same
	// time.
	ageJitter = 10
)

// boundConnections closes connections whose client sends nothing or has
// disappeared. boundTime sets the limits of connections that speak HTTP.
func (b *builder) boundConnections(l *listenerv3.Listener) {
	limits := b.policy.Limits
	if limits.MaxClientConnectionsPerAddress > 0 {
		b.boundPeers(l)
	} else {
		b.inspectFirstBytes(l)
	}
	for _, chain := range l.FilterChains {
		chain.TransportSocketConnectTimeout = duration(limits.ClientHeadersTimeout)
	}
	l.TcpKeepalive = &corev3.TcpKeepalive{
		KeepaliveProbes: number(3), KeepaliveTime: number(60), KeepaliveInterval: number(10),
	}
}

// inspectFirstBytes closes connections that send nothing.
func (b *builder) inspectFirstBytes(l *listenerv3.Listener) {
	// Envoy does not distinguish a connection that never sent a byte from an idle
	// one. A filter that waits for the first bytes does, and has a timeout of its
	// own.
	l.ListenerFilters = append(l.ListenerFilters, &listenerv3.ListenerFilter{
		Name:       "envoy.filters.listener.tls_inspector",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: b.pack(&tlsinspectorv3.TlsInspector{InitialReadBufferSize: number(inspectedBytes)})},
	})
	l.ListenerFiltersTimeout = duration(b.policy.Limits.ClientHeadersTimeout)
}

// boundPeers lets Weir decide on each connection when it is made, and tells Weir when
// one ends. Network filters run only after listener filters, so an inspector would
// keep silent connections from being counted.
func (b *builder) boundPeers(l *listenerv3.Listener) {
	ask := &listenerv3.Filter{
		Name: "envoy.filters.network.ratelimit",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: b.pack(&ratelimitv3.RateLimit{
			StatPrefix: "weir", Domain: metadata.PeerDomain,
			Descriptors: []*ratelimitcommonv3.RateLimitDescriptor{{Entries: []*ratelimitcommonv3.RateLimitDescriptor_Entry{
				{Key: metadata.PeerKey, Value: "%DOWNSTREAM_REMOTE_ADDRESS%"},
			}}},
			Timeout:          duration(peerTimeout),
			RateLimitService: &ratelimitconfigv3.RateLimitServiceConfig{GrpcService: b.weir(), TransportApiVersion: corev3.ApiVersion_V3},
		})},
	}
	for _, chain := range l.FilterChains {
		chain.Filters = append([]*listenerv3.Filter{ask}, chain.Filters...)
	}
	l.AccessLog = append(l.AccessLog, &accesslogv3.AccessLog{
		Name: "envoy.access_loggers.tcp_grpc",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.pack(&alsv3.TcpGrpcAccessLogConfig{
			CommonConfig: b.toLog(metadata.ConnectionLog),
		})},
	})
}

// boundTime bounds how long a client may take over a request, and how long its
// connection lives. The latter does not cut a running request: the client is told to
// make another connection, and this one is closed when it has no request.
func (b *builder) boundTime(m *hcmv3.HttpConnectionManager) {
	limits := b.policy.Limits
	m.RequestHeadersTimeout = duration(limits.ClientHeadersTimeout)
	m.RequestTimeout = duration(limits.ClientBodyTimeout)
	m.DrainTimeout = duration(drainTime)
	if m.CommonHttpProtocolOptions == nil {
		m.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{}
	}
	common := m.CommonHttpProtocolOptions
	common.IdleTimeout = duration(limits.ClientIdleTimeout)
	common.MaxConnectionDuration = duration(limits.MaxClientConnectionAge)
	common.MaxConnectionDurationJitter = &typev3.Percent{Value: ageJitter}
	if m.Http2ProtocolOptions == nil {
		m.Http2ProtocolOptions = &corev3.Http2ProtocolOptions{}
	}
	m.Http2ProtocolOptions.ConnectionKeepalive = &corev3.KeepaliveSettings{
		Interval: duration(clientPing), Timeout: duration(clientPingTimeout),
	}
}
