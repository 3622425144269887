package policy

import (
	"cmp"
	"strconv"
	"strings"

	"weir/identity"
	"weir/llm"
	"weir/llm/body"
	"weir/metadata"
	"weir/policy/config"
	"weir/policy/header"
)

// Arrival collects what the headers of a request say. The zero value has none: give
// it each header as Envoy shows it, in order, and then call Policy.Admit.
//
//	var a policy.Arrival
//	for _, h := range headers {
//		a.Header(h.Name, h.Value)
//	}
//	admission, err := current.Admit(&a, endOfStream, authenticate)
type Arrival struct {
	method, path, authority, origin string
	contentType, encoding, length   string
	hops, id, provider              string
	given, sent                     string // the client's ids of the request
	anthropic                       bool   // the client is one of Anthropic's API
	credentials                     llm.Credentials
	count, size                     int // of the client's own headers
}

// Header takes a header, by its name in lower case.
func (a *Arrival) Header(name, value string) {
	if name != "" && !header.IsAdded(name) {
		a.size += len(name) + len(value)
		if name[0] != ':' {
			a.count++
		}
	}
	switch name {
	case ":method":
		a.method = value
	case ":path":
		a.path = value
	case ":authority":
		a.authority = value
	case "origin":
		a.origin = value
	case "content-type":
		a.contentType = value
	case "content-encoding":
		a.encoding = strings.TrimPrefix(a.encoding+","+value, ",")
	case "content-length":
		a.length = value
	case metadata.HopHeader:
		a.hops = strings.TrimPrefix(a.hops+","+value, ",")
	case "x-request-id":
		a.id = value
	case metadata.ProviderHeader:
		a.provider = value
	case metadata.ClientIDHeader:
		a.given = value
	case metadata.SentIDHeader:
		a.sent = value
	case llm.VersionHeader:
		a.anthropic = true
	default:
		a.credentials.Set(name, value)
	}
}

// Admission is what is known of a request before its body is read.
type Admission struct {
	llm.Route
	// ID is Envoy's id of the request.
	ID string
	// ClientID is the client's own id of the request; empty if it sent none that may be
	// logged. Target is its path, without the query, as it may be logged.
	ClientID, Target string
	// SentID and SentType are what to send as metadata.SentIDHeader and Content-Type;
	// empty: what the client sent.
	SentID, SentType string
	// Key is the client's access key, or nil if none is needed.
	Key *identity.Key
	// Presented are the credentials that the client sent.
	Presented Presented
	// Boundary is that of a form.
	Boundary string
	// Provider is the one that the client named, outside of any model's name.
	Provider string
	// Length is the declared length of the body, or -1.
	Length int64
	// Hops is the value of metadata.HopHeader to send on.
	Hops string
}

// Admit checks everything about a request that its headers say. Both the gateway and
// Explain call it, so they refuse the same requests with the same words, whichever of
// several reasons there are. noBody reports that nothing follows the headers.
// authenticate returns the access key of a credential, or nil where none is needed:
// see Policy.Authenticate. The Route's Format and Operation are right even with an error.
func (p *Policy) Admit(a *Arrival, noBody bool, authenticate func(credential string) (*identity.Key, error)) (Admission, error) {
	out := Admission{ID: a.id, Length: -1, Provider: a.provider}
	credential := a.credentials.First()
	for _, c := range a.credentials {
		out.Presented.Add(c, false)
	}
	a.identify(&out)
	var err error
	out.Route, err = llm.FindRoute(a.method, a.path)
	if out.Endpoint == nil && (a.anthropic || err != nil && a.credentials.Anthropic(a.path)) {
		out.Format = llm.Anthropic
	}
	if err != nil {
		return out, err
	}
	if out.Endpoint != nil {
		out.Endpoint = out.Endpoint.In(a.contentType, a.anthropic)
		out.Format = out.Endpoint.Format
	}
	if err = p.admitHeaders(a.count, a.size); err != nil {
		return out, err
	}
	if out.Presence {
		return out, nil
	}
	if out.Hops, err = p.Hop(a.hops); err != nil {
		return out, err
	}
	if err = p.AdmitPage(a.authority, a.origin); err != nil {
		return out, err
	}
	if out.Key, err = authenticate(credential); err != nil {
		return out, err
	}
	out.Presented.Add(credential, out.Key != nil)
	if out.Models {
		return out, nil
	}
	may, must := out.Endpoint.TakesBody()
	if may && (must || !noBody) {
		if out.Boundary, err = out.Endpoint.BodyType(a.contentType, a.encoding); err != nil {
			return out, err
		}
	}
	out.SentType = out.Endpoint.SentType(a.contentType)
	if n, err := strconv.ParseUint(a.length, 10, 63); err == nil {
		if err := p.bodySize(n); err != nil {
			return out, err
		}
		out.Length = int64(n)
	}
	switch {
	case noBody && !must:
		out.Length = 0
	case noBody && out.Endpoint.Stored:
		return out, llm.Errorf(llm.InvalidBody, "the request has no body: %s takes a form", out.Endpoint.Path)
	case noBody:
		return out, llm.Errorf(llm.InvalidBody, "the request has no body: %s takes one that names a model", out.Endpoint.Path)
	case !may && out.Length > 0:
		return out, unwantedBody(out.Endpoint)
	}
	return out, nil
}

