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
	// multiplexed says that the client speaks HTTP/2.
	multiplexed bool
}

// readHeaders checks everything about a request that its headers say.
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

// clientIP takes the port off Envoy's attribute source.address.
func clientIP(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
