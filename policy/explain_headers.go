package policy

import (
	"slices"
	"strconv"
	"strings"

	"weir/metadata"
	"weir/policy/config"
	"weir/policy/header"
)

// ExplainedHeader is a header of a client, its name in lower case.
type ExplainedHeader struct{ Name, Value string }

// Arriving returns the headers of a request as Envoy shows them to Weir: the
// client's without those that Envoy removes, and those that Envoy adds.
func (p *Policy) Arriving(method, target, id string, client []ExplainedHeader, bodyLength int) []ExplainedHeader {
	authority, scheme := "localhost", "http"
	if p.ListenTLS != nil {
		scheme = "https"
	}
	var oneHop []string // also what the client says is
	for _, h := range client {
		switch h.Name {
		case "host":
			authority = h.Value
		case "connection":
			for name := range strings.SplitSeq(h.Value, ",") {
				oneHop = append(oneHop, strings.ToLower(strings.TrimSpace(name)))
			}
		}
	}
	out := []ExplainedHeader{
		{":authority", authority}, {":path", target}, {":method", method}, {":scheme", scheme},
		{"content-length", strconv.Itoa(bodyLength)}, {"x-forwarded-proto", scheme}, {"x-request-id", id},
	}
	for _, h := range client {
		rule := header.RuleOf(h.Name)
		switch {
		case h.Name == "x-request-id":
			out = append(out, ExplainedHeader{metadata.ClientIDHeader, h.Value})
		case rule.OneHop, rule.Internal, rule.Hidden, slices.Contains(oneHop, h.Name):
		case h.Name == "te" && h.Value != "trailers": // as RFC 9110 10.1.4 has it
		case h.Name == "content-length": // the body's
		case strings.Contains(h.Name, "_"): // many servers read it as '-'
		default:
			out = append(out, h)
		}
	}
	return out
}

// headers lists what a provider gets beside the body, at attempt n from 0. Of what
// Envoy adds, the values are not known.
func (a *Attempt) headers(p *Policy, req *Request, plan *Plan, n int, arrived []ExplainedHeader) []string {
	out := []string{}
	overwritten := p.OverwrittenHeaders()
	for _, h := range plan.passing(n, arrived) {
		rule := header.RuleOf(h.Name)
		if rule.Passes == header.Replaced || rule.Passes == header.Never || rule.Added || h.Name == "content-length" || slices.Contains(a.Cluster.Strip, h.Name) {
			continue
		}
		if h.Name == "content-type" && req.SentType != "" {
			h.Value = req.SentType
		}
		if i := slices.IndexFunc(overwritten, func(o FixedHeader) bool { return o.Name == h.Name }); i >= 0 {
			h.Value = overwritten[i].Value
		}
		out = append(out, h.Name+": "+h.Value)
	}
	if req.SentID != "" {
		out = append(out, metadata.SentIDHeader+": "+req.SentID)
	}
	if req.Hops != "" {
		out = append(out, metadata.HopHeader+": "+req.Hops)
	}
	for _, h := range a.Cluster.Set {
		value := h.Value
		switch {
		case h.Secret != "":
			value = h.Prefix + config.Redacted
		case h.Field != "":
			if i := slices.IndexFunc(plan.Fields, func(f Field) bool { return f.Name == h.Field }); i >= 0 {
				value = plan.Fields[i].Value
			}
		}
		if value != "" { // Envoy adds no empty header
			out = append(out, h.Name+": "+value)
		}
	}
	return out
}

// passing lists the client's headers as they are before the filters of the cluster
// of attempt n.
func (p *Plan) passing(n int, arrived []ExplainedHeader) []ExplainedHeader {
	var out []ExplainedHeader
	for _, h := range arrived {
		if !slices.Contains(p.Withheld, h.Name) && (n == 0 || !p.isMixed(h.Name)) {
			out = append(out, h)
		}
	}
	if n > 0 {
		for _, c := range p.changes(n) {
			if c.Value != "" {
				out = append(out, ExplainedHeader(c))
			}
		}
	}
	return out
}
