package xds

import (
	"strconv"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	customv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/custom_response/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	localv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/custom_response/local_response_policy/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"weir/llm"
	"weir/metadata"
)

// reply is a response that Envoy makes itself, and the error that it shows in an API's
// shape.
type reply struct {
	when    *accesslogv3.AccessLogFilter
	status  int // of the response
	err     *llm.Error
	headers []*corev3.HeaderValueOption
}

// replies are tried in order. The flags are Envoy's response flags
// (https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/observability/access_log/usage).
//
// Messages are format strings of Envoy's. Values from the configuration come from the
// route: a listener that changed would drain its connections, and cut the streams that
// outlast its drain time.
func (b *builder) replies() []reply {
	planned := withMetadata(metadata.ModelField)
	headersTooLarge := b.policy.HeadersTooLarge()
	undecided := llm.Errorf(llm.GatewayUnavailable, "the gateway cannot decide on this request now: try again")
	return []reply{
		{b.overloaded(), 503, llm.Errorf(llm.Overloaded, "the gateway has no memory left for this request now: try again later"), retryAfter(overloadedRetryAfter)},
		// The statuses that the custom_response filter sets: see statuses.
		{status(redirected), 502, llm.Errorf(llm.ProviderUnreachable, "the provider redirects this request to another address: correct its base_url"), nil},
		{status(invalidStatus), 502, llm.Errorf(llm.ProviderUnreachable, "the provider sent a status that is not a valid final HTTP status"), nil},
		// UO: see breakers.
		{all(planned, flags("UO")), 503, llm.Errorf(llm.Overloaded, "all connections to the provider are in use: try again"), []*corev3.HeaderValueOption{setHeader("retry-after", "1")}},
		// A failure of a provider while Weir is not running: see failureProcessor.
		{all(planned, status(int(unchecked))), 503, undecided, retryAfter(undecidedRetryAfter)},
		// UT, UMSDR: the request or an attempt took too long. SI: a stream was
		// silent too long. DT: it lasted too long.
		{all(planned, flags("UT", "UMSDR", "SI", "DT")), 504, llm.Errorf(llm.Timeout, "no provider responded in time"), nil},
		// NC: the plan names a cluster that this Envoy does not have yet.
		{flags("NC", "NR"), 503, llm.Errorf(llm.GatewayUnavailable, "the gateway is changing its configuration: try again"), retryAfter(undecidedRetryAfter)},
		{all(planned, flags("UF", "UC", "UH", "UR", "LR", "URX", "UPE", "DF")), 502, llm.Errorf(llm.ProviderUnreachable, "no provider of this model could be reached"), nil},
		// Planned, but never sent: with the headers that Weir adds, they exceed the
		// limit.
		{all(planned, unsent(), status(503)), 431, headersTooLarge, nil},
		// UH without a plan: noPlanCluster. Only a request with trailers in place of a
		// body gets there; Envoy asks Weir about all others.
		{flags("UH"), 400, llm.Errorf(llm.InvalidBody, "the request has no body: send one that names a model"), nil},
		{status(413), 413, llm.Errorf(llm.RequestTooLarge, "the request body is larger than %s bytes", "%METADATA(ROUTE:"+routeMetadata+":"+maxBodyField+")%"), nil},
		{status(431), 431, headersTooLarge, nil},
		{status(400), 400, llm.Errorf(llm.InvalidBody, "the request is not valid HTTP"), nil},
		// A WebSocket handshake: see upgrades.go.
		{all(status(403), withHeader(headerThere("upgrade", true))), 426, noWebSocket, upgradeHeaders()},
		{status(403), 501, llm.Errorf(llm.NotImplemented, "https:// request targets are not supported: the gateway is not a forward proxy"), nil},
		{status(404), 404, llm.Errorf(llm.UnknownPath, "the request target is not a path of this gateway"), nil},
		// Envoy removes an Upgrade header from the response to a request without one.
		{status(426), 426, llm.Errorf(llm.InvalidBody, "the gateway speaks HTTP/1.1 and HTTP/2, not the HTTP of this request (in nginx, set proxy_http_version 1.1)"), nil},
		{status(501), 501, llm.Errorf(llm.NotImplemented, "the only supported Transfer-Encoding is chunked"), nil},
		{status(408), 408, llm.Errorf(llm.Timeout, "the request did not arrive in time"), nil},
		{nil, 503, undecided, retryAfter(undecidedRetryAfter)},
	}
}

