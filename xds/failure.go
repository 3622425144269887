package xds

import (
	"regexp"
	"slices"
	"strings"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"

	"weir/metadata"
)

// failureStatus matches the statuses of responses that Weir searches for the
// provider's credentials.
const failureStatus = "[45].*"

// unchecked is the status of a failure that Weir could not search, until the local
// reply sets the final one. A 503 would look like a request that was never sent: by
// then the filters have removed its attempt count.
const unchecked = typev3.StatusCode_NetworkAuthenticationRequired

// failureProcessor shows Weir the failures of a provider, because many repeat the
// credential that they refuse. Envoy cannot search for the value of a secret.
func (b *builder) failureProcessor() *extprocv3.ExternalProcessor {
	return &extprocv3.ExternalProcessor{
		GrpcService:        b.weir(),
		MessageTimeout:     duration(decisionTimeout),
		StatusOnError:      &typev3.HttpStatus{Code: unchecked},
		ProcessingMode:     responseMode(extprocv3.ProcessingMode_SKIP),
		ResponseAttributes: []string{"xds.cluster_name"},
		MutationRules:      freeRouting(),
		MetadataOptions: &extprocv3.MetadataOptions{
			ForwardingNamespaces: namespaces(metadata.PlanNamespace),
			ReceivingNamespaces:  namespaces(metadata.PlanNamespace),
		},
	}
}

// onFailure adds a filter for failures of providers, and for all responses of
// providers whose configuration lets any header pass. The gateway's own responses have
// no provider.
//
// The filter must be in the listener's chain: a filter of a cluster may be told to
// pause a provider whose response is already complete, which crashes Envoy 1.40.
func (b *builder) onFailure(filter *extprocv3.ExternalProcessor) *matchingv3.ExtensionWithMatcher {
	shown := b.responseMatches("status", &matcherv3.HttpResponseStatusCodeMatchInput{}, failureStatus)
	var unfiltered []string
	for _, c := range b.policy.Clusters {
		if id := regexp.QuoteMeta(c.Provider); slices.Contains(c.ResponseHeaders, "*") && !slices.Contains(unfiltered, id) {
			unfiltered = append(unfiltered, id)
		}
	}
	provider := &matcherv3.HttpResponseHeaderMatchInput{HeaderName: metadata.ProviderHeader}
	if len(unfiltered) > 0 {
		shown = anyPredicate(shown, b.responseMatches("provider", provider, strings.Join(unfiltered, "|")))
	}
	shown = allPredicates(shown, b.responseMatches("provider", provider, ".+"))
	return b.putIn(shown, filter)
}

type predicate = xdsmatcherv3.Matcher_MatcherList_Predicate

// responseMatches matches responses of which the whole input is like a pattern.
func (b *builder) responseMatches(name string, input proto.Message, pattern string) *predicate {
	return &predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
		SinglePredicate: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
			Input: &xdscorev3.TypedExtensionConfig{Name: name, TypedConfig: b.pack(input)},
			Matcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch{ValueMatch: &xdsmatcherv3.StringMatcher{
				MatchPattern: &xdsmatcherv3.StringMatcher_SafeRegex{SafeRegex: &xdsmatcherv3.RegexMatcher{
					EngineType: &xdsmatcherv3.RegexMatcher_GoogleRe2{GoogleRe2: &xdsmatcherv3.RegexMatcher_GoogleRE2{}},
					Regex:      pattern,
				}},
			}},
		},
	}}
}

func not(p *predicate) *predicate {
	return &predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_NotMatcher{NotMatcher: p}}
}

func allPredicates(p ...*predicate) *predicate {
	return &predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_AndMatcher{AndMatcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_PredicateList{Predicate: p}}}
}

func anyPredicate(p ...*predicate) *predicate {
	return &predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_OrMatcher{OrMatcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_PredicateList{Predicate: p}}}
}
