package policy

import (
	"slices"
	"time"

	"weir/llm"
	"weir/llm/body"
	"weir/policy/config"
	"weir/policy/expression"
	"weir/policy/tokens"
)

// Policy is a compiled configuration. Plan uses it to decide what happens to a request, and
// package xds turns it into Envoy's resources. It is immutable, holds no live state, and
// many goroutines may use it. ExamplePolicy_Plan shows how to load one and plan with it.
type Policy struct {
	// Version identifies the configuration by its content, without the access keys, which
	// have a version of their own: see AccessKeys.
	Version string
	Config  *config.Config

	Clusters     []*Cluster
	Secrets      map[string]config.Secret
	Certificates map[string]Certificate
	// Roots are the system's trusted certificates, PEM. It is empty if no cluster needs
	// them.
	Roots string
	// ProxyVariable is the environment variable that names the proxy to the providers, if
	// the configuration does not.
	ProxyVariable string

	// Client bounds what one connection of a client may take. EnvoyHeapBytes and
	// WeirMemoryBytes bound the two processes; 0 is what their machine suggests.
	Client                          ClientLimits
	EnvoyHeapBytes, WeirMemoryBytes uint64

	Listen      []string // not empty
	AdminListen string
	// ListenTLS is nil where the listener for clients speaks plain HTTP.
	CORS      *CORS // nil: no page of another origin may read a response
	ListenTLS *ListenTLS
	Proxies   Proxies
	// Expiries are the files of certificates in use, in the order of the loader.
	Expiries          []Expiry
	MaxBodyBytes      int
	Limits            Limits
	PerRequestTimeout time.Duration
	TotalTimeout      time.Duration
	StreamIdleTimeout time.Duration
	ShutdownTimeout   time.Duration
	Failover          Failover
	// OutlierDetection configures when a provider is tried last; nil: never.
	OutlierDetection *OutlierDetection
	// ResponseGate is set if responses are held until they have content, where another
	// attempt could follow; StrictStreamEnd if streams without their last event end in
	// an error.
	ResponseGate    bool
	StrictStreamEnd bool
	// Telemetry is set if Envoy reports every request to Weir. AccessLog is where a line
	// for each goes; Window is the time that the numbers of strategies cover. StreamEnd
	// is set if Envoy looks for the last event of streams.
	Telemetry bool
	StreamEnd bool
	AccessLog string
	Window    time.Duration
	// NeedsClientAddress is set if an expression reads conn.client_ip.
	NeedsClientAddress bool

	inputs                  inputs
	doubts                  []doubt
	paths                   map[string]string // in the file, of providers by their ids; empty: only the catalogue has it
	hop                     string            // this gateway's name in HopHeader
	gateway                 *config.GatewayConfig
	onlyConfiguredProviders bool
	onlyConfiguredModels    bool
	defaultProvider         string
	ownTimeouts             bool          // some provider has a per_request_timeout
	longestIdle             time.Duration // of all providers
	longestAttempt          time.Duration // of providers with a timeout of their own
	cutTimeouts             []string      // fields with a longer timeout than total_timeout
	query                   []config.Param
	set                     []body.KeyValue // in every JSON body
	outputLimit             outputLimit
	// guarded are the keys whose value the policy decides.
	guarded [][]byte

	providers []*provider // in configuration order, catalogue after
	byName    map[string]*provider
	byModel   map[string][]*model
	// Names for "did you mean", as they are written.
	providerNames, modelNames []string
	anonymous                 bool // there are no access keys
	labels                    labels
	strip                     map[string]bool // what every Cluster.Strip lists
	strategies                strategies
	dynamic                   dynamic
	uses                      expression.Uses // of all expressions
	inputLimit                int             // max_input_tokens, 0 where there is none
}

// Prepare loads what the first request would otherwise wait for.
func (p *Policy) Prepare() {
	if p.inputLimit > 0 {
		tokens.Preload()
	}
}

// wantsPlainResponses reports whether providers are asked not to compress responses. Envoy
// finds no token usage and no content in compressed ones.
func (p *Policy) wantsPlainResponses() bool { return p.Telemetry || p.ResponseGate }

// LongestAttempt bounds one attempt at any provider.
func (p *Policy) LongestAttempt() time.Duration { return max(p.PerRequestTimeout, p.longestAttempt) }

