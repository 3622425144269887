package xds

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	groupv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/priority_group/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"weir/metadata"
	"weir/policy/header"
)

const (
	// bodySlack is how much larger than max_body_bytes a buffer may get: Weir itself
	// rejects a body just over the limit, and a longer model name or a configured body
	// key makes a body larger.
	bodySlack = 1 << 20
	// routeMetadata is the namespace of the routes' metadata; its field maxBodyField
	// holds the body limit as text.
	routeMetadata = "weir"
	maxBodyField  = "max_body_bytes"
	// requestID is the format of the id that Envoy gave the request.
	requestID       = "%STREAM_ID%"
	requestIDHeader = "x-request-id"
	// decideFilter is the name by which a route configures the filter that asks Weir
	// for decisions.
	decideFilter = "weir.decide"
	// spareHeaders is how many more headers Envoy accepts than a client may send: for
	// those that it and Weir add, and so that Weir can respond to a request with
	// slightly too many. Envoy would only reset an HTTP/2 stream.
	spareHeaders   = 150
	spareHeaderKiB = 8
)

// listener is the listener for clients.
func (b *builder) listener() *listenerv3.Listener {
	out := &listenerv3.Listener{
		Name:    ListenerName,
		Address: listenAddress(b.options.Listen[0]),

		PerConnectionBufferLimitBytes: number(b.policy.Client.BufferBytes),
		FilterChains: []*listenerv3.FilterChain{{
			Filters: []*listenerv3.Filter{{
				Name:       "envoy.filters.network.http_connection_manager",
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: b.pack(b.connectionManager())},
			}},
			TransportSocket: b.listenTLS(),
		}},
	}
	for _, socket := range b.options.Listen[1:] {
		out.AdditionalAddresses = append(out.AdditionalAddresses, &listenerv3.AdditionalAddress{Address: listenAddress(socket)})
	}
	b.proxyProtocol(out) // before what else looks at the first bytes
	b.boundConnections(out)
	return out
}

// listenAddress returns the Envoy address of a socket to listen on.
func listenAddress(socket netip.AddrPort) *corev3.Address {
	out := address(socket.Addr().String(), int(socket.Port()))
	out.GetSocketAddress().Ipv4Compat = socket.Addr() == netip.IPv6Unspecified()
	return out
}

func (b *builder) connectionManager() *hcmv3.HttpConnectionManager {
	early := &earlyv3.HeaderMutation{Mutations: arrivals()}
	out := &hcmv3.HttpConnectionManager{
		StatPrefix: "weir",
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource: ads(), RouteConfigName: RouteName,
		}},
		// Clients' x-envoy-* and x-weir-* headers are instructions to Envoy and Weir:
		// they are removed before anything reads them, except for those that Weir takes
		// from clients. So is a request id, which Envoy
		// would keep from a client on a private address: two requests with the same id
		// would be one in the log.
		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{b.extension("envoy.http.early_header_mutation.header_mutation", early)},
		NormalizePath:                 boolean(false),
		PathWithEscapedSlashesAction:  hcmv3.HttpConnectionManager_KEEP_UNCHANGED,
		ServerHeaderTransformation:    hcmv3.HttpConnectionManager_PASS_THROUGH,
		// Many servers read x_api_key and x-api-key as the same header, so it would
		// reach a provider past everything that removes credentials.
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_DROP_HEADER,
			MaxHeadersCount:              number(b.policy.Client.RequestHeaders + spareHeaders),
		},
		MaxRequestHeadersKb:  number((b.policy.Client.RequestHeaderBytes+1023)/1024 + spareHeaderKiB),
		HttpProtocolOptions:  &corev3.Http1ProtocolOptions{IgnoreHttp_11Upgrade: ignoredUpgrades()},
		Http2ProtocolOptions: b.clientHTTP2(),
		DelayedCloseTimeout:  duration(delayedClose),
		LocalReplyConfig:     b.localReplies(),
		AccessLog:            b.requestLog(),
		AccessLogOptions:     b.accessLogOptions(),
		HttpFilters:          b.httpFilters(),
	}
	b.clientAddress(out)
	b.boundTime(out)
	return out
}

