package accesslog

import (
	"strings"

	"weir/metadata"
)

// Reasons for which no connection was made. The set is closed, because it is a label of
// metrics.
const (
	// ConnectDNS: the name of the host did not resolve.
	ConnectDNS = "dns"
	// ConnectRefused: nothing listens at the address and port.
	ConnectRefused = "refused"
	// ConnectUnreachable: there is no route to the address.
	ConnectUnreachable = "unreachable"
	// ConnectTLS: the TLS handshake failed, for example because of the certificate.
	ConnectTLS = "tls"
	// ConnectTimeout: the connection, or the TLS handshake, took too long.
	ConnectTimeout = "timeout"
	// ConnectOther: any other reason.
	ConnectOther = "other"
)

// connectReasons maps parts of Envoy's transport failure reasons to ours: texts of BoringSSL
// begin with TLS_error, and those of sockets end in the text of strerror(3).
var connectReasons = []struct{ part, reason string }{
	{"TLS_error", ConnectTLS},
	{"refused", ConnectRefused},
	{"unreachable", ConnectUnreachable},
	{"No route to host", ConnectUnreachable},
	{"Host is down", ConnectUnreachable},
	{"timed out", ConnectTimeout},
}

// connectFailure returns why no connection was made, where that is the cause. Envoy gives no
// reason for a connection that it gave up after its own timeout.
func (e *entry) connectFailure(cause string) string {
	switch {
	case cause != CauseConnectFailure:
		return ""
	case e.upstream == metadata.RefusingCluster, e.flags.has(noHealthyUpstream, dnsFailure):
		return ConnectDNS
	case e.transport == "":
		return ConnectTimeout
	}
	for _, r := range connectReasons {
		if strings.Contains(e.transport, r.part) {
			return r.reason
		}
	}
	return ConnectOther
}