// overloadedRetryAfter is the Retry-After, in seconds, of a request for which Envoy
// had no memory.
const overloadedRetryAfter = 5

// undecidedRetryAfter is the Retry-After, in seconds, while Weir changes its
// configuration or restarts.
const undecidedRetryAfter = 1

// The statuses that stand in for a provider's response until the local reply sets the
// final one: the local reply configuration does not apply to a provider's response.
const (
	redirected    = 599
	invalidStatus = 598
)

// Statuses that are not valid at the end of a request: redirects, which are not
// followed, and those to which HTTP gives no meaning (RFC 9110, 15).
const (
	redirect = "3.."
	notFinal = "[^245]..|..?|....+"
)

// statuses replaces two kinds of provider responses: redirects, because the client
// would send its request and its key to an address that the provider chose, and
// statuses that the client's library may not be able to read.
func (b *builder) statuses() *customv3.CustomResponse {
	list := &xdsmatcherv3.Matcher_MatcherList{}
	for _, m := range []struct {
		pattern string
		status  int
	}{{redirect, redirected}, {notFinal, invalidStatus}} {
		list.Matchers = append(list.Matchers, &xdsmatcherv3.Matcher_MatcherList_FieldMatcher{
			Predicate: &xdsmatcherv3.Matcher_MatcherList_Predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
				SinglePredicate: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
					Input: &xdscorev3.TypedExtensionConfig{Name: "status", TypedConfig: b.pack(&matcherv3.HttpResponseStatusCodeMatchInput{})},
					Matcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch{ValueMatch: &xdsmatcherv3.StringMatcher{
						MatchPattern: &xdsmatcherv3.StringMatcher_SafeRegex{SafeRegex: &xdsmatcherv3.RegexMatcher{
							EngineType: &xdsmatcherv3.RegexMatcher_GoogleRe2{GoogleRe2: &xdsmatcherv3.RegexMatcher_GoogleRE2{}},
							Regex:      m.pattern,
						}},
					}},
				},
			}},
			OnMatch: &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{
				Action: &xdscorev3.TypedExtensionConfig{Name: "not a final status", TypedConfig: b.pack(&localv3.LocalResponsePolicy{StatusCode: number(m.status)})},
			}},
		})
	}
	return &customv3.CustomResponse{CustomResponseMatcher: &xdsmatcherv3.Matcher{MatcherType: &xdsmatcherv3.Matcher_MatcherList_{MatcherList: list}}}
}

// localReplies gives every response that Envoy makes itself the shape that the
// client's SDK parses. Responses that Weir made pass unchanged.
func (b *builder) localReplies() *hcmv3.LocalReplyConfig {
	out := &hcmv3.LocalReplyConfig{Mappers: []*hcmv3.ResponseMapper{{
		Filter: withMetadata(metadata.RefusedField), HeadersToAdd: gatewayHeaders(),
	}}}
	for _, r := range b.replies() {
		for _, f := range []llm.Format{llm.Anthropic, llm.OpenAI} {
			filter := r.when
			if f == llm.Anthropic {
				filter = all(anthropic(), r.when)
			}
			if filter == nil {
				filter = statusFrom(0)
			}
			out.Mappers = append(out.Mappers, &hcmv3.ResponseMapper{
				Filter:     filter,
				StatusCode: number(r.status),
				BodyFormatOverride: &corev3.SubstitutionFormatString{
					Format:      &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: inline(string(r.err.Render(f)))},
					ContentType: llm.JSONType,
				},
				HeadersToAdd: append(gatewayHeaders(), r.headers...),
			})
		}
	}
	return out
}

