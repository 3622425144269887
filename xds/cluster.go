package xds

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	credentialv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/credential_injector/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	codecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	genericv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"weir/metadata"
	"weir/policy"
	"weir/policy/config"
	"weir/policy/header"
)

const (
	connectTimeout = 5 * time.Second
	// readBuffer is how much is read of a response at a time. A compressed chunk may
	// be a thousand times larger when it is decompressed, which happens at once: with
	// Envoy's default of 1 MiB, a response of 1 MB made Envoy take 2 GB.
	readBuffer = 32 << 10
)

// clusters builds the Envoy clusters of a policy's cluster. One of them has its name
// and its filters. If its host has to be looked up, the host is a separate cluster
// behind that one: see lookedUp.
func (b *builder) clusters(c *policy.Cluster) []*clusterv3.Cluster {
	out := &clusterv3.Cluster{
		Name: c.Name,
		// An attempt's own timeout begins with its connection.
		ConnectTimeout:                duration(min(connectTimeout, cmp.Or(c.Timeout, b.policy.PerRequestTimeout))),
		PerConnectionBufferLimitBytes: number(readBuffer),
		Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			metadata.ClusterMetadata: {Fields: map[string]*structpb.Value{metadata.ProviderField: structpb.NewStringValue(c.Provider)}},
		}},
		CircuitBreakers:           b.breakers(),
		UpstreamConnectionOptions: keepalive(),
		UpstreamBindConfig:        userTimeout(),
	}
	if c.TLS != nil {
		out.TransportSocket = b.tlsSocket(c.TLS)
	}
	b.protocol(out, b.upstreamProtocol(c))
	behind := b.resolve(out, c)
	options := b.upstreamProtocol(c)
	if behind != nil { // the cluster behind has the connections
		options = http1()
		if c.Timeout != 0 { // Envoy reads the timer of an attempt from the cluster in front
			options.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{MaxStreamDuration: duration(c.Timeout)}
		}
	}
	options.HttpFilters = b.upstreamFilters(c)
	b.protocol(out, options)
	return append(behind, out)
}

// tlsSocket returns the transport socket of connections with TLS.
func (b *builder) tlsSocket(t *policy.ClusterTLS) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: b.pack(b.tls(t))},
	}
}

// resolve configures how Envoy finds the cluster's hosts, and returns the additional
// clusters that this needs.
func (b *builder) resolve(out *clusterv3.Cluster, c *policy.Cluster) []*clusterv3.Cluster {
	_, err := netip.ParseAddr(c.DialHost)
	switch {
	case c.Proxy != nil:
		b.tunneled(out, c)
	case err == nil:
		fixed(out, endpoint(c.DialHost, c.DialPort))
	case c.DialHost == "localhost":
		// Servers on a developer's machine listen on one family or the other:
		// one endpoint with both addresses tries them in turn.
		both := endpoint("127.0.0.1", c.DialPort)
		both.AdditionalAddresses = []*endpointv3.Endpoint_AdditionalAddress{{Address: address("::1", c.DialPort)}}
		fixed(out, both)
	default:
		return []*clusterv3.Cluster{b.lookedUp(out, c)}
	}
	return nil
}

// fixed gives a cluster its only host.
func fixed(out *clusterv3.Cluster, host *endpointv3.Endpoint) {
	out.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
	out.LoadAssignment = assignment(out.Name, host)
}

func assignment(cluster string, hosts ...*endpointv3.Endpoint) *endpointv3.ClusterLoadAssignment {
	locality := &endpointv3.LocalityLbEndpoints{}
	for _, h := range hosts {
		locality.LbEndpoints = append(locality.LbEndpoints, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: h}})
	}
	return &endpointv3.ClusterLoadAssignment{ClusterName: cluster, Endpoints: []*endpointv3.LocalityLbEndpoints{locality}}
}

func endpoint(host string, port int) *endpointv3.Endpoint {
	return &endpointv3.Endpoint{Address: address(host, port)}
}

// tls builds the TLS context for a provider. SNI and the name to verify are the
// cluster's own: Envoy opens the connection before the attempt's :authority is known.
func (b *builder) tls(t *policy.ClusterTLS) *tlsv3.UpstreamTlsContext {
	common := &tlsv3.CommonTlsContext{}
	if t.Certificate != "" {
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{{Name: t.Certificate, SdsConfig: ads()}}
	}
	out := &tlsv3.UpstreamTlsContext{CommonTlsContext: common}
	san := &tlsv3.SubjectAltNameMatcher{SanType: tlsv3.SubjectAltNameMatcher_DNS, Matcher: exactly(t.ServerName)}
	if _, err := netip.ParseAddr(t.ServerName); err == nil {
		san.SanType = tlsv3.SubjectAltNameMatcher_IP_ADDRESS
	} else {
		out.Sni = t.ServerName
	}
	if t.InsecureSkipVerify {
		return out
	}
	validation := &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{san}}
	if t.CA != "" {
		validation.TrustedCa = inline(t.CA)
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: validation}
		return out
	}
	// Envoy does not know the system's roots: Weir's are sent to it once, as a secret
	// that every cluster refers to.
	common.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{
		CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         validation,
			ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: rootsSecret, SdsConfig: ads()},
		},
	}
	return out
}

