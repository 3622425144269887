package xds

import (
	"runtime"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"weir/policy"
)

const (
	// upstreamStreams is the highest number of streams on an HTTP/2 connection; a
	// provider may allow fewer.
	upstreamStreams = 100
	// streamWindow is how much of a response over HTTP/2 waits for a client that does
	// not read, connectionWindow how much waits on a connection. All streams together
	// fit, so that no stream holds up the others.
	streamWindow     = 256 << 10
	connectionWindow = upstreamStreams * streamWindow
	// An HTTP/2 connection that does not acknowledge a ping in time is closed. Pings are
	// sent every pingInterval, and with the first request after pingIdle without one.
	pingInterval = 30 * time.Second
	pingIdle     = time.Second
	pingTimeout  = 5 * time.Second
	// tolerant is for limits that protect a server from its clients. Some providers
	// flush with empty DATA frames; reaching such a limit would cut the streams of all
	// clients on the connection.
	tolerant = 1 << 20
	// unacknowledged is how long sent data may go unacknowledged by the peer's
	// TCP.
	unacknowledged = 20 * time.Second
)

// protocol sets the HTTP options of a cluster.
func (b *builder) protocol(out *clusterv3.Cluster, options *httpv3.HttpProtocolOptions) {
	out.TypedExtensionProtocolOptions = map[string]*anypb.Any{
		"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": b.pack(options),
	}
}

// upstreamProtocol returns the HTTP protocol of a provider's connections.
func (b *builder) upstreamProtocol(c *policy.Cluster) *httpv3.HttpProtocolOptions {
	options := http1()
	switch {
	case c.Connections.HTTP2 && c.TLS != nil:
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_AutoConfig{AutoConfig: &httpv3.HttpProtocolOptions_AutoHttpConfig{
			Http2ProtocolOptions: http2(),
			// Envoy remembers how many streams a provider allows: a new connection has
			// no more, even before its SETTINGS arrive.
			AlternateProtocolsCacheOptions: &corev3.AlternateProtocolsCacheOptions{Name: "weir"},
		}}
	case c.Connections.HTTP2:
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: http2()},
		}}
	}
	options.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{
		IdleTimeout:           duration(c.Connections.IdleTimeout),
		MaxConnectionDuration: duration(c.Connections.MaxDuration),
	}
	if c.Timeout != 0 {
		options.CommonHttpProtocolOptions.MaxStreamDuration = duration(c.Timeout)
	}
	return options
}

func http1() *httpv3.HttpProtocolOptions {
	return &httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{},
		}},
	}
}

func http2() *corev3.Http2ProtocolOptions {
	return &corev3.Http2ProtocolOptions{
		MaxConcurrentStreams:        number(upstreamStreams),
		InitialStreamWindowSize:     number(streamWindow),
		InitialConnectionWindowSize: number(connectionWindow),
		ConnectionKeepalive: &corev3.KeepaliveSettings{
			Interval:               duration(pingInterval),
			Timeout:                duration(pingTimeout),
			ConnectionIdleInterval: duration(pingIdle),
		},
		// An invalid response ends its stream, not the connection.
		OverrideStreamErrorOnInvalidHttpMessage:      boolean(true),
		MaxConsecutiveInboundFramesWithEmptyPayload:  number(tolerant),
		MaxInboundPriorityFramesPerStream:            number(tolerant),
		MaxInboundWindowUpdateFramesPerDataFrameSent: number(tolerant),
		MaxOutboundFrames:                            number(tolerant),
	}
}

// keepalive detects idle connections whose peer has disappeared.
func keepalive() *clusterv3.UpstreamConnectionOptions {
	return &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
		KeepaliveProbes: number(3), KeepaliveTime: number(30), KeepaliveInterval: number(5),
	}}
}

// userTimeout detects connections whose peer has disappeared while a request is sent:
// keepalive probes then wait for acknowledgements, and TCP alone gives up after a
// quarter of an hour.
func userTimeout() *corev3.BindConfig {
	if runtime.GOOS != "linux" {
		return nil
	}
	const tcp, tcpUserTimeout = 6, 18 // IPPROTO_TCP, TCP_USER_TIMEOUT: tcp(7)
	return &corev3.BindConfig{SocketOptions: []*corev3.SocketOption{{
		Description: "TCP_USER_TIMEOUT",
		Level:       tcp,
		Name:        tcpUserTimeout,
		Value:       &corev3.SocketOption_IntValue{IntValue: unacknowledged.Milliseconds()},
		State:       corev3.SocketOption_STATE_PREBIND,
	}}}
}
