package config

import (
	"slices"
	"time"

	"weir/llm"
)

// Config is the configuration file: Weir's own keys, and one traffic policy.
// The field names are the file's.
type Config struct {
	// Address for clients, as host:port, or a list of addresses. Envoy listens there.
	// A port alone, such as 8080, is one of 127.0.0.1. An empty host, or [::], is every
	// address of IPv4 and IPv6; localhost is both loopback addresses. An address that other machines can reach needs access_keys
	// or allow_anonymous.
	Listen Addresses `yaml:"listen,omitempty"`
	// Clients reach the gateway by TLS. Without it, by plain HTTP.
	TLS *ListenTLSConfig `yaml:"tls,omitempty"`
	// Proxies in front of the gateway, as IP addresses or ranges. Where a
	// connection comes from one of them, the client is the last address in
	// X-Forwarded-For that is not in the list. Without proxies, the client's
	// address is the connection's.
	TrustedProxies []string `yaml:"trusted_proxies,omitempty"`
	// How many proxies every request comes through, where their addresses are not
	// known: the client's address is the one that the first of them added to
	// X-Forwarded-For. Only for a gateway that nobody can reach around them.
	XFFNumTrustedHops int `yaml:"xff_num_trusted_hops,omitempty"`
	// Every connection begins with a PROXY header, version 1 or 2, that states the
	// client's address. Connections from addresses outside trusted_proxies are
	// closed.
	ProxyProtocol bool `yaml:"proxy_protocol,omitempty"`
	// The listener for operators: /healthz, /readyz, /metrics.
	Admin AdminConfig `yaml:"admin,omitempty"`
	// The Envoy that `weir run` starts, and where `weir serve` meets one.
	Envoy EnvoyConfig `yaml:"envoy,omitempty"`
	// Where ${secrets.get('store', 'key')} looks, after the environment.
	Secrets SecretsConfig `yaml:"secrets,omitempty"`
	// What Weir learns and tells of requests.
	Telemetry TelemetryConfig `yaml:"telemetry,omitempty"`
	// Credentials of clients. With none, the gateway serves this machine only.
	AccessKeys []AccessKeyConfig `yaml:"access_keys,omitempty"`
	// Serve clients without a key, on any address.
	AllowAnonymous bool `yaml:"allow_anonymous,omitempty"`
	// Hosts, without scheme and port, that may be reached with plain http or at a
	// link-local address.
	AllowHTTPHosts []string `yaml:"allow_http_hosts,omitempty"`
	// Largest request body, in bytes. A larger one gets 413.
	MaxBodyBytes int64 `yaml:"max_body_bytes,omitempty"`
	// host:port of a base URL to the host:port that is dialled instead. Name, SNI
	// and :authority stay.
	ConnectTo map[string]string `yaml:"connect_to,omitempty"`
	// What clients may use of the gateway at once.
	Limits LimitsConfig `yaml:"limits,omitempty"`
	// The traffic policy: one ai-gateway action, or none.
	OnHTTPRequest []RuleConfig `yaml:"on_http_request,omitempty"`
	// Short for a traffic policy with nothing but providers.
	ShortProviders []ProviderConfig `yaml:"providers,omitempty"`
	// How long running requests may take to end when the gateway stops: 1ms to 24h.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout,omitempty"`
}

// AdminConfig is the listener for operators.
type AdminConfig struct {
	// Address for operators, as host:port; a port alone is one of 127.0.0.1. It is not
	// reloaded.
	Listen Address `yaml:"listen,omitempty"`
}

