package config

import (
	"slices"
	"time"

	"weir/llm"
)

// Config is the configuration file: the settings of Weir itself, and one traffic
// policy. A field has the name of its yaml tag in the file. Decode reads a Config;
// package policy compiles it and checks what fields mean together. Its comments are the
// descriptions that editors show.
type Config struct {
	// Address for clients, as host:port, or a list of addresses. Envoy listens there. A
	// port alone, such as 8080, means 127.0.0.1:8080. An empty host, or [::], means all
	// IPv4 and IPv6 addresses; localhost means both loopback addresses. An address that
	// other machines can reach requires access_keys or allow_anonymous.
	Listen Addresses `yaml:"listen,omitempty"`
	// Certificate for TLS connections of clients. If absent, clients connect with plain
	// HTTP.
	TLS *ListenTLSConfig `yaml:"tls,omitempty"`
	// Web pages of other origins that may send requests (CORS). If absent, no response has
	// a header that lets a page read it.
	CORS *CORSConfig `yaml:"cors,omitempty"`
	// Proxies in front of the gateway, as IP addresses or ranges. For a connection from
	// one of them, the client's address is the last address in X-Forwarded-For that is
	// not in this list. Otherwise, it is the address of the connection.
	TrustedProxies []string `yaml:"trusted_proxies,omitempty"`
	// Number of proxies that every request passes, if their addresses are not known.
	// The client's address is the one that the first of these proxies added to
	// X-Forwarded-For. Use it only if clients cannot reach the gateway directly.
	XFFNumTrustedHops int `yaml:"xff_num_trusted_hops,omitempty"`
	// Require a PROXY header, version 1 or 2, with the client's address at the start of
	// every connection. Connections from addresses outside trusted_proxies are closed.
	ProxyProtocol bool `yaml:"proxy_protocol,omitempty"`
	// Listener for operators: /healthz, /readyz, /metrics.
	Admin AdminConfig `yaml:"admin,omitempty"`
	// The Envoy that `weir run` starts, and the socket between `weir serve` and Envoy.
	Envoy EnvoyConfig `yaml:"envoy,omitempty"`
	// Where ${secrets.get('store', 'key')} looks for a secret that is not in the
	// environment.
	Secrets SecretsConfig `yaml:"secrets,omitempty"`
	// Metrics and logs of requests.
	Telemetry TelemetryConfig `yaml:"telemetry,omitempty"`
	// Credentials of clients. Without any, the gateway listens on loopback addresses
	// only, unless allow_anonymous is set.
	AccessKeys []AccessKeyConfig `yaml:"access_keys,omitempty"`
	// Accept requests without an access key on any address.
	AllowAnonymous bool `yaml:"allow_anonymous,omitempty"`
	// Hosts, without scheme and port, that base URLs may use with plain http, or
	// although they are link-local addresses.
	AllowHTTPHosts []string `yaml:"allow_http_hosts,omitempty"`
	// Maximum size of a request body, in bytes. A larger body gets 413.
	MaxBodyBytes int64 `yaml:"max_body_bytes,omitempty"`
	// Maps the host:port of a base URL to the host:port to connect to. Host name, SNI
	// and :authority of the request do not change.
	ConnectTo map[string]string `yaml:"connect_to,omitempty"`
	// HTTP proxy through which providers with https are reached (CONNECT), such as
	// http://proxy.internal:3128. User and password before @ may be secrets. If absent,
	// the environment variable HTTPS_PROXY is read; an empty string means none.
	HTTPSProxy *Template `yaml:"https_proxy,omitempty"`
	// Hosts that are reached without the proxy: names (with their subdomains), names that
	// begin with a dot (subdomains only), IP addresses, ranges, each also with :port, or
	// *. Loopback addresses never go through it. If absent, the environment variable
	// NO_PROXY is read.
	NoProxy []string `yaml:"no_proxy,omitempty"`
	// Limits on what clients use of the gateway at the same time.
	Limits LimitsConfig `yaml:"limits,omitempty"`
	// The traffic policy: at most one ai-gateway action.
	OnHTTPRequest []RuleConfig `yaml:"on_http_request,omitempty"`
	// Providers of a traffic policy that sets nothing else. Short for on_http_request
	// with an ai-gateway action that has only providers.
	ShortProviders []ProviderConfig `yaml:"providers,omitempty"`
	// Maximum time that running requests get to finish when the gateway stops, 1ms to
	// 24h.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout,omitempty"`
}

