package expression

import (
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// The types of fields that cel-go has no variable for.
var (
	stringList = types.NewListType(types.StringType)
	anyMap     = types.NewMapType(types.StringType, types.DynType)
	headerMap  = types.NewMapType(types.StringType, types.NewListType(types.NewNullableType(types.StringType)))
	optInt     = types.NewNullableType(types.IntType)
	optDouble  = types.NewNullableType(types.DoubleType)
)

// The object types of strategies, the inner ones first.
var (
	pricingKind = newKind("pricing",
		price("input", func(p *Pricing) Price { return p.Input }),
		price("output", func(p *Pricing) Price { return p.Output }),
		price("cache_read", func(p *Pricing) Price { return p.CacheRead }),
		price("cache_write", func(p *Pricing) Price { return p.CacheWrite }),
	)
	latencyKind = newKind("latency",
		number("upstream_ms_avg", UpstreamAvg),
		number("upstream_ms_p95", UpstreamP95),
		number("time_to_first_token_ms_avg", TTFTAvg),
		number("time_to_first_token_ms_p95", TTFTP95),
	)
	errorRateKind = newKind("error_rate",
		number("total", ErrorTotal),
		number("timeout", ErrorTimeout),
		number("rate_limit", ErrorRateLimit),
		number("client", ErrorClient),
		number("server", ErrorServer),
	)
	scopeKind = newKind("scope",
		requestCount(),
		of("latency", latencyKind.typ, func(l *live) ref.Val { return &l.latency }),
		of("error_rate", errorRateKind.typ, func(l *live) ref.Val { return &l.errorRate }),
	)
	// Both scopes hold what this gateway has measured.
	metricsKind = newKind("metrics",
		of("global", scopeKind.typ, func(l *live) ref.Val { return &l.scope }),
		of("account", scopeKind.typ, func(l *live) ref.Val { return &l.scope }),
	)
	modelKind = newKind("model",
		of("id", types.StringType, func(m *Model) ref.Val { return m.seen().id }),
		of("provider_id", types.StringType, func(m *Model) ref.Val { return m.seen().providerID }),
		of("author_id", types.StringType, func(m *Model) ref.Val { return m.seen().authorID }),
		of("id_aliases", stringList, func(m *Model) ref.Val { return m.seen().aliases }),
		of("provider_id_aliases", stringList, func(m *Model) ref.Val { return m.seen().providerAliases }),
		of("display_name", types.StringType, func(m *Model) ref.Val { return m.seen().displayName }),
		of("known", types.BoolType, func(m *Model) ref.Val { return types.Bool(m.Known) }),
		of("custom", types.BoolType, func(m *Model) ref.Val { return types.Bool(m.Custom) }),
		of("metadata", anyMap, func(m *Model) ref.Val { return m.seen().metadata }),
		of("input_modalities", stringList, func(m *Model) ref.Val { return m.seen().input }),
		of("output_modalities", stringList, func(m *Model) ref.Val { return m.seen().output }),
		of("supported_features", stringList, func(m *Model) ref.Val { return m.seen().features }),
		of("max_context_window", types.IntType, func(m *Model) ref.Val { return m.seen().contextWindow }),
		of("max_output_tokens", types.IntType, func(m *Model) ref.Val { return m.seen().outputTokens }),
		of("pricing", pricingKind.typ, func(m *Model) ref.Val { return &m.seen().pricing }),
		// Lowering replaces the field by fnMetrics or fnLive, which have the run's numbers.
		of("metrics", metricsKind.typ, func(*Model) ref.Val { return types.NullValue }),
	)
	providerKind = newKind("provider",
		of("id", types.StringType, func(p *offer) ref.Val { return p.provider.seen().id }),
		of("id_aliases", stringList, func(p *offer) ref.Val { return p.provider.seen().aliases }),
		of("display_name", types.StringType, func(p *offer) ref.Val { return p.provider.seen().displayName }),
		of("metadata", anyMap, func(p *offer) ref.Val { return p.provider.seen().metadata }),
		of("models", types.NewListType(modelKind.typ), func(p *offer) ref.Val { return &p.models }),
	)
	authorKind = newKind("author",
		of("id", types.StringType, func(a *author) ref.Val { return text(a.id) }),
		of("models", types.NewListType(modelKind.typ), func(a *author) ref.Val { return &a.models }),
	)
	quotaKind = newKind("quota",
		of("remaining_requests", optInt, func(k liveKey) ref.Val { return quota(k.numbers().RemainingRequests) }),
		of("remaining_tokens", optInt, func(k liveKey) ref.Val { return quota(k.numbers().RemainingTokens) }),
	)
	keyErrorRateKind = newKind("key_error_rate",
		keyNumber("total", func(n KeyNumbers) float64 { return n.ErrorTotal }),
		keyNumber("timeout", func(n KeyNumbers) float64 { return n.ErrorTimeout }),
		keyNumber("rate_limit", func(n KeyNumbers) float64 { return n.ErrorRateLimit }),
		keyNumber("client", func(n KeyNumbers) float64 { return n.ErrorClient }),
		keyNumber("server", func(n KeyNumbers) float64 { return n.ErrorServer }),
	)
	keyKind = newKind("key",
		of("id", types.StringType, func(k liveKey) ref.Val { return text(k.key.ID) }),
		of("quota", quotaKind.typ, func(k liveKey) ref.Val { return &object{quotaKind, k} }),
		of("error_rate", keyErrorRateKind.typ, func(k liveKey) ref.Val { return &object{keyErrorRateKind, k} }),
	)
)

// The kinds of the roots. Their objects belong to the run.
var (
	connKind = newKind("conn",
		of("client_ip", types.StringType, func(r *run) ref.Val { return text(r.request.ClientIP) }),
	)
	accessKeyKind = newKind("access_key",
		of("id", types.StringType, func(r *run) ref.Val { return text(r.request.Key.ID) }),
		of("name", types.StringType, func(r *run) ref.Val { return text(r.request.Key.Name) }),
		of("metadata", anyMap, func(r *run) ref.Val { return r.keyMetadata() }),
	)
	reqKind = newKind("req",
		of("method", types.StringType, func(r *run) ref.Val { return text(r.request.Method) }),
		of("path", types.StringType, func(r *run) ref.Val { return text(r.request.Path) }),
		of("id", types.StringType, func(r *run) ref.Val { return text(r.request.ID) }),
		of("headers", headerMap, func(r *run) ref.Val { return &r.headers }),
		of("body", anyMap, func(r *run) ref.Val { return &r.body }),
	)
	secretsKind = newKind("secrets")

	catalogue = []field{
		of("models", types.NewListType(modelKind.typ), func(r *run) ref.Val { return &r.models }),
		of("providers", types.NewListType(providerKind.typ), func(r *run) ref.Val { return r.providerList() }),
		of("authors", types.NewListType(authorKind.typ), func(r *run) ref.Val { return r.authorList() }),
	}
	aiKind    = newKind("ai", catalogue...)
	aiKeyKind = newKind("ai", append(catalogue[:len(catalogue):len(catalogue)],
		of("keys", types.NewListType(keyKind.typ), func(r *run) ref.Val { return r.keyList() }))...)
)

func of[T any](name string, typ *types.Type, f func(T) ref.Val) field {
	return field{name: name, typ: typ, get: get(typ, f)}
}

func number(name string, m Metric) field {
	return of(name, types.DoubleType, func(l *live) ref.Val { return types.Double(l.number(m)) })
}

func requestCount() field {
	return of("request_count", types.IntType, func(l *live) ref.Val { return types.Int(l.number(RequestCount)) })
}

func keyNumber(name string, f func(KeyNumbers) float64) field {
	return of(name, types.DoubleType, func(k liveKey) ref.Val { return types.Double(f(k.numbers())) })
}

// price is a field whose has() reports whether the price is known.
func price(name string, f func(*Pricing) Price) field {
	out := of(name, optDouble, func(m *Model) ref.Val {
		if p := f(&m.Pricing); p.Known {
			return types.Double(p.USD)
		}
		return types.NullValue
	})
	out.has = func(of any) bool {
		m, ok := of.(*Model)
		return ok && f(&m.Pricing).Known
	}
	return out
}

func quota(q Quota) ref.Val {
	if !q.Known {
		return types.NullValue
	}
	return types.Int(q.Remaining)
}

// modelOf is a model as CEL values. It is made once, so that reading a field does not
// allocate.
type modelOf struct {
	model, pricing object

	id, providerID, authorID, displayName ref.Val
	aliases, providerAliases              ref.Val
	metadata                              ref.Val
	input, output, features               ref.Val
	contextWindow, outputTokens           ref.Val
}

func (m *Model) view() *modelOf {
	if v := m.cel.Load(); v != nil {
		return v
	}
	m.cel.CompareAndSwap(nil, &modelOf{
		model:           object{modelKind, m},
		pricing:         object{pricingKind, m},
		id:              text(m.ID),
		providerID:      text(m.ProviderID),
		authorID:        text(m.AuthorID),
		displayName:     text(m.DisplayName),
		aliases:         texts(m.IDAliases),
		providerAliases: texts(m.ProviderIDAliases),
		metadata:        anyMapOf(m.Metadata),
		input:           texts(m.InputModalities),
		output:          texts(m.OutputModalities),
		features:        texts(m.SupportedFeatures),
		contextWindow:   types.Int(m.MaxContextWindow),
		outputTokens:    types.Int(m.MaxOutputTokens),
	})
	return m.cel.Load()
}

// seen returns the view. It exists, because CEL gets a model only from its view.
func (m *Model) seen() *modelOf { return m.cel.Load() }

// providerOf is a provider as CEL values.
type providerOf struct{ id, displayName, aliases, metadata ref.Val }

func (p *Provider) seen() *providerOf {
	if v := p.cel.Load(); v != nil {
		return v
	}
	p.cel.CompareAndSwap(nil, &providerOf{text(p.ID), text(p.DisplayName), texts(p.IDAliases), anyMapOf(p.Metadata)})
	return p.cel.Load()
}