// EnvoyConfig says how `weir run` runs Envoy and where `weir serve` meets it.
type EnvoyConfig struct {
	// Envoy to run. Without it: $ENVOY_PATH, envoy on PATH, or one that is installed
	// into the user's cache.
	Path string `yaml:"path,omitempty"`
	// Threads that move requests; 0 is one for each CPU.
	Concurrency int `yaml:"concurrency,omitempty"`
	// Least level that Envoy logs. Levels debug and trace apply only to components
	// that do not see requests.
	LogLevel string `yaml:"log_level,omitempty"`
	// Unix socket where `weir serve` meets Envoy. Without it: /run/weir/weir.sock,
	// or for other users than root in $XDG_RUNTIME_DIR/weir, or else in weir-UID
	// in the temporary folder. No other user may be able to write to its folder,
	// or to replace it.
	Socket string `yaml:"socket,omitempty"`
	// Users, by name or uid, whose Envoy may connect to the socket of `weir
	// serve`, in addition to Weir's own user and root. That Envoy gets all
	// provider keys. It is not reloaded.
	Users UserList `yaml:"users,omitempty"`
}

// SecretsConfig says where secrets are read from.
type SecretsConfig struct {
	// Folder of secrets, one file each: <store>/<key>. Relative to the
	// configuration file.
	Dir string `yaml:"dir,omitempty"`
}

// TelemetryConfig says what Weir learns and tells of requests.
type TelemetryConfig struct {
	// Envoy tells Weir nothing of requests: no access log, and no metrics of them.
	Disabled bool `yaml:"disabled,omitempty"`
	// Envoy looks for the last event of every stream, and a stream that ends without
	// it is marked. It costs Envoy a few microseconds for each event.
	StreamEnd bool `yaml:"stream_end,omitempty"`
	// Where a line of JSON for each request goes: stdout, stderr, off, or a file that
	// lines are appended to. It is not reloaded.
	AccessLog string `yaml:"access_log,omitempty"`
	// What the metrics that strategies read cover, 1s to 1h. It is not reloaded.
	Window time.Duration `yaml:"window,omitempty"`
}

// AccessKeyConfig is a credential that clients may present.
type AccessKeyConfig struct {
	// What the key is called in logs and strategies.
	Name string `yaml:"name"`
	// SHA-256 of the key, in hexadecimal.
	SHA256 string `yaml:"sha256,omitempty"`
	// The key itself, from a secret; at least 16 characters.
	Value Template `yaml:"value,omitempty"`
	// For strategies, as key.metadata; never sent.
	Metadata map[string]any `yaml:"metadata,omitempty"`
	// What the key may use; everything, without it.
	Configuration *AccessConfiguration `yaml:"configuration,omitempty"`
	// Limits of this key, instead of the limits per key under limits.
	Limits KeyLimitsConfig `yaml:"limits,omitempty"`
}

// AccessConfiguration is what an access key may use.
type AccessConfiguration struct {
	// Providers and models that the key may use.
	Access AccessConfig `yaml:"access,omitempty"`
}

// AccessConfig limits providers and models; an absent list is no limit, an
// empty one allows nothing.
type AccessConfig struct {
	// Providers by id.
	Providers *AllowConfig `yaml:"providers,omitempty"`
	// Models as provider:model.
	Models *AllowConfig `yaml:"models,omitempty"`
}

// AllowConfig is a list of exact strings.
type AllowConfig struct {
	// Exact strings; [] allows nothing.
	Allow []string `yaml:"allow"`
}

// RuleConfig is one entry of a traffic policy: an action, or a named group of
// actions.
type RuleConfig struct {
	// Name of the group; it changes nothing.
	Name string `yaml:"name,omitempty"`
	// Conditions of the group. An ai-gateway action takes every request, so there is
	// none.
	Expressions []string `yaml:"expressions,omitempty"`
	// The long form: the actions of the group.
	Actions []ActionConfig `yaml:"actions,omitempty"`
	// The short form: the type of the only action.
	Type string `yaml:"type,omitempty"`
	// The short form: the configuration of the only action.
	Config *GatewayConfig `yaml:"config,omitempty"`
}

// ActionConfig is an action inside a group.
type ActionConfig struct {
	// The type of the action.
	Type string `yaml:"type"`
	// The configuration of the action.
	Config *GatewayConfig `yaml:"config,omitempty"`
}

