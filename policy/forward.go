package policy

import (
	"slices"
	"strings"

	"weir/llm"
	"weir/llm/body"
	"weir/metadata"
	"weir/policy/config"
	"weir/policy/header"
)

// forward lists what passes to a provider in addition to the defaults.
type forward struct{ headers, query, body *body.NameSet }

// queryParams pass to every provider, where the base URL and the configuration do not set
// them; storedParams also do with operations on what a provider stores.
var (
	queryParams  = body.NamesOf(llm.QueryParams())
	storedParams = body.NamesOf(llm.StoredQueryParams())
)

// heldBack are query parameters that never pass: some servers (Rails, Google's APIs, OData)
// use them as the method or as headers of the request. Names are folded.
var heldBack = map[string]bool{
	"method": true, "httpmethod": true, "xhttpmethod": true, "httpmethodoverride": true, "xhttpmethodoverride": true,
	"methodoverride": true, "xmethodoverride": true, "httpheaders": true,
}

var foldParam = strings.NewReplacer("-", "", "_", "", ".", "", "$", "", " ", "")

// takes reports whether a client's query parameter passes. The name is decoded
// and in lower case.
func (f *forward) takes(name string, stored bool) bool {
	stem, _, _ := strings.Cut(name, "[") // PHP and Rails read name[] as name
	if heldBack[foldParam.Replace(stem)] || config.IsQueryCredential(foldParam.Replace(stem)) {
		return false
	}
	return queryParams.Has(name) || stored && storedParams.Has(name) || f.query.Has(name)
}

// clientQuery returns the part of a client's query that passes to a provider, in the
// client's own bytes.
func (f *forward) clientQuery(req *Request) string {
	if req.Query == "" {
		return ""
	}
	var kept []string
	for raw := range strings.SplitSeq(req.Query, "&") {
		if name, ok := config.ParamName(raw); ok && name != "" && f.takes(name, req.Endpoint.Stored) && !req.Presented.In(raw) {
			kept = append(kept, raw)
		}
	}
	return strings.Join(kept, "&")
}

// mixedHeader is a client's header that some attempts of a plan may have and
// others may not.
type mixedHeader struct {
	name, value string
	may         uint16 // a bit for each attempt
}

// Header decides what happens to one of the client's headers, by its name in
// lower case. It is called for each of them, in their order, before the plan is
// encoded.
func (p *Policy) Header(plan *Plan, own *Presented, name, value string) {
	rule, has := header.RuleOf(name), own.In(value) || own.In(name) || name == metadata.SentIDHeader && !header.IsRequestID(value)
	if rule.Passes == header.Always && !has {
		return
	}
	if rule.Passes == header.Replaced || rule.Passes == header.Never || p.strip[name] {
		return // not the client's any more, or a cluster's filters remove it
	}
	all := uint16(1)<<len(plan.Attempts) - 1
	may := uint16(0)
	for i := range plan.Attempts {
		if f := plan.Attempts[i].Cluster.forward; !has && f != nil && f.headers.Has(name) {
			may |= 1 << i
		}
	}
	if may&1 == 0 && !slices.Contains(plan.Withheld, name) {
		plan.Withheld = append(plan.Withheld, name)
	}
	if may != 0 && may != all || plan.isMixed(name) {
		plan.mixed = append(plan.mixed, mixedHeader{name, value, may})
	}
}

// isMixed reports whether a header of this name is for some attempts only.
func (p *Plan) isMixed(name string) bool {
	return slices.ContainsFunc(p.mixed, func(h mixedHeader) bool { return h.name == name })
}

// changes lists what attempt i does to the headers that are for some attempts
// only. Envoy has one header map for all attempts.
func (p *Plan) changes(i int) []metadata.HeaderChange {
	var out []metadata.HeaderChange
	for _, h := range p.mixed {
		at := slices.IndexFunc(out, func(c metadata.HeaderChange) bool { return c.Name == h.name })
		if at < 0 {
			at = len(out)
			out = append(out, metadata.HeaderChange{Name: h.name})
		}
		switch {
		case h.may>>i&1 == 0:
		case out[at].Value == "":
			out[at].Value = h.value
		default:
			out[at].Value += ", " + h.value
		}
	}
	return out
}

// FixedHeader is a header with the value that the gateway gives it.
type FixedHeader struct{ Name, Value string }

// OverwrittenHeaders lists the headers whose value the filters of every cluster
// replace where the client sent one.
func (p *Policy) OverwrittenHeaders() []FixedHeader {
	if !p.wantsPlainResponses() {
		return nil
	}
	return []FixedHeader{{"accept-encoding", "identity"}}
}
