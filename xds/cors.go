package xds

import (
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"weir/llm"
	"weir/metadata"
)

// corsFilter is the name by which the virtual host configures the filter that answers
// preflight requests. It is the first filter: a preflight has no key, and the responses that
// any other filter makes need its headers, too.
const corsFilter = "weir.cors"

// corsMethods are the methods of the APIs.
const corsMethods = "GET, HEAD, POST, DELETE"

// corsHeaders are the request headers that pages may send: all, and by name those that `*`
// does not stand for (Authorization, https://fetch.spec.whatwg.org/#cors-non-wildcard-request-header-name)
// or for which an old browser does not know it to stand.
func corsHeaders() string {
	return strings.Join(append(llm.RequestHeaders(), metadata.ProviderHeader, "*"), ", ")
}

// corsExposed are the response headers that pages may read: all, which `*` stands for where
// a request has no cookies, and by name those of the gateway and those that SDKs read.
func corsExposed() string {
	own := []string{metadata.RequestIDHeader, metadata.AttemptsHeader, metadata.ProviderHeader, metadata.ModelHeader, metadata.RejectedHeader}
	return strings.Join(append(append(own, llm.ResponseHeaders()...), "*"), ", ")
}

// corsPolicy returns which pages may send requests. Requests with cookies are not allowed,
// because the gateway reads none.
func (b *builder) corsPolicy() *corsv3.CorsPolicy {
	c := b.policy.CORS
	out := &corsv3.CorsPolicy{
		AllowMethods: corsMethods, AllowHeaders: corsHeaders(), ExposeHeaders: corsExposed(),
		MaxAge: strconv.Itoa(int(c.MaxAge.Seconds())),
	}
	// Chrome asks before a public page reaches an address of a private network
	// (https://wicg.github.io/private-network-access). The gateway's is one to pages that the
	// configuration names.
	out.AllowPrivateNetworkAccess = boolean(!c.Any)
	if c.Any {
		out.AllowOriginStringMatch = []*matcherv3.StringMatcher{matching(".+")}
		return out
	}
	for _, o := range c.Origins {
		match := exactly(o.Exact)
		if o.Pattern != "" {
			match = matching(o.Pattern)
		}
		out.AllowOriginStringMatch = append(out.AllowOriginStringMatch, match)
	}
	return out
}

// varyOrigin tells caches that a response depends on the origin of the page.
func varyOrigin() *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: "vary", Value: "Origin"}}
}