// GatewayConfig is the configuration of the ai-gateway action.
type GatewayConfig struct {
	// Providers, in order of preference. An entry with the id of a catalogue
	// provider overlays it.
	Providers []ProviderConfig `yaml:"providers,omitempty"`
	// The catalogue's other providers cannot be asked for.
	OnlyConfiguredProviders bool `yaml:"only_allow_configured_providers,omitempty"`
	// Only models that are listed under a provider can be asked for.
	OnlyConfiguredModels bool `yaml:"only_allow_configured_models,omitempty"`
	// Which models serve a request, and in which order.
	ModelSelection *StrategyConfig `yaml:"model_selection,omitempty"`
	// Which keys of a provider are used, and in which order.
	APIKeySelection *StrategyConfig `yaml:"api_key_selection,omitempty"`
	// Headers of every provider request, over the client's own. Values may hold
	// ${…}: secrets, and expressions over the request and the access key.
	Headers map[string]Template `yaml:"headers,omitempty"`
	// Parameters that are added to every provider's URL. Values may hold ${…}, but
	// no secrets: URLs end up in logs.
	QueryParams map[string]Template `yaml:"query_params,omitempty"`
	// Top-level keys of the request body, over the client's own. Any JSON value;
	// strings in it may hold ${…}.
	Body map[string]RawValue `yaml:"body,omitempty"`
	// One attempt, 1ms to 24h: until the content of a stream begins, or until any
	// other answer ends. At most total_timeout counts.
	PerRequestTimeout time.Duration `yaml:"per_request_timeout,omitempty"`
	// All attempts together, 1ms to 24h; of a stream, until its content begins.
	TotalTimeout time.Duration `yaml:"total_timeout,omitempty"`
	// Longest silence inside a stream, 1ms to 24h.
	StreamIdleTimeout time.Duration `yaml:"stream_idle_timeout,omitempty"`
	// Largest prompt, in estimated tokens.
	MaxInputTokens int `yaml:"max_input_tokens,omitempty"`
	// Longest answer, in tokens: the request's own limit is set to it where it is
	// larger or absent.
	MaxOutputTokens int `yaml:"max_output_tokens,omitempty"`
	// What happens when no attempt succeeds: halt, as nothing follows the action.
	OnError string `yaml:"on_error,omitempty"`
	// After which failures the next attempt follows: HTTP statuses, as numbers or
	// strings, and causes. connect_failure is name resolution, TCP and TLS; reset a
	// connection that ended before an answer began; timeout is per_request_timeout.
	// Envoy has one word for the last two: either stands for both.
	FailoverOn FailoverConfig `yaml:"failover_on,omitempty"`
	// When a provider that keeps failing is tried after all others.
	OutlierDetection *OutlierDetectionConfig `yaml:"outlier_detection,omitempty"`
	// Whether an answer is held until its content begins, so that the next attempt
	// can follow one that only looks like an answer: on or off.
	ResponseGate string `yaml:"response_gate,omitempty"`
	// A stream that ends without its last event ends in an error event.
	StrictStreamEnd bool `yaml:"strict_stream_end,omitempty"`
}

// OutlierDetectionConfig says when a provider with one of its keys, or a model
// there, is ejected.
type OutlierDetectionConfig struct {
	// Providers are tried in their order, however they fare.
	Disabled bool `yaml:"disabled,omitempty"`
	// Failures in a row that eject, 1 to 1000. A timeout, or a 504, counts as two.
	ConsecutiveFailures int `yaml:"consecutive_failures,omitempty"`
	// How long the first ejection lasts; each further one lasts twice as long.
	BaseEjectionTime time.Duration `yaml:"base_ejection_time,omitempty"`
	// The longest that an ejection lasts.
	MaxEjectionTime time.Duration `yaml:"max_ejection_time,omitempty"`
}

// StrategyConfig is an ordered list of CEL expressions.
type StrategyConfig struct {
	// CEL expressions, tried in order.
	Strategy []string `yaml:"strategy,omitempty"`
}