// removeInternal removes the headers that a client may not set. A prefix stands for all
// names that begin with it, but for those that have a rule of their own.
func removeInternal() []*mutationv3.HeaderMutation {
	var out []*mutationv3.HeaderMutation
	for _, name := range header.With(func(r header.Rule) bool { return r.Internal }) {
		if name == requestIDHeader {
			continue // see arrivals
		}
		prefix, all := strings.CutSuffix(name, "*")
		var others []string
		for other, rule := range header.All() {
			if rest, ok := strings.CutPrefix(other, prefix); ok && all && other != name && !rule.Internal {
				others = append(others, rest)
			}
		}
		if len(others) > 0 {
			out = append(out, removeMatching(regexp.QuoteMeta(prefix)+noneOf(others)))
		} else {
			out = append(out, removeNames([]string{name})...)
		}
	}
	return out
}

// arrivals changes the headers of a client before anything reads them. The order matters:
// the client's id of the request is kept under a name that clients cannot set, and then
// removed.
func arrivals() []*mutationv3.HeaderMutation {
	keep := setHeader(metadata.ClientIDHeader, "%REQ("+requestIDHeader+")%")
	return append(removeInternal(),
		&mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Append{Append: keep}},
		removeHeader(requestIDHeader),
	)
}

// clientHTTP2 bounds what one HTTP/2 connection of a client can hold in Envoy.
func (b *builder) clientHTTP2() *corev3.Http2ProtocolOptions {
	l := b.policy.Client
	out := &corev3.Http2ProtocolOptions{
		AllowConnect:                true,
		MaxConcurrentStreams:        number(l.Streams),
		InitialStreamWindowSize:     number(l.StreamWindowBytes),
		InitialConnectionWindowSize: number(l.ConnectionWindowBytes),
	}
	if b.policy.Proxies.InFront() {
		// The connection may be a proxy's and carry requests of many clients: an
		// invalid one ends only its own stream.
		out.OverrideStreamErrorOnInvalidHttpMessage = boolean(true)
	}
	return out
}

// httpFilters returns the filters in the order in which a request passes them; a
// response passes them in the opposite order.
func (b *builder) httpFilters() []*hcmv3.HttpFilter {
	var filters []*hcmv3.HttpFilter
	if b.policy.CORS != nil {
		filters = append(filters, b.httpFilter(corsFilter, &corsv3.Cors{}))
	}
	filters = append(filters, b.httpFilter(decideFilter, b.decisionProcessor()))
	if b.policy.Telemetry {
		filters = append(filters,
			b.httpFilter("weir.usage", b.responses()),
			b.httpFilter("weir.decompress", b.decompressor()),
		)
	}
	filters = append(filters,
		b.httpFilter("weir.cut", cut()),
		b.httpFilter("weir.status", b.statuses()),
		b.httpFilter("weir.failed", b.onFailure(b.failureProcessor())),
		b.httpFilter("weir.watch", b.onWatch(b.watchProcessor())),
	)
	return append(filters, b.httpFilter("envoy.filters.http.router", &routerv3.Router{
		SuppressEnvoyHeaders: true,
		UpstreamLog:          b.attemptLog(),
	}))
}

