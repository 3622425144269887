package xds

import (
	"time"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	inputsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/metadata/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"weir/metadata"
)

// retryProcessor asks Weir for the body, path and authority of a later attempt. It is
// not shown headers, because they may be another attempt's.
func (b *builder) retryProcessor() *extprocv3.ExternalProcessor {
	return &extprocv3.ExternalProcessor{
		GrpcService:       b.weir(),
		MessageTimeout:    duration(decisionTimeout),
		StatusOnError:     &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		ProcessingMode:    requestMode(),
		MutationRules:     freeRouting(),
		AllowModeOverride: true,
		RequestAttributes: []string{"xds.cluster_name", "upstream.request_attempt_count"},
		ForwardRules:      &extprocv3.HeaderForwardingRules{AllowedHeaders: &matcherv3.ListStringMatcher{Patterns: []*matcherv3.StringMatcher{exactly(":path")}}},
		MetadataOptions: &extprocv3.MetadataOptions{
			ForwardingNamespaces: namespaces(metadata.PlanNamespace, metadata.GateNamespace),
			ReceivingNamespaces:  namespaces(metadata.PlanNamespace, metadata.GateNamespace),
		},
	}
}

func requestMode() *extprocv3.ProcessingMode {
	return &extprocv3.ProcessingMode{
		RequestHeaderMode:   extprocv3.ProcessingMode_SEND,
		RequestBodyMode:     extprocv3.ProcessingMode_BUFFERED,
		RequestTrailerMode:  extprocv3.ProcessingMode_SKIP,
		ResponseHeaderMode:  extprocv3.ProcessingMode_SKIP,
		ResponseBodyMode:    extprocv3.ProcessingMode_NONE,
		ResponseTrailerMode: extprocv3.ProcessingMode_SKIP,
	}
}

// responseMode shows Weir a response chunk by chunk.
func responseMode(trailers extprocv3.ProcessingMode_HeaderSendMode) *extprocv3.ProcessingMode {
	return &extprocv3.ProcessingMode{
		RequestHeaderMode:   extprocv3.ProcessingMode_SKIP,
		RequestBodyMode:     extprocv3.ProcessingMode_NONE,
		RequestTrailerMode:  extprocv3.ProcessingMode_SKIP,
		ResponseHeaderMode:  extprocv3.ProcessingMode_SEND,
		ResponseBodyMode:    extprocv3.ProcessingMode_STREAMED,
		ResponseTrailerMode: trailers,
	}
}

func freeRouting() *mutationv3.HeaderMutationRules {
	return &mutationv3.HeaderMutationRules{AllowAllRouting: boolean(true), AllowEnvoy: boolean(true)}
}

func namespaces(untyped ...string) *extprocv3.MetadataOptions_MetadataNamespaces {
	return &extprocv3.MetadataOptions_MetadataNamespaces{Untyped: untyped}
}

// onRetry adds a filter for every attempt but the first, which then costs nothing.
func (b *builder) onRetry(filter *extprocv3.ExternalProcessor) *matchingv3.ExtensionWithMatcher {
	return b.putIn(not(b.requestHas("x-envoy-attempt-count", "1")), filter)
}

// gateProcessor shows Weir the beginning of a response. Envoy keeps what it shows
// until Weir has decided, or until the stream to Weir ends: then all of it passes
// unchanged. That is why the body is streamed and not full duplex, where a chunk on
// its way to Weir would be lost. Envoy sends trailers to Weir only when Weir has
// responded to everything before them.
func (b *builder) gateProcessor() *extprocv3.ExternalProcessor {
	return &extprocv3.ExternalProcessor{
		GrpcService: b.weir(),
		// Not derived from the timeouts of the attempt and the stream, which fire
		// first: a cluster that changed would lose its connections.
		MessageTimeout:                          duration(gateTimeout),
		FailureModeAllow:                        true,
		ProcessingMode:                          responseMode(extprocv3.ProcessingMode_SEND),
		SendBodyWithoutWaitingForHeaderResponse: true,
		AllowContentLengthHeader:                true,
		MutationRules:                           freeRouting(),
		ForwardRules: &extprocv3.HeaderForwardingRules{AllowedHeaders: &matcherv3.ListStringMatcher{
			Patterns: []*matcherv3.StringMatcher{exactly(":status"), exactly("content-type"), exactly("content-encoding")},
		}},
		MetadataOptions: &extprocv3.MetadataOptions{
			ForwardingNamespaces: namespaces(metadata.GateNamespace),
			ReceivingNamespaces:  namespaces(metadata.PlanNamespace, metadata.ResponseNamespace),
		},
	}
}

