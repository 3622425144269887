package extproc

import (
	"net"
	"strconv"
	"strings"

	"weir/extproc/wire"
	"weir/identity"
	"weir/llm"
	"weir/metadata"
	"weir/policy"
)

// request is what the headers say.
type request struct {
	llm.Route
	credential  string
	credentials [3]string // every one that was sent, by ClientCredentials
	key         *identity.Key
	boundary    string
	length      int64 // of the body, as it is declared; -1 if it is not
	id          string
	clientIP    string
	// multiplexed says that the client speaks HTTP/2.
	multiplexed bool
	hops        string // the value of metadata.HopHeader to send on
	// anthropic is set when the client speaks Anthropic's dialect of
	// GET /v1/models.
	anthropic bool
}

// readHeaders checks everything about a request that its headers tell. The
// Route's Format is right even with an error.
func readHeaders(current *policy.Policy, keys *identity.Index, in *wire.Request) (request, error) {
	var method, path, authority, origin, contentType, encoding, length, hops string
	req := request{length: -1}
	credentials := &req.credentials
	count, size := 0, 0
	for _, h := range in.Headers {
		if !ofEnvoy(h.Key) {
			size += len(h.Key) + len(h.Value)
			if h.Key[0] != ':' {
				count++
			}
		}
		switch h.Key {
		case ":method":
			method = h.Value
		case ":path":
			path = h.Value
		case ":authority":
			authority = h.Value
		case "origin":
			origin = h.Value
		case "content-type":
			contentType = h.Value
		case "content-encoding":
			encoding = strings.TrimPrefix(encoding+","+h.Value, ",")
		case "content-length":
			length = h.Value
		case metadata.HopHeader:
			hops = strings.TrimPrefix(hops+","+h.Value, ",")
		case "x-request-id":
			req.id = h.Value
		case "anthropic-version":
			req.anthropic = true
		default:
			for i, name := range policy.ClientCredentials {
				if h.Key == name && credentials[i] == "" {
					credentials[i] = policy.Credential(name, h.Value)
				}
			}
		}
	}
	for _, c := range credentials {
		if req.credential == "" {
			req.credential = c
		}
	}
	var err error
	if req.Route, err = llm.FindRoute(method, path); err != nil {
		return req, err
	}
	if req.Models && req.anthropic {
		req.Format = llm.Anthropic
	}
	if err = current.AdmitHeaders(count, size); err != nil {
		return req, err
	}
	if req.hops, err = current.Hop(hops); err != nil {
		return req, err
	}
	if err = current.AdmitPage(authority, origin); err != nil {
		return req, err
	}
	if req.key, err = current.Authenticate(keys, req.credential); err != nil {
		return req, err
	}
	if req.Models {
		return req, nil
	}
	if req.boundary, err = req.Endpoint.BodyType(contentType, encoding); err != nil {
		return req, err
	}
	if n, err := strconv.ParseUint(length, 10, 63); err == nil {
		if err := current.BodySize(n); err != nil {
			return req, err
		}
		req.length = int64(n)
	}
	if in.EndOfStream {
		return req, llm.Errorf(llm.InvalidBody, "the request has no body: %s takes one that names a model", req.Endpoint.Path)
	}
	return req, nil
}

// ofEnvoy reports whether a header is one that Envoy adds to every request, or
// none at all. What clients send under these names does not get here.
func ofEnvoy(name string) bool {
	return name == "" || name == "x-request-id" || name == "x-forwarded-proto" || strings.HasPrefix(name, "x-envoy-")
}

// clientIP takes the port off Envoy's attribute source.address.
func clientIP(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