// decisionProcessor asks Weir what to do with a request.
func (b *builder) decisionProcessor() *extprocv3.ExternalProcessor {
	var hidden []*matcherv3.StringMatcher
	for _, name := range header.With(func(r header.Rule) bool { return r.Hidden }) {
		hidden = append(hidden, exactly(name))
	}
	return &extprocv3.ExternalProcessor{
		GrpcService:    b.weir(),
		MessageTimeout: duration(decisionTimeout),
		StatusOnError:  &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		ProcessingMode: requestMode(),
		// Always set: a connection keeps the listener that accepted it, so a policy
		// that begins to read the address would not get it on open connections. Set on
		// the filter and not on a route: Envoy 1.40 ignores a route's attributes.
		RequestAttributes: []string{"source.address", "request.protocol"},
		MutationRules:     freeRouting(),
		ForwardRules:      &extprocv3.HeaderForwardingRules{DisallowedHeaders: &matcherv3.ListStringMatcher{Patterns: hidden}},
		MetadataOptions: &extprocv3.MetadataOptions{
			ReceivingNamespaces: namespaces(metadata.ChainNamespace, metadata.PlanNamespace, metadata.GateNamespace),
		},
		SendBodyWithoutWaitingForHeaderResponse: true,
	}
}

// routes returns first the routes for complete responses, then those for streams.
// Streams have no total timeout: extproc bounds the time until they begin. Envoy's
// idle timer runs from the request on, through all attempts, so a stream that may wait
// for several providers has a route with a longer idle timeout. A request with one
// attempt names its cluster in a header; all others have a chain of clusters.
func (b *builder) routes() *routev3.RouteConfiguration {
	p := b.policy
	var routes []*routev3.Route
	add := func(action *routev3.RouteAction, match ...*routev3.HeaderMatcher) {
		routes = append(routes, b.route(action, match...))
	}
	idle := max(p.TotalTimeout, p.Limits.ClientBodyTimeout)
	add(b.toOne(p.TotalTimeout, idle), headerThere(metadata.StreamHeader, false), headerThere(metadata.DirectHeader, true))
	add(b.toChain(p.TotalTimeout, idle), headerThere(metadata.StreamHeader, false))
	for class := 1; class <= metadata.MaxAttempts; class++ {
		of := headerIs(metadata.StreamHeader, exactly(strconv.Itoa(class)))
		if class == 1 || p.HasOwnTimeouts() {
			add(b.toOne(0, p.EnvoyIdle(class)), of, headerThere(metadata.DirectHeader, true))
		}
		if class > 1 || p.HasOwnTimeouts() {
			add(b.toChain(0, p.EnvoyIdle(class)), of)
		}
	}
	settings := b.returnedHeaders()
	if p.CORS != nil {
		settings[corsFilter] = b.pack(b.corsPolicy())
	}
	return &routev3.RouteConfiguration{
		Name:             RouteName,
		ValidateClusters: boolean(false),
		VirtualHosts: []*routev3.VirtualHost{{
			Name:                       "weir",
			Domains:                    []string{"*"},
			Routes:                     routes,
			IncludeRequestAttemptCount: true,
			// How much of a request ext_proc and the retries may hold. The
			// connection's own limit stays small, because it also bounds what is held
			// of a response for a client that reads slowly.
			RequestBodyBufferLimit:  wrapperspb.UInt64(uint64(p.MaxBodyBytes + bodySlack)),
			ResponseHeadersToRemove: []string{metadata.CauseHeader},
			TypedPerFilterConfig:    settings,
			ResponseHeadersToAdd: append(b.responseHeaders(),
				setHeader(metadata.ProviderHeader, "%CLUSTER_METADATA("+metadata.ClusterMetadata+":"+metadata.ProviderField+")%"),
				setHeader(metadata.ModelHeader, "%DYNAMIC_METADATA("+metadata.PlanNamespace+":"+metadata.ModelField+")%"),
				setHeader(metadata.RejectedHeader, "%DYNAMIC_METADATA("+metadata.PlanNamespace+":"+metadata.RejectedField+")%"),
			),
		}},
	}
}