// CORSConfig is which web pages of other origins may send requests.
type CORSConfig struct {
	// Origins of the pages: scheme://host or scheme://host:port; https://*.example.com for
	// all hosts below example.com; * for every page.
	Origins []string `yaml:"origins"`
	// How long a browser remembers that a page may, 1s to 24h.
	MaxAge time.Duration `yaml:"max_age,omitempty"`
}

// AdminConfig is the listener for operators.
type AdminConfig struct {
	// Address for operators, as host:port. A port alone, such as 8081, means
	// 127.0.0.1:8081. Not reloaded.
	Listen Address `yaml:"listen,omitempty"`
}

// EnvoyConfig is how `weir run` starts Envoy, and how an Envoy connects to `weir
// serve`.
type EnvoyConfig struct {
	// Path of the Envoy binary. If absent: $ENVOY_PATH, envoy on PATH, or an Envoy that
	// Weir installs in the user's cache.
	Path string `yaml:"path,omitempty"`
	// Number of worker threads of Envoy. 0 means one for each CPU.
	Concurrency int `yaml:"concurrency,omitempty"`
	// Minimum level of Envoy's log messages. The levels debug and trace apply only to
	// components that do not see requests.
	LogLevel string `yaml:"log_level,omitempty"`
	// Unix socket on which `weir serve` waits for Envoy. Default: /run/weir/weir.sock;
	// for users other than root, $XDG_RUNTIME_DIR/weir/weir.sock or a file in weir-UID
	// in the temporary directory. No other user may be able to write to its directory
	// or replace it.
	Socket string `yaml:"socket,omitempty"`
	// Users, by name or uid, whose Envoy may connect to the socket of `weir serve`, in
	// addition to Weir's own user and root. Such an Envoy receives all provider keys.
	// Not reloaded.
	Users UserList `yaml:"users,omitempty"`
}

// SecretsConfig is where secrets are read from.
type SecretsConfig struct {
	// Directory of secrets, one file per secret: <store>/<key>. Relative to the
	// configuration file.
	Dir string `yaml:"dir,omitempty"`
}

// TelemetryConfig is what Weir records about requests.
type TelemetryConfig struct {
	// Turn off the log and the metrics of requests. Envoy then reports only that a
	// request has ended or still runs.
	Disabled bool `yaml:"disabled,omitempty"`
	// Check that every stream ends with its last event, and mark the streams that do
	// not. Costs Envoy a few microseconds per event.
	StreamEnd bool `yaml:"stream_end,omitempty"`
	// Where one line of JSON per request is written: stdout, stderr, off, or a file to
	// append to. Not reloaded.
	AccessLog string `yaml:"access_log,omitempty"`
	// Period that the metrics in strategies cover, 1s to 1h. Not reloaded.
	Window time.Duration `yaml:"window,omitempty"`
}

// AccessKeyConfig is a credential of a client.
type AccessKeyConfig struct {
	// Name of the key in logs and strategies.
	Name string `yaml:"name"`
	// SHA-256 of the key, in hexadecimal. Set either sha256 or value.
	SHA256 string `yaml:"sha256,omitempty"`
	// The key itself, from a secret; at least 16 characters. Set either value or
	// sha256.
	Value Template `yaml:"value,omitempty"`
	// Values for strategies and templates, as key.metadata. Not sent to providers.
	Metadata map[string]any `yaml:"metadata,omitempty"`
	// What the key may use. If absent, the key may use everything.
	Configuration *AccessConfiguration `yaml:"configuration,omitempty"`
	// Limits of this key, in place of the limits per key under limits.
	Limits KeyLimitsConfig `yaml:"limits,omitempty"`
}

// AccessConfiguration is what an access key may use.
type AccessConfiguration struct {
	// Providers and models that the key may use.
	Access AccessConfig `yaml:"access,omitempty"`
}