func unwantedBody(e *llm.Endpoint) error {
	return llm.Errorf(llm.InvalidBody, "%s %s takes no body", e.Method, e.Path)
}

// maxTarget bounds the path in the log.
const maxTarget = 256

// identify sets what the log says of a request that may be refused: its path, and the
// client's own id of it.
func (a *Arrival) identify(out *Admission) {
	out.Target, _, _ = strings.Cut(a.path, "?")
	out.Target = out.Presented.Scrub(out.Target)
	out.Target = strings.ToValidUTF8(out.Target[:min(len(out.Target), maxTarget)], "")
	if out.Presented.In(out.Target) {
		out.Target = config.Redacted
	}
	valid := func(id string) bool { return header.IsRequestID(id) && !out.Presented.In(id) }
	if valid(a.given) {
		out.ClientID = a.given
		if a.sent == "" {
			out.SentID = a.given
		}
	} else if valid(a.sent) {
		out.ClientID = a.sent
	}
}

// ReadBody reads the body of an admitted request into out. Of a body that it
// refuses, out has nothing.
func (p *Policy) ReadBody(a *Admission, b []byte, out *body.Body) error {
	if err := p.bodySize(uint64(len(b))); err != nil {
		out.Reset()
		return err
	}
	may, must := a.Endpoint.TakesBody()
	switch {
	case len(b) == 0 && !must:
		out.Reset()
		return nil
	case !may:
		out.Reset()
		return unwantedBody(a.Endpoint)
	}
	read := body.ReadJSON
	if a.Endpoint.Multipart {
		read = func(b []byte, out *body.Body) error { return body.ReadMultipart(b, a.Boundary, out) }
	}
	if err := read(b, out); err != nil {
		return err
	}
	if !a.Endpoint.Stored || !out.HasModel && !out.HasModels {
		return out.DefaultModel(a.Deployment)
	}
	out.Reset()
	return llm.Errorf(llm.InvalidBody, "%s %s takes no model", a.Endpoint.Method, a.Endpoint.Path)
}

// bodySize refuses a body that is larger than this gateway takes.
func (p *Policy) bodySize(bytes uint64) error {
	if bytes > uint64(p.MaxBodyBytes) {
		return llm.Errorf(llm.RequestTooLarge, "the request body is larger than %d bytes", p.MaxBodyBytes)
	}
	return nil
}

// Admitted makes r the request that was admitted. Its body, time and headers, and the
// client's address, are the caller's to set.
func (r *Request) Admitted(a *Admission) {
	r.Endpoint, r.Query, r.Key, r.Presented = a.Endpoint, a.Query, a.Key, a.Presented
	r.Method, r.Path, r.ID, r.Hops, r.Provider = cmp.Or(a.Endpoint.Method, "POST"), a.Path, a.ID, a.Hops, a.Provider
	r.SentType, r.SentID = a.SentType, a.SentID
}
