package xds

import (
	"slices"

	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"

	"weir/policy"
)

// returnedFilter is the name under which routes find the filter that removes the
// headers of responses which do not pass to clients.
const returnedFilter = "weir.returned"

// ownHeaders are those of the gateway's own responses, beside what a provider's
// may have. A cluster's filters remove them from a provider's.
var ownHeaders = []string{":*", "x-weir-*", "www-authenticate", "upgrade", "connection", "allow", "accept-encoding", "grpc-*"}

// returned removes every header that is not among those that pass. It is one
// filter for all providers and not one for each: the pattern takes some 200 KB
// once it is compiled. A provider that passes other headers has a filter of its
// own, and its responses skip this one: see skipReturned.
func (b *builder) returned() *matchingv3.ExtensionWithMatcher {
	return &matchingv3.ExtensionWithMatcher{
		ExtensionConfig: b.extension("envoy.filters.http.header_mutation", &headerv3.HeaderMutation{Mutations: &headerv3.Mutations{
			ResponseMutations:         []*mutationv3.HeaderMutation{removeMatching(noneOf(append(policy.ReturnedHeaders(), ownHeaders...)))},
			ResponseTrailersMutations: []*mutationv3.HeaderMutation{removeMatching(anyOf(policy.NeverReturned()))},
		}}),
		XdsMatcher: b.skipFor([]string{"/"}), // no provider's id
	}
}

// skipReturned says, for a route, which providers' responses have been filtered.
// It is nil where there is none.
func (b *builder) skipReturned() map[string]*anypb.Any {
	var ids []string
	for _, c := range b.policy.Clusters {
		if len(c.ResponseHeaders) > 0 && !slices.Contains(ids, c.Provider) {
			ids = append(ids, c.Provider)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return map[string]*anypb.Any{returnedFilter: b.pack(&matchingv3.ExtensionWithMatcherPerRoute{XdsMatcher: b.skipFor(ids)})}
}

// skipFor skips a filter for the responses of some providers.
func (b *builder) skipFor(providers []string) *xdsmatcherv3.Matcher {
	skip := map[string]*xdsmatcherv3.Matcher_OnMatch{}
	for _, id := range providers {
		skip[id] = b.skip()
	}
	return &xdsmatcherv3.Matcher{MatcherType: &xdsmatcherv3.Matcher_MatcherTree_{MatcherTree: &xdsmatcherv3.Matcher_MatcherTree{
		Input:    &xdscorev3.TypedExtensionConfig{Name: "provider", TypedConfig: b.pack(&matcherv3.HttpResponseHeaderMatchInput{HeaderName: policy.ProviderHeader})},
		TreeType: &xdsmatcherv3.Matcher_MatcherTree_ExactMatchMap{ExactMatchMap: &xdsmatcherv3.Matcher_MatcherTree_MatchMap{Map: skip}},
	}}}
}

// responseMutations are what a cluster's filters remove from a response: what
// only the gateway may say, such as the x-envoy-ratelimited of a provider behind
// another gateway, which would be an order to this Envoy not to make another
// attempt.
func responseMutations(c *policy.Cluster) []*mutationv3.HeaderMutation {
	if len(c.ResponseHeaders) == 0 {
		return []*mutationv3.HeaderMutation{removePrefix("x-envoy-"), removePrefix("x-weir-"), removePrefix("grpc-"), removeHeader("www-authenticate"), removeHeader("upgrade")}
	}
	out := []*mutationv3.HeaderMutation{removeMatching(anyOf(policy.NeverReturned()))}
	if !slices.Contains(c.ResponseHeaders, "*") {
		out = append(out, removeMatching(noneOf(slices.Concat(policy.ReturnedHeaders(), c.ResponseHeaders, []string{":*"}))))
	}
	return out
}
