package xds

import (
	"slices"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"weir/policy"
)

// returnedHeaders says for all clusters which headers of their responses do not
// pass to clients. It is in the virtual host, as the clusters' filters take
// what a route tells them, so that there is one pattern for all of them: it takes
// some 100 KB once it is compiled. Where a provider passes other headers, all of
// these pass here, and each cluster has a pattern of its own: see
// responseMutations.
func (b *builder) returnedHeaders() map[string]*anypb.Any {
	names := append(policy.ReturnedHeaders(), ":*")
	for _, c := range b.policy.Clusters {
		names = append(names, c.ResponseHeaders...)
	}
	// Weir looks for credentials in headers and bodies, and not in trailers. So what
	// lets any header pass lets no trailer pass.
	trailers := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "*" })
	m := &headerv3.Mutations{ResponseTrailersMutations: []*mutationv3.HeaderMutation{removeMatching(noneOf(trailers))}}
	if !slices.Contains(names, "*") {
		m.ResponseMutations = []*mutationv3.HeaderMutation{removeMatching(noneOf(names))}
	}
	return map[string]*anypb.Any{headersFilter: b.pack(&headerv3.HeaderMutationPerRoute{Mutations: m})}
}

// responseMutations are what a cluster's filters remove from a response: what
// only the gateway may say, such as the x-envoy-ratelimited of a provider behind
// another gateway, which would be an order to this Envoy not to make another
// attempt.
func (b *builder) responseMutations(c *policy.Cluster) []*mutationv3.HeaderMutation {
	own := func(c *policy.Cluster) bool { return len(c.ResponseHeaders) > 0 }
	switch {
	case !slices.ContainsFunc(b.policy.Clusters, own):
		return nil // returnedHeaders removes it
	case slices.Contains(c.ResponseHeaders, "*"):
		return []*mutationv3.HeaderMutation{removeMatching(anyOf(policy.NeverReturned()))}
	}
	out := []*mutationv3.HeaderMutation{removeMatching(noneOf(slices.Concat(policy.ReturnedHeaders(), c.ResponseHeaders, []string{":*"})))}
	if own(c) {
		out = append(out, removeMatching(anyOf(policy.NeverReturned())))
	}
	return out
}