// AccessConfig restricts providers and models. An absent list allows everything; an
// empty one allows nothing.
type AccessConfig struct {
	// Providers that the key may use, by id.
	Providers *AllowConfig `yaml:"providers,omitempty"`
	// Models that the key may use, as provider:model.
	Models *AllowConfig `yaml:"models,omitempty"`
}

// AllowConfig is a list of names that are allowed.
type AllowConfig struct {
	// Allowed names, compared exactly. [] allows nothing.
	Allow []string `yaml:"allow"`
}

// RuleConfig is an entry of a traffic policy: an action, or a named group of actions.
type RuleConfig struct {
	// Name of the group. It has no effect.
	Name string `yaml:"name,omitempty"`
	// Conditions of the group. Must be empty, because an ai-gateway action handles
	// every request.
	Expressions []string `yaml:"expressions,omitempty"`
	// Long form: the actions of the group.
	Actions []ActionConfig `yaml:"actions,omitempty"`
	// Short form: the type of the only action.
	Type string `yaml:"type,omitempty"`
	// Short form: the configuration of the only action.
	Config *GatewayConfig `yaml:"config,omitempty"`
}

// ActionConfig is an action of a group.
type ActionConfig struct {
	// Type of the action.
	Type string `yaml:"type"`
	// Configuration of the action.
	Config *GatewayConfig `yaml:"config,omitempty"`
}

// GatewayConfig is the configuration of the ai-gateway action.
type GatewayConfig struct {
	// Providers, in order of preference. An entry whose id is in the catalogue changes
	// that provider of the catalogue.
	Providers []ProviderConfig `yaml:"providers,omitempty"`
	// Allow only the providers listed here, not the other providers of the catalogue.
	OnlyConfiguredProviders bool `yaml:"only_allow_configured_providers,omitempty"`
	// Allow only models that are listed under a provider.
	OnlyConfiguredModels bool `yaml:"only_allow_configured_models,omitempty"`
	// Provider of requests that name no model, because they concern what one provider
	// stores: responses by id, files, batches. A client names another one in the header
	// x-weir-provider. Without either, it must be the only configured provider.
	DefaultProvider string `yaml:"default_provider,omitempty"`
	// Which models serve a request, and in which order they are tried.
	ModelSelection *StrategyConfig `yaml:"model_selection,omitempty"`
	// Which keys of a provider are used, and in which order they are tried.
	APIKeySelection *StrategyConfig `yaml:"api_key_selection,omitempty"`
	// Headers of every request to a provider. They replace the client's. Values may
	// contain ${…}: secrets, and expressions over the request and the access key.
	Headers map[string]Template `yaml:"headers,omitempty"`
	// Query parameters that are added to every provider's URL. They replace the
	// client's. Values may contain ${…}, but no secrets, because URLs are logged.
	QueryParams map[string]Template `yaml:"query_params,omitempty"`
	// Top-level keys of the request body. They replace the client's. Any JSON value;
	// strings may contain ${…}.
	Body map[string]RawValue `yaml:"body,omitempty"`
	// Timeout of one attempt, 1ms to 24h: until the content of a stream begins, or
	// until any other response ends. At most total_timeout applies.
	PerRequestTimeout time.Duration `yaml:"per_request_timeout,omitempty"`
	// Timeout of all attempts together, 1ms to 24h; for a stream, until its content
	// begins.
	TotalTimeout time.Duration `yaml:"total_timeout,omitempty"`
	// Maximum time without data inside a stream, 1ms to 24h.
	StreamIdleTimeout time.Duration `yaml:"stream_idle_timeout,omitempty"`
	// Maximum length of a prompt, in estimated tokens. A longer prompt gets 413.
	MaxInputTokens int `yaml:"max_input_tokens,omitempty"`
	// Maximum length of a response, in tokens. A request's own limit is lowered to it,
	// or set to it if absent.
	MaxOutputTokens int `yaml:"max_output_tokens,omitempty"`
	// What happens if no attempt succeeds. The only value is halt, because no action
	// follows.
	OnError string `yaml:"on_error,omitempty"`
	// Failures that lead to the next attempt: HTTP statuses, as numbers or strings, and
	// causes. connect_failure is a failure of name resolution, TCP or TLS. reset is a
	// connection that ended before the response began. timeout is per_request_timeout.
	// Envoy does not distinguish the last two: each turns on both. invalid_key, account,
	// region, unknown_model, unsupported_feature and context_length are errors with status
	// 400 that another provider or model need not have.
	FailoverOn FailoverConfig `yaml:"failover_on,omitempty"`
	// When a provider that keeps failing is tried after all others.
	OutlierDetection *OutlierDetectionConfig `yaml:"outlier_detection,omitempty"`
	// on: hold a response until its content begins, so that the next attempt can follow
	// a failure disguised as success. off: pass every response at once.
	ResponseGate string `yaml:"response_gate,omitempty"`
	// Add an error event to a stream that ends without its last event.
	StrictStreamEnd bool `yaml:"strict_stream_end,omitempty"`
}