// gatewayHeaders are added to every response, also to Envoy's own. A provider's
// x-request-id stays: its support asks for it.
func gatewayHeaders() []*corev3.HeaderValueOption {
	return []*corev3.HeaderValueOption{
		setHeader(metadata.RequestIDHeader, requestID),
		{
			Header:       &corev3.HeaderValue{Key: requestIDHeader, Value: requestID},
			AppendAction: corev3.HeaderValueOption_ADD_IF_ABSENT,
		},
		setHeader(metadata.AttemptsHeader, "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
	}
}

// responseHeaders are added to the responses of routes.
func (b *builder) responseHeaders() []*corev3.HeaderValueOption {
	if b.policy.CORS == nil {
		return gatewayHeaders()
	}
	return append(gatewayHeaders(), varyOrigin())
}

func (b *builder) route(action *routev3.RouteAction, match ...*routev3.HeaderMatcher) *routev3.Route {
	return &routev3.Route{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}, Headers: match},
		Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			routeMetadata: {Fields: map[string]*structpb.Value{maxBodyField: structpb.NewStringValue(strconv.Itoa(b.policy.MaxBodyBytes))}},
		}},
		Action: &routev3.Route_Route{Route: action},
	}
}

// toOne is for requests with one attempt. Without a retry policy, Envoy does not have
// to keep the request. A request to an HTTP/2 provider asks for retries by a header.
func (b *builder) toOne(timeout, idle time.Duration) *routev3.RouteAction {
	return &routev3.RouteAction{
		Timeout:     duration(timeout),
		IdleTimeout: duration(idle),
		RetryPolicy: &routev3.RetryPolicy{
			PerTryTimeout: duration(b.policy.AttemptTimeout()),
			RetryBackOff:  &routev3.RetryPolicy_RetryBackOff{BaseInterval: duration(20 * time.Millisecond), MaxInterval: duration(500 * time.Millisecond)},
		},
		ClusterSpecifier: &routev3.RouteAction_ClusterHeader{ClusterHeader: metadata.DirectHeader},
	}
}

// toChain is for all other requests, including those without a decision by Weir: they
// have no chain either.
func (b *builder) toChain(timeout, idle time.Duration) *routev3.RouteAction {
	return &routev3.RouteAction{
		Timeout:     duration(timeout),
		IdleTimeout: duration(idle),
		RetryPolicy: b.retryPolicy(),
		ClusterSpecifier: &routev3.RouteAction_InlineClusterSpecifierPlugin{InlineClusterSpecifierPlugin: &routev3.ClusterSpecifierPlugin{
			Extension: b.extension("envoy.router.cluster_specifier_plugin.priority_group", &groupv3.PriorityGroupClusterSpecifier{
				OverrideMetadataNamespace: metadata.ChainNamespace,
				PriorityGroups: []*groupv3.PriorityGroup{{
					Name:     "no plan",
					Clusters: []*groupv3.ClusterWeight{{ClusterName: noPlanCluster, Weight: number(1)}},
				}},
			}),
		}},
	}
}

// retryPolicy sets what leads to the next attempt. The number of attempts comes with
// each request, in x-envoy-max-retries.
func (b *builder) retryPolicy() *routev3.RetryPolicy {
	f := b.policy.Failover
	// The gate marks a failure disguised as success with a header. An invalid status
	// is never passed on, nor is a request that the provider reports as not processed.
	on := "retriable-status-codes,retriable-headers,refused-stream"
	if f.ConnectFailure {
		on += ",connect-failure"
	}
	if f.Reset || f.Timeout {
		on += ",reset"
	}
	out := &routev3.RetryPolicy{
		RetryOn:               on,
		NumRetries:            number(0),
		PerTryTimeout:         duration(b.policy.AttemptTimeout()),
		RefreshClusterOnRetry: true,
		RetryBackOff:          &routev3.RetryPolicy_RetryBackOff{BaseInterval: duration(time.Millisecond), MaxInterval: duration(2 * time.Millisecond)},
	}
	out.RetriableHeaders = []*routev3.HeaderMatcher{
		headerThere(metadata.CauseHeader, true), headerIs(":status", matching(notFinal)),
	}
	for _, status := range f.Statuses {
		out.RetriableStatusCodes = append(out.RetriableStatusCodes, uint32(status))
	}
	return out
}
