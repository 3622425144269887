package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net"
	"strconv"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/generic_secret/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"weir/policy"
)

// A provider behind an HTTP proxy has one host: a listener inside of Envoy, to which its
// cluster connects as to any other host, with TLS for the provider. The listener asks the
// proxy for a tunnel to the provider, and passes on bytes. If the proxy refuses, the
// connection ends before its TLS handshake: a connect failure, which leads to the next
// attempt.
//
// Envoy's http_11_proxy transport socket would need no listener, but it cannot send the
// proxy a credential.

// proxyAuthorization is the name by which the header's format refers to its secret.
const proxyAuthorization = "proxy-authorization"

// tunneled makes the listener of a cluster's tunnel the host of the cluster.
func (b *builder) tunneled(out *clusterv3.Cluster, c *policy.Cluster) {
	fixed(out, &endpointv3.Endpoint{Address: &corev3.Address{Address: &corev3.Address_EnvoyInternalAddress{
		EnvoyInternalAddress: &corev3.EnvoyInternalAddress{
			AddressNameSpecifier: &corev3.EnvoyInternalAddress_ServerListenerName{ServerListenerName: tunnelName(c)},
		},
	}}})
	// They are for sockets: those of the connections to the proxy.
	out.UpstreamConnectionOptions, out.UpstreamBindConfig = nil, nil
}

// tunnel returns the listener of a cluster's tunnel.
func (b *builder) tunnel(c *policy.Cluster) *listenerv3.Listener {
	config := &tcpv3.TcpProxy_TunnelingConfig{Hostname: literal(target(c))}
	if c.Proxy.Secret != "" {
		config.HeadersToAdd = []*corev3.HeaderValueOption{setHeader(proxyAuthorization, "%SECRET("+proxyAuthorization+")%")}
		config.Formatters = []*corev3.TypedExtensionConfig{b.extension("envoy.formatter.generic_secret", &secretv3.GenericSecret{
			SecretConfigs: map[string]*tlsv3.SdsSecretConfig{proxyAuthorization: {Name: c.Proxy.Secret, SdsConfig: ads()}},
		})}
	}
	return &listenerv3.Listener{
		Name:              tunnelName(c),
		ListenerSpecifier: &listenerv3.Listener_InternalListener{InternalListener: &listenerv3.Listener_InternalListenerConfig{}},
		// The connections are Envoy's own, not those of clients.
		IgnoreGlobalConnLimit:         true,
		PerConnectionBufferLimitBytes: number(readBuffer),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: "envoy.filters.network.tcp_proxy",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: b.pack(&tcpv3.TcpProxy{
				StatPrefix:       "tunnel",
				ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: proxyName(c.Proxy)},
				TunnelingConfig:  config,
				IdleTimeout:      duration(0), // the provider's cluster has one
				AccessLog:        b.refusedTunnels(c),
			})},
		}}}},
	}
}

// refusedTunnels makes Envoy write a warning, as a line of its own log, for each tunnel that
// was not opened: the log of the attempt only says that its connection failed. The reason is
// tunnel_response with the proxy's status, or why there is no connection to the proxy.
func (b *builder) refusedTunnels(c *policy.Cluster) []*accesslogv3.AccessLog {
	return []*accesslogv3.AccessLog{{
		Name:   "envoy.access_loggers.stderr",
		Filter: flags("UF", "UH", "UO", "NC"),
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.pack(&streamv3.StderrAccessLog{
			AccessLogFormat: &streamv3.StderrAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
				Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: inline(
					"[warning][proxy] " + literal("the proxy "+c.Proxy.Address()+" opened no tunnel to "+target(c)) + ": %UPSTREAM_TRANSPORT_FAILURE_REASON%\n",
				)},
			}},
		})},
	}}
}

// proxyClusters returns the clusters that lead to a proxy.
func (b *builder) proxyClusters(p *policy.HTTPSProxy) []*clusterv3.Cluster {
	out := &clusterv3.Cluster{
		Name:                          proxyName(p),
		ConnectTimeout:                duration(connectTimeout),
		PerConnectionBufferLimitBytes: number(readBuffer),
		CircuitBreakers:               b.breakers(),
		UpstreamConnectionOptions:     keepalive(),
		UpstreamBindConfig:            userTimeout(),
	}
	if p.TLS != nil {
		out.TransportSocket = b.tlsSocket(p.TLS)
	}
	b.protocol(out, http1())
	return append(b.resolve(out, &policy.Cluster{DialHost: p.Host, DialPort: p.Port}), out)
}

func target(c *policy.Cluster) string { return net.JoinHostPort(c.DialHost, strconv.Itoa(c.DialPort)) }

func tunnelName(c *policy.Cluster) string {
	return "weir/tunnel/" + target(c) + "/" + proxyHash(c.Proxy)
}

// proxyName returns the name of the cluster that leads to a proxy.
func proxyName(p *policy.HTTPSProxy) string {
	without := *p
	without.Secret = ""
	return "weir/proxy/" + p.Address() + "/" + proxyHash(&without)
}

func proxyHash(p *policy.HTTPSProxy) string {
	b, err := json.Marshal(p)
	if err != nil { // plain structs always marshal
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