// retryAfter returns the header that says how many seconds a client should wait.
func retryAfter(seconds int) []*corev3.HeaderValueOption {
	return []*corev3.HeaderValueOption{setHeader("retry-after", strconv.Itoa(seconds))}
}

// overloaded matches what Envoy refuses because its heap is nearly full. Not all of
// these responses have the overload manager's flag; all have the details.
func (b *builder) overloaded() *accesslogv3.AccessLogFilter {
	cel := b.extension("envoy.access_loggers.extension_filters.cel", &celv3.ExpressionFilter{Expression: "response.code_details.startsWith('overload')"})
	return either(flags("OM"), &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ExtensionFilter{ExtensionFilter: &accesslogv3.ExtensionFilter{
		Name: cel.Name, ConfigType: &accesslogv3.ExtensionFilter_TypedConfig{TypedConfig: cel.TypedConfig},
	}}})
}

// anthropic matches a request of Anthropic's API: by its plan, because the path may
// already be a provider's, or else by its path.
func anthropic() *accesslogv3.AccessLogFilter {
	return either(
		metadataMatches(metadata.FormatField, &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_StringMatch{StringMatch: exactly(string(llm.Anthropic))}}),
		withHeader(headerIs(":path", matching(llm.MessagesPattern))),
	)
}

// unsent matches a request without an attempt: the router counts attempts in this
// header.
func unsent() *accesslogv3.AccessLogFilter {
	return withHeader(headerThere("x-envoy-attempt-count", false))
}

func withHeader(m *routev3.HeaderMatcher) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{HeaderFilter: &accesslogv3.HeaderFilter{Header: m}}}
}

func withMetadata(field string) *accesslogv3.AccessLogFilter {
	return metadataMatches(field, &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_PresentMatch{PresentMatch: true}})
}

func metadataMatches(field string, value *matcherv3.ValueMatcher) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_MetadataFilter{MetadataFilter: &accesslogv3.MetadataFilter{
		Matcher: &matcherv3.MetadataMatcher{
			Filter: metadata.PlanNamespace,
			Path:   []*matcherv3.MetadataMatcher_PathSegment{{Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: field}}},
			Value:  value,
		},
		MatchIfKeyNotFound: boolean(false),
	}}}
}

// flags matches responses with any of these flags; without arguments, with any flag.
func flags(names ...string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
		ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: names},
	}}
}

func status(code int) *accesslogv3.AccessLogFilter {
	return compare(accesslogv3.ComparisonFilter_EQ, code)
}

func statusFrom(code int) *accesslogv3.AccessLogFilter {
	return compare(accesslogv3.ComparisonFilter_GE, code)
}

func statusTo(code int) *accesslogv3.AccessLogFilter {
	return compare(accesslogv3.ComparisonFilter_LE, code)
}

func compare(op accesslogv3.ComparisonFilter_Op, code int) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_StatusCodeFilter{StatusCodeFilter: &accesslogv3.StatusCodeFilter{
		Comparison: &accesslogv3.ComparisonFilter{Op: op, Value: &corev3.RuntimeUInt32{DefaultValue: uint32(code), RuntimeKey: "weir.status"}},
	}}}
}

// all and either ignore filters that are nil.
func all(filters ...*accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	filters = present(filters)
	if len(filters) == 1 {
		return filters[0]
	}
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{AndFilter: &accesslogv3.AndFilter{Filters: filters}}}
}

func either(filters ...*accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_OrFilter{OrFilter: &accesslogv3.OrFilter{Filters: present(filters)}}}
}

func present(filters []*accesslogv3.AccessLogFilter) []*accesslogv3.AccessLogFilter {
	var out []*accesslogv3.AccessLogFilter
	for _, f := range filters {
		if f != nil {
			out = append(out, f)
		}
	}
	return out
}