// FailoverConfig is a list of statuses ("429", "5xx") and causes.
type FailoverConfig []string

// ProviderConfig is one provider.
type ProviderConfig struct {
	// Name of the provider, without regard to case: letters, digits, '.', '_' and
	// '-', at most 64.
	ID string `yaml:"id"`
	// Other names of the provider.
	IDAliases []string `yaml:"id_aliases,omitempty"`
	// Where the provider's API is: https, or http for hosts inside. Required unless
	// the id is in the catalogue.
	BaseURL string `yaml:"base_url,omitempty"`
	// Credentials, tried in order. A custom provider may have none.
	APIKeys []APIKeyConfig `yaml:"api_keys,omitempty"`
	// Models that the provider offers. Others can be asked for as provider:model,
	// unless only_allow_configured_models is set.
	Models []ModelConfig `yaml:"models,omitempty"`
	// For strategies; never sent.
	Metadata map[string]any `yaml:"metadata,omitempty"`
	// Name for people; never sent.
	DisplayName string `yaml:"display_name,omitempty"`
	// For people; never sent.
	Description string `yaml:"description,omitempty"`
	// For people; never sent.
	Website string `yaml:"website,omitempty"`
	// As if the provider were not there.
	Disabled bool `yaml:"disabled,omitempty"`
	// Headers for this provider, over the action's. Values may hold ${…}, as there.
	Headers map[string]Template `yaml:"headers,omitempty"`
	// How the provider's certificate is checked, and which one is shown to it.
	TLS *TLSConfig `yaml:"tls,omitempty"`
	// Speak HTTP/2 to the provider. Over https it is negotiated (ALPN), and
	// HTTP/1.1 remains where the provider does not offer it; over plain http the
	// provider must support it with prior knowledge.
	HTTP2 bool `yaml:"http2,omitempty"`
	// How long a connection without requests is kept, 10ms to 1h. It must be
	// shorter than the provider's own keep-alive timeout.
	IdleTimeout time.Duration `yaml:"idle_timeout,omitempty"`
	// Maximum age of a connection, 1s to 24h. Running requests are completed on
	// it; later requests use a new connection, and so the provider's current
	// addresses.
	MaxConnectionDuration time.Duration `yaml:"max_connection_duration,omitempty"`
	// The header that carries the key, where it is not the format's own.
	Auth *AuthConfig `yaml:"auth,omitempty"`
	// What passes between clients and this provider in addition to what the APIs
	// define.
	Forward *ForwardConfig `yaml:"forward,omitempty"`
	// The APIs that the provider serves.
	Surfaces []SurfaceConfig `yaml:"supported_api_surfaces,omitempty"`
}

// APIKeyConfig is one credential of a provider.
type APIKeyConfig struct {
	// The key; keep it out of the file with ${secrets.get('store', 'key')}.
	Value Template `yaml:"value"`
}

// TLSConfig is how a provider's certificate is checked and what Weir shows.
type TLSConfig struct {
	// PEM file of the certificates that are trusted instead of the system's.
	// Relative to the configuration file.
	CAFile string `yaml:"ca_file,omitempty"`
	// Accept any certificate.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify,omitempty"`
	// Name in the certificate and in SNI, where it is not the base URL's host.
	ServerName string `yaml:"server_name,omitempty"`
	// PEM file of the client certificate; with key_file.
	CertFile string `yaml:"cert_file,omitempty"`
	// PEM file of the client certificate's key; with cert_file.
	KeyFile string `yaml:"key_file,omitempty"`
}

// AuthConfig is the header that carries a provider's key. A prefix that is
// absent is the format's; an empty one is none.
type AuthConfig struct {
	// Name of the header. By format: authorization (openai), x-api-key (anthropic),
	// api-key (hosts under openai.azure.com).
	Header string `yaml:"header,omitempty"`
	// What stands before the key, such as "Bearer "; an empty one is none.
	Prefix *string `yaml:"prefix,omitempty"`
}