func inline(s string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}
}

// headersFilter is the name by which routes configure the filter of a cluster that
// removes and sets headers.
const headersFilter = "weir.headers"

// upstreamFilters run for every attempt on this cluster. The order matters: first the
// decision for a later attempt (it reads the attempt count), then the removal of every
// header that another attempt or the client could have set, then this cluster's own
// headers.
func (b *builder) upstreamFilters(c *policy.Cluster) []*hcmv3.HttpFilter {
	// No API has request trailers, and a credential in one is a credential.
	mutations := &headerv3.Mutations{
		RequestTrailersMutations: []*mutationv3.HeaderMutation{removeAll()},
		ResponseMutations:        b.responseMutations(c),
	}
	_, prefixes := header.Stripped()
	mutations.RequestMutations = removeNames(slices.Concat(c.Strip, prefixes))
	for _, h := range b.policy.OverwrittenHeaders() {
		// For a provider that compresses although it was asked not to: see
		// decompressor.
		mutations.RequestMutations = append(mutations.RequestMutations, &mutationv3.HeaderMutation{
			Action: &mutationv3.HeaderMutation_Append{Append: &corev3.HeaderValueOption{
				Header:       &corev3.HeaderValue{Key: h.Name, Value: h.Value},
				AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS,
			}},
		})
	}
	for _, h := range c.Set {
		if h.Secret != "" {
			continue
		}
		value := literal(h.Value)
		if h.Field != "" {
			value = "%DYNAMIC_METADATA(" + metadata.PlanNamespace + ":" + h.Field + ")%"
		}
		mutations.RequestMutations = append(mutations.RequestMutations, &mutationv3.HeaderMutation{
			Action: &mutationv3.HeaderMutation_Append{Append: setHeader(h.Name, value)},
		})
	}
	if b.retry == nil {
		b.retry = b.httpFilter("weir.retry", b.onRetry(b.retryProcessor()))
		b.gate = b.httpFilter("weir.gate", b.marked(metadata.GateHeader, b.gateProcessor()))
	}
	filters := []*hcmv3.HttpFilter{b.retry}
	if !c.Connections.HTTP2 {
		// A response over HTTP/2 may end in trailers. If it is complete while it is
		// held, and larger than what the client's connection takes at once, Envoy
		// 1.40 tells the provider's stream to pause. That stream is gone, and Envoy
		// crashes.
		filters = append(filters, b.gate)
	}
	filters = append(filters, b.httpFilter(headersFilter, &headerv3.HeaderMutation{Mutations: mutations}))
	for _, h := range c.Set {
		if h.Secret != "" {
			filters = append(filters, b.httpFilter("weir.credential."+h.Name, &credentialv3.CredentialInjector{
				Overwrite: true,
				Credential: b.extension("envoy.http.injected_credentials.generic", &genericv3.Generic{
					Header: h.Name, HeaderValuePrefix: h.Prefix,
					Credential: &tlsv3.SdsSecretConfig{Name: h.Secret, SdsConfig: ads()},
				}),
			}))
		}
	}
	return append(filters, b.httpFilter("envoy.filters.http.upstream_codec", &codecv3.UpstreamCodec{}))
}

// literal escapes a value for Envoy's format strings.
func literal(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// noPlan is the cluster for requests without a plan.
func (b *builder) noPlan() *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 noPlanCluster,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       duration(connectTimeout),
		LoadAssignment:       &endpointv3.ClusterLoadAssignment{ClusterName: noPlanCluster},
	}
}

// refusing is the cluster that refuses every connection: nothing listens on port 0.
func refusing() *clusterv3.Cluster {
	out := &clusterv3.Cluster{Name: refusingCluster, ConnectTimeout: duration(connectTimeout)}
	fixed(out, endpoint("127.0.0.1", 0))
	return out
}

func genericSecret(name string, value config.Secret) *tlsv3.Secret {
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_GenericSecret{
		GenericSecret: &tlsv3.GenericSecret{Secret: inline(value.Reveal())},
	}}
}

func certificateSecret(name string, cert policy.Certificate) *tlsv3.Secret {
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: inline(cert.Chain),
		PrivateKey:       inline(cert.Key.Reveal()),
	}}}
}

// rootsSecret is the name of the system's roots.
const rootsSecret = "weir/system-roots"

// authorities is a secret of trusted certificates.
func authorities(name, pem string) *tlsv3.Secret {
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(pem)},
	}}
}