// provider is a provider that requests may be sent to.
type provider struct {
	id         string
	configured bool
	disabled   bool
	keyed      bool // has a credential, or needs none
	surfaces   []surface
	forward    forward
	models     []*model
	display    string
	aliases    []string
	metadata   map[string]any
	catalogue  bool
	unlisted   bool                   // a custom one, whose models the configuration does not list
	matches    func(name string) bool // whether a model name is one of the provider's author; nil for a custom one
	keys       []string               // ids of its keys
	keyViews   []*expression.Key
	byModel    map[string]*model // disabled ones too
	names      []string          // of its models, for "did you mean"
}

// AttemptTimeout bounds one attempt at a provider without a timeout of its own.
func (p *Policy) AttemptTimeout() time.Duration { return min(p.PerRequestTimeout, p.TotalTimeout) }

// surface is one API of a provider, with everything an attempt needs.
type surface struct {
	format   llm.Format
	surface  llm.Surface // empty: every surface of the format
	clusters []*Cluster
	// By Endpoint.index: the paths, and the paths with the query of a request
	// that brings none of its own.
	paths, targets []string
	authority      string
	base           config.BaseURL
	versioned      *bool           // whether paths have a /v1; nil: by the base URL
	supported      map[string]bool // nil: every parameter
}

// model is one model of a provider.
type model struct {
	provider    *provider
	id          string
	kind        llm.ModelKind // empty where only the configuration knows the model
	sent        string        // what the provider calls it
	configured  bool
	preferred   bool // may serve requests that name no model
	disabled    bool
	unsupported map[string]bool
	author      string
	display     string
	config      *config.ModelConfig
	view        *expression.Model // nil without strategies
	number      int               // where view is in the world of the strategies
	label       string            // provider:id
	names       map[string]string // how a name of it is written that is not in lower case, by its lower case
}

// serves returns the surface that serves an endpoint, or nil. One that names the endpoint
// is preferred to one that lists the whole format.
func (p *provider) serves(e *llm.Endpoint) *surface {
	var whole *surface
	for i := range p.surfaces {
		s := &p.surfaces[i]
		if s.format != e.Format {
			continue
		}
		if s.surface == e.Surface && s.surface != "" {
			return s
		}
		if s.surface == "" {
			whole = s
		}
	}
	return whole
}

// Effective returns the configuration with its defaults written out, without access keys.
// Marshalled, it shows no secret.
func (p *Policy) Effective() config.Config {
	c := *p.Config
	c.Listen, c.Admin.Listen = p.Listen, config.Address(p.AdminListen)
	c.Limits = p.effectiveLimits()
	c.MaxBodyBytes, c.ShutdownTimeout = int64(p.MaxBodyBytes), p.ShutdownTimeout
	c.Limits.MaxRequests, c.Limits.MaxBufferedBodyBytes = p.Limits.Total.Requests, p.Limits.Total.BodyBytes
	c.Limits.MaxRequestsPerKey, c.Limits.MaxBufferedBodyBytesPerKey = p.Limits.PerKey.Requests, p.Limits.PerKey.BodyBytes
	c.Limits.MaxWait = p.Limits.MaxWait
	setConnectionLimits(&c.Limits, p.Limits.ConnectionLimits)
	gateway := *p.gateway
	gateway.PerRequestTimeout, gateway.TotalTimeout, gateway.StreamIdleTimeout = p.PerRequestTimeout, p.TotalTimeout, p.StreamIdleTimeout
	if gateway.ResponseGate == "" {
		gateway.ResponseGate = "on"
	}
	if gateway.FailoverOn == nil {
		gateway.FailoverOn = config.DefaultFailover()
	}
	if d := p.OutlierDetection; d != nil {
		gateway.OutlierDetection = &config.OutlierDetectionConfig{ConsecutiveFailures: d.ConsecutiveFailures, BaseEjectionTime: d.BaseEjectionTime, MaxEjectionTime: d.MaxEjectionTime}
	}
	gateway.Providers = slices.Clone(gateway.Providers)
	for i := range gateway.Providers {
		gateway.Providers[i] = gateway.Providers[i].Presentable()
	}
	c.ShortProviders = nil
	c.OnHTTPRequest = []config.RuleConfig{{Type: "ai-gateway", Config: &gateway}}
	return c
}