// SurfaceConfig is one API that a provider serves.
type SurfaceConfig struct {
	// The family of the API.
	Format llm.Format `yaml:"format"`
	// One API of the format; without it, all of them.
	Surface llm.Surface `yaml:"surface,omitempty"`
	// Where this API is, if not at the provider's base_url.
	BaseURL string `yaml:"base_url,omitempty"`
	// Top-level keys that the API takes: others are dropped from the body. It needs
	// surface.
	SupportedParams []ParamConfig `yaml:"supported_params,omitempty"`
}

// ParamConfig names a top-level key of a request body.
type ParamConfig struct {
	// Name of the key.
	Name string `yaml:"name"`
}

// ModelConfig is one model of a provider.
type ModelConfig struct {
	// Name of the model: the provider's own, unless provider_model_id says another.
	ID string `yaml:"id"`
	// What the provider calls the model.
	ProviderModelID string `yaml:"provider_model_id,omitempty"`
	// Other names of the model.
	IDAliases []string `yaml:"id_aliases,omitempty"`
	// Who made the model.
	AuthorID string `yaml:"author_id,omitempty"`
	// Name for people; never sent.
	DisplayName string `yaml:"display_name,omitempty"`
	// For people; never sent.
	Description string `yaml:"description,omitempty"`
	// As if the model were not there; it does not pass through unlisted either.
	Disabled bool `yaml:"disabled,omitempty"`
	// For strategies, over the provider's; never sent.
	Metadata map[string]any `yaml:"metadata,omitempty"`
	// What the model takes.
	InputModalities []string `yaml:"input_modalities,omitempty"`
	// What the model gives.
	OutputModalities []string `yaml:"output_modalities,omitempty"`
	// Longest prompt and answer together, in tokens.
	MaxContextWindow int `yaml:"max_context_window,omitempty"`
	// Longest answer that the model gives, in tokens.
	MaxOutputTokens int `yaml:"max_output_tokens,omitempty"`
	// What the model can do.
	SupportedFeatures []string `yaml:"supported_features,omitempty"`
	// Top-level keys that are always dropped from the body.
	UnsupportedParams []ParamConfig `yaml:"unsupported_params,omitempty"`
	// What the model costs.
	Pricing *PricingConfig `yaml:"pricing,omitempty"`
}

// PricingConfig is in US dollars per million tokens, as decimal strings.
type PricingConfig struct {
	// A million tokens of prompt.
	Input string `yaml:"input,omitempty"`
	// A million tokens of answer.
	Output string `yaml:"output,omitempty"`
	// A million tokens of prompt that came from the cache.
	CacheRead string `yaml:"cache_read,omitempty"`
	// A million tokens of prompt that went into the cache.
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
	DefaultShutdownTimeout   = 10 * time.Second
	DefaultAccessLog         = "stdout"
	DefaultWindow            = time.Minute
	MinWindow                = time.Second
	MaxWindow                = time.Hour
	MaxTokens                = 500000

	// A pooled connection must be closed before the provider closes it, or a
	// request meets the close. Gunicorn keeps plain connections for 2 s, uvicorn,
	// Node.js and Apache for 5 s; clouds keep TLS connections for a minute and more.
	DefaultPlainIdleTimeout      = 1500 * time.Millisecond
	DefaultTLSIdleTimeout        = 50 * time.Second
	DefaultMaxConnectionDuration = 10 * time.Minute

	DefaultConsecutiveFailures = 5
	DefaultBaseEjectionTime    = 5 * time.Second
	DefaultMaxEjectionTime     = time.Minute
	MaxConsecutiveFailures     = 1000
)

// Presentable hides credentials in base URLs. Templates hide themselves.
func (c ProviderConfig) Presentable() ProviderConfig {
	c.BaseURL = RedactQuery(c.BaseURL)
	c.Surfaces = slices.Clone(c.Surfaces)
	for i := range c.Surfaces {
		c.Surfaces[i].BaseURL = RedactQuery(c.Surfaces[i].BaseURL)
	}
	return c
}
