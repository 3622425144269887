package extproc

import (
	"mime"
	"net"
	"strconv"
	"strings"

	"weir/extproc/wire"
	"weir/policy"
)

// request is what the headers say.
type request struct {
	policy.Route
	credential string
	key        *policy.AccessKey
	boundary   string
	id         string
	clientIP   string
	// anthropic is set when the client speaks Anthropic's dialect of
	// GET /v1/models.
	anthropic bool
}

// readHeaders checks everything about a request that its headers tell. The
// Route's Format is right even with an error.
func readHeaders(current *policy.Policy, in *wire.Request) (request, error) {
	var method, path, contentType, encoding, length string
	var credentials [3]string
	req := request{}
	for _, h := range in.Headers {
		switch h.Key {
		case ":method":
			method = h.Value
		case ":path":
			path = h.Value
		case "content-type":
			contentType = h.Value
		case "content-encoding":
			encoding = h.Value
		case "content-length":
			length = h.Value
		case "x-request-id":
			req.id = h.Value
		case "anthropic-version":
			req.anthropic = true
		default:
			for i, name := range policy.ClientCredentials {
				if h.Key == name && credentials[i] == "" {
					credentials[i] = credential(name, h.Value)
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
	if req.Route, err = policy.FindRoute(method, path); err != nil {
		return req, err
	}
	if req.Models && req.anthropic {
		req.Format = policy.Anthropic
	}
	if req.key, err = current.Authenticate(req.credential); err != nil {
		return req, err
	}
	if req.Models {
		return req, nil
	}
	if !policy.Plain(encoding) {
		return req, policy.Errorf(policy.UnsupportedEncoding, "the request body is encoded as %.32q: send it without Content-Encoding", encoding)
	}
	if req.boundary, err = bodyType(req.Endpoint, contentType); err != nil {
		return req, err
	}
	if n, err := strconv.ParseUint(length, 10, 63); err == nil && n > uint64(current.MaxBodyBytes) {
		return req, tooLarge(current)
	}
	if in.EndOfStream {
		return req, policy.Errorf(policy.InvalidBody, "the request has no body: %s takes one that names a model", req.Endpoint.Path)
	}
	return req, nil
}

// credential takes the key out of a header: Authorization carries it after the
// word Bearer (RFC 6750 2.1), the others are the key.
func credential(header, value string) string {
	if header != "authorization" {
		return value
	}
	scheme, token, ok := strings.Cut(value, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// bodyType checks Content-Type and gives a multipart body's boundary. A JSON
// body may come without one, as several clients send it.
func bodyType(e *policy.Endpoint, contentType string) (string, error) {
	if !e.Multipart && (contentType == "" || contentType == "application/json") {
		return "", nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	switch {
	case charset != "" && !strings.EqualFold(charset, "utf-8"):
		// A provider that decodes by it could read another model than Weir.
		return "", policy.Errorf(policy.InvalidBody, "the request body must be UTF-8, not charset %.32q", charset)
	case err == nil && !e.Multipart && media == "application/json":
		return "", nil
	case err == nil && e.Multipart && media == "multipart/form-data":
		return params["boundary"], nil
	case e.Multipart:
		return "", policy.Errorf(policy.InvalidBody, "%s takes multipart/form-data, not Content-Type %.64q", e.Path, contentType)
	}
	return "", policy.Errorf(policy.InvalidBody, "%s takes JSON: send Content-Type: application/json, not %.64q", e.Path, contentType)
}

// clientIP takes the port off Envoy's attribute source.address.
func clientIP(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
