package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"weir/policy"
)

// The secrets of the listener for clients. Their names are fixed: a new certificate is
// a new value of the secret, which Envoy uses for the next connection. The listener
// and its connections do not change.
const (
	clientsCertificate = "weir/listen"
	clientsCA          = "weir/listen-client-ca"
)

// listenSecrets returns the secrets that the listener's TLS context refers to.
func listenSecrets(t *policy.ListenTLS) []*tlsv3.Secret {
	if t == nil {
		return nil
	}
	out := []*tlsv3.Secret{certificateSecret(clientsCertificate, t.Certificate)}
	if t.ClientCA != "" {
		out = append(out, authorities(clientsCA, t.ClientCA))
	}
	return out
}

// listenTLS returns the transport socket of the listener; nil means plain TCP.
func (b *builder) listenTLS() *corev3.TransportSocket {
	t := b.policy.ListenTLS
	if t == nil {
		return nil
	}
	common := &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2},
		// Clients that speak both get HTTP/1.1: only there can a response be held,
		// which failover after a failure with status 200 needs.
		AlpnProtocols:                  []string{"http/1.1", "h2"},
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: clientsCertificate, SdsConfig: ads()}},
	}
	if t.ClientCA != "" {
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
			ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: clientsCA, SdsConfig: ads()},
		}
	}
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: b.pack(&tlsv3.DownstreamTlsContext{
			CommonTlsContext:         common,
			RequireClientCertificate: boolean(t.ClientCA != ""),
		})},
	}
}