// OutlierDetectionConfig is when a provider with one of its keys, or one of its models,
// is ejected.
type OutlierDetectionConfig struct {
	// Do not eject: try providers in their order, even those that keep failing.
	Disabled bool `yaml:"disabled,omitempty"`
	// Consecutive failures that lead to ejection, 1 to 1000. A timeout, or a 504,
	// counts as two.
	ConsecutiveFailures int `yaml:"consecutive_failures,omitempty"`
	// Duration of the first ejection. Each further ejection lasts twice as long.
	BaseEjectionTime time.Duration `yaml:"base_ejection_time,omitempty"`
	// Maximum duration of an ejection.
	MaxEjectionTime time.Duration `yaml:"max_ejection_time,omitempty"`
}

// StrategyConfig is an ordered list of CEL expressions.
type StrategyConfig struct {
	// CEL expressions. The first that selects something applies.
	Strategy []string `yaml:"strategy,omitempty"`
}

// FailoverConfig is a list of statuses ("429", "5xx") and causes.
type FailoverConfig []string

// ProviderConfig is a provider: where its API is, its keys and its models.
type ProviderConfig struct {
	// Name of the provider, not case-sensitive: letters, digits, '.', '_' and '-', at
	// most 64.
	ID string `yaml:"id"`
	// Other names of the provider.
	IDAliases []string `yaml:"id_aliases,omitempty"`
	// Base URL of the provider's API: https, or http for internal hosts. Required
	// unless the id is in the catalogue.
	BaseURL string `yaml:"base_url,omitempty"`
	// Whether /v1 follows base_url in the provider's paths. false joins them as is:
	// base_url, then /chat/completions. If absent: true, unless base_url contains a
	// version or /openai/, or its host is known to have none.
	Versioned *bool `yaml:"versioned,omitempty"`
	// Credentials, tried in order. A provider that is not in the catalogue may have
	// none.
	APIKeys []APIKeyConfig `yaml:"api_keys,omitempty"`
	// Models of the provider. Clients can request others as provider:model, unless
	// only_allow_configured_models is set.
	Models []ModelConfig `yaml:"models,omitempty"`
	// Values for strategies. Not sent to providers.
	Metadata map[string]any `yaml:"metadata,omitempty"`
	// Human-readable name. Not sent to providers.
	DisplayName string `yaml:"display_name,omitempty"`
	// Human-readable description. Not sent to providers.
	Description string `yaml:"description,omitempty"`
	// Website of the provider. Not sent to providers.
	Website string `yaml:"website,omitempty"`
	// Ignore the provider.
	Disabled bool `yaml:"disabled,omitempty"`
	// Headers of requests to this provider. They replace those of the action. Values
	// may contain ${…}.
	Headers map[string]Template `yaml:"headers,omitempty"`
	// HTTP proxy through which this provider is reached, in place of the one of all
	// providers. An empty string means none.
	HTTPSProxy *Template `yaml:"https_proxy,omitempty"`
	// How the provider's certificate is verified, and the client certificate for the
	// provider.
	TLS *TLSConfig `yaml:"tls,omitempty"`
	// Use HTTP/2 for the provider. Over https it is negotiated (ALPN), with HTTP/1.1 if
	// the provider does not offer it. Over plain http the provider must support HTTP/2
	// with prior knowledge.
	HTTP2 bool `yaml:"http2,omitempty"`
	// Maximum time that a connection without requests stays open, 10ms to 1h. Must be
	// shorter than the provider's own keep-alive timeout.
	IdleTimeout time.Duration `yaml:"idle_timeout,omitempty"`
	// Maximum age of a connection, 1s to 24h. Running requests are completed on it.
	// Later requests use a new connection, and so the provider's current addresses.
	MaxConnectionDuration time.Duration `yaml:"max_connection_duration,omitempty"`
	// Timeout of one attempt at this provider, 1ms to 24h, in place of the action's. At
	// most total_timeout applies.
	PerRequestTimeout time.Duration `yaml:"per_request_timeout,omitempty"`
	// Maximum time without data inside a stream of this provider, 1ms to 24h, in place of
	// the action's.
	StreamIdleTimeout time.Duration `yaml:"stream_idle_timeout,omitempty"`
	// Add an error event to a stream of this provider that ends without its last event. If
	// absent, the action's value applies.
	StrictStreamEnd *bool `yaml:"strict_stream_end,omitempty"`
	// Header for the provider's key, if it is not the one of the format.
	Auth *AuthConfig `yaml:"auth,omitempty"`
	// What passes between clients and this provider in addition to what the APIs
	// define.
	Forward *ForwardConfig `yaml:"forward,omitempty"`
	// APIs that the provider serves.
	Surfaces []SurfaceConfig `yaml:"supported_api_surfaces,omitempty"`
}