// gateTimeout is the longest timeout that Envoy accepts. A response that is held for
// an hour passes.
const gateTimeout = time.Hour

// watchProcessor shows Weir a stream that goes to the client, up to its end.
//
// The filter must be in the listener's chain: a filter of a cluster may be told to
// pause a provider whose response is already complete, which crashes Envoy 1.40.
func (b *builder) watchProcessor() *extprocv3.ExternalProcessor {
	out := b.gateProcessor()
	out.ResponseAttributes = []string{metadata.WatchAttribute}
	return out
}

// onWatch adds a filter for requests that are marked in metadata. A header would not
// do: where Envoy cannot read a request, there is no header to match.
func (b *builder) onWatch(filter *extprocv3.ExternalProcessor) *matchingv3.ExtensionWithMatcher {
	return b.putIn(&predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
		SinglePredicate: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
			Input: &xdscorev3.TypedExtensionConfig{Name: "watch", TypedConfig: b.pack(&inputsv3.DynamicMetadataInput{
				Filter: metadata.GateNamespace,
				Path: []*inputsv3.DynamicMetadataInput_PathSegment{{
					Segment: &inputsv3.DynamicMetadataInput_PathSegment_Key{Key: metadata.WatchField},
				}},
			})},
			Matcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_CustomMatch{
				CustomMatch: &xdscorev3.TypedExtensionConfig{Name: "on", TypedConfig: b.pack(&metadatav3.Metadata{
					Value: &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_StringMatch{StringMatch: exactly(metadata.GateOn)}},
				})},
			},
		},
	}}, filter)
}

// marked adds a filter for requests that are marked by a header.
func (b *builder) marked(name string, filter *extprocv3.ExternalProcessor) *matchingv3.ExtensionWithMatcher {
	return b.putIn(b.requestHas(name, metadata.GateOn), filter)
}

// requestHas matches requests with a given value of a header.
func (b *builder) requestHas(name, value string) *predicate {
	return &predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
		SinglePredicate: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
			Input: b.requestHeader(name),
			Matcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch{
				ValueMatch: &xdsmatcherv3.StringMatcher{MatchPattern: &xdsmatcherv3.StringMatcher_Exact{Exact: value}},
			},
		},
	}}
}

// putIn adds a filter where a predicate holds. Envoy creates the filter only there: a
// filter that is skipped is still created for each request, which costs more than the
// work that is skipped.
func (b *builder) putIn(where *predicate, filter *extprocv3.ExternalProcessor) *matchingv3.ExtensionWithMatcher {
	return &matchingv3.ExtensionWithMatcher{
		ExtensionConfig: b.extension("envoy.filters.http.composite", &compositev3.Composite{}),
		XdsMatcher: &xdsmatcherv3.Matcher{MatcherType: &xdsmatcherv3.Matcher_MatcherList_{MatcherList: &xdsmatcherv3.Matcher_MatcherList{
			Matchers: []*xdsmatcherv3.Matcher_MatcherList_FieldMatcher{{
				Predicate: where,
				OnMatch:   b.put(b.extension("envoy.filters.http.ext_proc", filter)),
			}},
		}}},
	}
}

// put returns the action that adds a filter.
func (b *builder) put(filter *corev3.TypedExtensionConfig) *xdsmatcherv3.Matcher_OnMatch {
	return &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{
		Action: &xdscorev3.TypedExtensionConfig{Name: "put", TypedConfig: b.pack(&compositev3.ExecuteFilterAction{TypedConfig: filter})},
	}}
}

func (b *builder) requestHeader(name string) *xdscorev3.TypedExtensionConfig {
	return &xdscorev3.TypedExtensionConfig{Name: name, TypedConfig: b.pack(&matcherv3.HttpRequestHeaderMatchInput{HeaderName: name})}
}
