package xds

import (
	"slices"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"weir/policy"
)

// returnedHeaders configures, for all clusters, which headers of their responses do
// not pass to clients. It is set on the virtual host, whose settings override those of
// the clusters' filters, so that there is one pattern for all: a compiled pattern
// takes some 100 KB. If a provider passes other headers, all of these pass here, and
// each cluster has a pattern of its own: see responseMutations.
func (b *builder) returnedHeaders() map[string]*anypb.Any {
	names := append(policy.ReturnedHeaders(), ":*")
	for _, c := range b.policy.Clusters {
		names = append(names, c.ResponseHeaders...)
	}
	// Weir searches headers and bodies for credentials, but not trailers. So a
	// provider that passes any header still passes no trailer.
	trailers := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "*" })
	m := &headerv3.Mutations{ResponseTrailersMutations: []*mutationv3.HeaderMutation{removeMatching(noneOf(trailers))}}
	if !slices.Contains(names, "*") {
		m.ResponseMutations = []*mutationv3.HeaderMutation{removeMatching(noneOf(names))}
	}
	return map[string]*anypb.Any{headersFilter: b.pack(&headerv3.HeaderMutationPerRoute{Mutations: m})}
}

// responseMutations returns what a cluster's filters remove from a response: headers
// that only the gateway may set, such as the x-envoy-ratelimited of a provider behind
// another gateway, which would tell this Envoy not to make another attempt.
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