// APIKeyConfig is a credential of a provider.
type APIKeyConfig struct {
	// The key. Use ${secrets.get('store', 'key')} to keep it out of the file.
	Value Template `yaml:"value"`
}

// TLSConfig is how a provider's certificate is verified, and the client certificate for
// the provider.
type TLSConfig struct {
	// PEM file of the certificates to trust in place of the system's. Relative to the
	// configuration file.
	CAFile string `yaml:"ca_file,omitempty"`
	// Do not verify the provider's certificate.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify,omitempty"`
	// Host name for SNI and certificate verification, if it is not the host of the base
	// URL.
	ServerName string `yaml:"server_name,omitempty"`
	// PEM file of the client certificate. Requires key_file.
	CertFile string `yaml:"cert_file,omitempty"`
	// PEM file of the private key of the client certificate. Requires cert_file.
	KeyFile string `yaml:"key_file,omitempty"`
}

// AuthConfig is the header for a provider's key. An absent prefix means the one of the
// format; an empty one means no prefix.
type AuthConfig struct {
	// Name of the header. Default by format: authorization (openai), x-api-key
	// (anthropic), api-key (hosts under openai.azure.com).
	Header string `yaml:"header,omitempty"`
	// Text before the key, such as "Bearer ". An empty string means no prefix.
	Prefix *string `yaml:"prefix,omitempty"`
}

// SurfaceConfig is an API that a provider serves.
type SurfaceConfig struct {
	// Family of the API.
	Format llm.Format `yaml:"format"`
	// One API of the format. If absent, all of them.
	Surface llm.Surface `yaml:"surface,omitempty"`
	// Base URL of this API, if it is not the provider's base_url.
	BaseURL string `yaml:"base_url,omitempty"`
	// Whether /v1 follows the base URL in the paths of this API. If absent: as for the
	// provider, or, if the surface has its own base_url, as for a provider that does not
	// set it.
	Versioned *bool `yaml:"versioned,omitempty"`
	// Top-level keys that the API accepts. Other keys are removed from the body.
	// Requires surface.
	SupportedParams []ParamConfig `yaml:"supported_params,omitempty"`
}

// ParamConfig is the name of a top-level key of a request body.
type ParamConfig struct {
	// Name of the key.
	Name string `yaml:"name"`
}

