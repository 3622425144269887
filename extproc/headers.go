package extproc

import (
	"net"

	"weir/extproc/wire"
	"weir/identity"
	"weir/policy"
)

// request is what is known of a client's request before its body.
type request struct {
	policy.Admission
	clientIP string
	// multiplexed is set if the client's connection is HTTP/2.
	multiplexed bool
}

// readHeaders admits a request by its headers, or refuses it.
func readHeaders(current *policy.Policy, keys *identity.Index, in *wire.Request) (request, error) {
	var arrival policy.Arrival
	for i := range in.Headers {
		arrival.Header(in.Headers[i].Key, in.Headers[i].Value)
	}
	admission, err := current.Admit(&arrival, in.EndOfStream, func(credential string) (*identity.Key, error) {
		return current.Authenticate(keys, credential)
	})
	return request{Admission: admission}, err
}

// clientIP returns Envoy's attribute source.address without the port.
func clientIP(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