// ModelConfig is a model of a provider.
type ModelConfig struct {
	// Name that clients use for the model. It is also the name sent to the provider,
	// unless provider_model_id is set.
	ID string `yaml:"id"`
	// Name of the model at the provider.
	ProviderModelID string `yaml:"provider_model_id,omitempty"`
	// Other names that clients may use for the model.
	IDAliases []string `yaml:"id_aliases,omitempty"`
	// Author of the model, such as meta or openai.
	AuthorID string `yaml:"author_id,omitempty"`
	// Human-readable name. Not sent to providers.
	DisplayName string `yaml:"display_name,omitempty"`
	// Human-readable description. Not sent to providers.
	Description string `yaml:"description,omitempty"`
	// Ignore the model. Clients cannot request it as provider:model either.
	Disabled bool `yaml:"disabled,omitempty"`
	// Values for strategies. They override those of the provider. Not sent to
	// providers.
	Metadata map[string]any `yaml:"metadata,omitempty"`
	// Types of input that the model accepts.
	InputModalities []string `yaml:"input_modalities,omitempty"`
	// Types of output that the model generates.
	OutputModalities []string `yaml:"output_modalities,omitempty"`
	// Maximum length of prompt and response together, in tokens.
	MaxContextWindow int `yaml:"max_context_window,omitempty"`
	// Maximum length of a response, in tokens.
	MaxOutputTokens int `yaml:"max_output_tokens,omitempty"`
	// Features that the model supports.
	SupportedFeatures []string `yaml:"supported_features,omitempty"`
	// Top-level keys that are always removed from the body.
	UnsupportedParams []ParamConfig `yaml:"unsupported_params,omitempty"`
	// Prices of the model.
	Pricing *PricingConfig `yaml:"pricing,omitempty"`
}

// PricingConfig is in US dollars per million tokens, as decimal strings.
type PricingConfig struct {
	// Price of a million input tokens, in US dollars.
	Input string `yaml:"input,omitempty"`
	// Price of a million output tokens, in US dollars.
	Output string `yaml:"output,omitempty"`
	// Price of a million input tokens that are read from the cache, in US dollars.
	CacheRead string `yaml:"cache_read,omitempty"`
	// Price of a million input tokens that are written to the cache, in US dollars.
	CacheWrite string `yaml:"cache_write,omitempty"`
}

// Defaults of the fields that have one.
const (
	DefaultListen            = "127.0.0.1:8080"
	DefaultAdminListen       = "127.0.0.1:8081"
	DefaultMaxBodyBytes      = 32 << 20
	MaxMaxBodyBytes          = 512 << 20
	DefaultPerRequestTimeout = 3 * time.Minute
	DefaultTotalTimeout      = 6 * time.Minute
	DefaultStreamIdleTimeout = 5 * time.Minute
	DefaultCORSMaxAge        = 10 * time.Minute
	DefaultShutdownTimeout   = 10 * time.Second
	DefaultAccessLog         = "stdout"
	DefaultWindow            = time.Minute
	MinWindow                = time.Second
	MaxWindow                = time.Hour
	MaxTokens                = 500000

	// A pooled connection must be closed before the provider closes it; otherwise a
	// request can be sent on a connection that the provider is closing. Gunicorn keeps
	// idle connections for 2 s, uvicorn, Node.js and Apache for 5 s, and clouds keep TLS
	// connections for a minute or more.
	DefaultPlainIdleTimeout      = 1500 * time.Millisecond
	DefaultTLSIdleTimeout        = 50 * time.Second
	DefaultMaxConnectionDuration = 10 * time.Minute

	DefaultConsecutiveFailures = 5
	DefaultBaseEjectionTime    = 5 * time.Second
	DefaultMaxEjectionTime     = time.Minute
	MaxConsecutiveFailures     = 1000
)

// Presentable returns a copy that can be shown: credentials in its base URLs are
// redacted. Templates redact themselves.
func (c ProviderConfig) Presentable() ProviderConfig {
	c.BaseURL = RedactQuery(c.BaseURL)
	c.Surfaces = slices.Clone(c.Surfaces)
	for i := range c.Surfaces {
		c.Surfaces[i].BaseURL = RedactQuery(c.Surfaces[i].BaseURL)
	}
	return c
}
