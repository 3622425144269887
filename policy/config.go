package policy

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

// Config is the configuration file: Weir's own keys, and one traffic policy.
// The field names are the file's.
type Config struct {
	Listen          string            `yaml:"listen,omitempty"`
	Admin           AdminConfig       `yaml:"admin,omitempty"`
	Envoy           EnvoyConfig       `yaml:"envoy,omitempty"`
	Secrets         SecretsConfig     `yaml:"secrets,omitempty"`
	Telemetry       TelemetryConfig   `yaml:"telemetry,omitempty"`
	AccessKeys      []AccessKeyConfig `yaml:"access_keys,omitempty"`
	AllowAnonymous  bool              `yaml:"allow_anonymous,omitempty"`
	AllowHTTPHosts  []string          `yaml:"allow_http_hosts,omitempty"`
	MaxBodyBytes    int64             `yaml:"max_body_bytes,omitempty"`
	ConnectTo       map[string]string `yaml:"connect_to,omitempty"`
	OnHTTPRequest   []RuleConfig      `yaml:"on_http_request,omitempty"`
	ShortProviders  []ProviderConfig  `yaml:"providers,omitempty"`
	ShutdownTimeout time.Duration     `yaml:"shutdown_timeout,omitempty"`
}

// AdminConfig is the listener for operators.
type AdminConfig struct {
	Listen string `yaml:"listen,omitempty"`
}

// EnvoyConfig says how `weir run` runs Envoy and where `weir serve` meets it.
type EnvoyConfig struct {
	Path        string `yaml:"path,omitempty"`
	Concurrency int    `yaml:"concurrency,omitempty"`
	LogLevel    string `yaml:"log_level,omitempty"`
	Socket      string `yaml:"socket,omitempty"`
}

// SecretsConfig says where secrets are read from.
type SecretsConfig struct {
	Dir string `yaml:"dir,omitempty"`
}

// TelemetryConfig says what Weir learns and tells of requests. Access_log is
// stdout, stderr, off, or a file that lines are appended to. Window is what the
// metrics that strategies read cover.
type TelemetryConfig struct {
	Disabled  bool          `yaml:"disabled,omitempty"`
	AccessLog string        `yaml:"access_log,omitempty"`
	Window    time.Duration `yaml:"window,omitempty"`
}

// AccessKeyConfig is a credential that clients may present.
type AccessKeyConfig struct {
	Name          string               `yaml:"name,omitempty"`
	SHA256        string               `yaml:"sha256,omitempty"`
	Value         Template             `yaml:"value,omitempty"`
	Metadata      map[string]any       `yaml:"metadata,omitempty"`
	Configuration *AccessConfiguration `yaml:"configuration,omitempty"`
}

// AccessConfiguration is what an access key may use.
type AccessConfiguration struct {
	Access AccessConfig `yaml:"access,omitempty"`
}

// AccessConfig limits providers and models; an absent list is no limit, an
// empty one allows nothing.
type AccessConfig struct {
	Providers *AllowConfig `yaml:"providers,omitempty"`
	Models    *AllowConfig `yaml:"models,omitempty"`
}

// AllowConfig is a list of exact strings.
type AllowConfig struct {
	Allow []string `yaml:"allow"`
}

// RuleConfig is one entry of a traffic policy: an action, or a named group of
// actions.
type RuleConfig struct {
	Name        string         `yaml:"name,omitempty"`
	Expressions []string       `yaml:"expressions,omitempty"`
	Actions     []ActionConfig `yaml:"actions,omitempty"`
	Type        string         `yaml:"type,omitempty"`
	Config      *GatewayConfig `yaml:"config,omitempty"`
}

// ActionConfig is an action inside a group.
type ActionConfig struct {
	Type   string         `yaml:"type,omitempty"`
	Config *GatewayConfig `yaml:"config,omitempty"`
}

// GatewayConfig is the configuration of the ai-gateway action.
type GatewayConfig struct {
	Providers               []ProviderConfig    `yaml:"providers,omitempty"`
	OnlyConfiguredProviders bool                `yaml:"only_allow_configured_providers,omitempty"`
	OnlyConfiguredModels    bool                `yaml:"only_allow_configured_models,omitempty"`
	ModelSelection          *StrategyConfig     `yaml:"model_selection,omitempty"`
	APIKeySelection         *StrategyConfig     `yaml:"api_key_selection,omitempty"`
	Headers                 map[string]Template `yaml:"headers,omitempty"`
	QueryParams             map[string]Template `yaml:"query_params,omitempty"`
	Body                    map[string]RawValue `yaml:"body,omitempty"`
	PerRequestTimeout       time.Duration       `yaml:"per_request_timeout,omitempty"`
	TotalTimeout            time.Duration       `yaml:"total_timeout,omitempty"`
	StreamIdleTimeout       time.Duration       `yaml:"stream_idle_timeout,omitempty"`
	MaxInputTokens          int                 `yaml:"max_input_tokens,omitempty"`
	MaxOutputTokens         int                 `yaml:"max_output_tokens,omitempty"`
	OnError                 string              `yaml:"on_error,omitempty"`
	FailoverOn              FailoverConfig      `yaml:"failover_on,omitempty"`
}

// StrategyConfig is an ordered list of CEL expressions.
type StrategyConfig struct {
	Strategy []string `yaml:"strategy,omitempty"`
}

// FailoverConfig is a list of statuses ("429", "5xx") and causes.
type FailoverConfig []string

// ProviderConfig is one provider.
type ProviderConfig struct {
	ID          string              `yaml:"id"`
	IDAliases   []string            `yaml:"id_aliases,omitempty"`
	BaseURL     string              `yaml:"base_url,omitempty"`
	APIKeys     []APIKeyConfig      `yaml:"api_keys,omitempty"`
	Models      []ModelConfig       `yaml:"models,omitempty"`
	Metadata    map[string]any      `yaml:"metadata,omitempty"`
	DisplayName string              `yaml:"display_name,omitempty"`
	Description string              `yaml:"description,omitempty"`
	Website     string              `yaml:"website,omitempty"`
	Disabled    bool                `yaml:"disabled,omitempty"`
	Headers     map[string]Template `yaml:"headers,omitempty"`
	TLS         *TLSConfig          `yaml:"tls,omitempty"`
	Auth        *AuthConfig         `yaml:"auth,omitempty"`
	Surfaces    []SurfaceConfig     `yaml:"supported_api_surfaces,omitempty"`
}

// APIKeyConfig is one credential of a provider.
type APIKeyConfig struct {
	Value Template `yaml:"value"`
}

// TLSConfig is how a provider's certificate is checked and what Weir shows.
type TLSConfig struct {
	CAFile             string `yaml:"ca_file,omitempty"`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify,omitempty"`
	ServerName         string `yaml:"server_name,omitempty"`
	CertFile           string `yaml:"cert_file,omitempty"`
	KeyFile            string `yaml:"key_file,omitempty"`
}

// AuthConfig is the header that carries a provider's key. A prefix that is
// absent is the format's; an empty one is none.
type AuthConfig struct {
	Header string  `yaml:"header,omitempty"`
	Prefix *string `yaml:"prefix,omitempty"`
}

// SurfaceConfig is one API that a provider serves.
type SurfaceConfig struct {
	Format          Format        `yaml:"format"`
	Surface         Surface       `yaml:"surface,omitempty"`
	BaseURL         string        `yaml:"base_url,omitempty"`
	SupportedParams []ParamConfig `yaml:"supported_params,omitempty"`
}

// ParamConfig names a top-level key of a request body.
type ParamConfig struct {
	Name string `yaml:"name"`
}

// ModelConfig is one model of a provider.
type ModelConfig struct {
	ID                string         `yaml:"id"`
	ProviderModelID   string         `yaml:"provider_model_id,omitempty"`
	IDAliases         []string       `yaml:"id_aliases,omitempty"`
	AuthorID          string         `yaml:"author_id,omitempty"`
	DisplayName       string         `yaml:"display_name,omitempty"`
	Description       string         `yaml:"description,omitempty"`
	Disabled          bool           `yaml:"disabled,omitempty"`
	Metadata          map[string]any `yaml:"metadata,omitempty"`
	InputModalities   []string       `yaml:"input_modalities,omitempty"`
	OutputModalities  []string       `yaml:"output_modalities,omitempty"`
	MaxContextWindow  int            `yaml:"max_context_window,omitempty"`
	MaxOutputTokens   int            `yaml:"max_output_tokens,omitempty"`
	SupportedFeatures []string       `yaml:"supported_features,omitempty"`
	UnsupportedParams []ParamConfig  `yaml:"unsupported_params,omitempty"`
	Pricing           *PricingConfig `yaml:"pricing,omitempty"`
}

// PricingConfig is in US dollars per million tokens, as decimal strings.
type PricingConfig struct {
	Input      string `yaml:"input,omitempty"`
	Output     string `yaml:"output,omitempty"`
	CacheRead  string `yaml:"cache_read,omitempty"`
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
	minWindow                = time.Second
	maxWindow                = time.Hour
	maxTokens                = 500000
)

// Failover says after which failures the next attempt follows.
type Failover struct {
	Statuses       []int
	ConnectFailure bool
	Reset          bool
	Timeout        bool
}

// failoverDefault is spec 5.1: what says nothing against the request itself.
var failoverDefault = FailoverConfig{"connect_failure", "reset", "timeout", "401", "403", "404", "408", "409", "429", "5xx"}

// decodeNode takes statuses as numbers and as text.
func (f *FailoverConfig) decodeNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind != yaml.SequenceNode {
		d.mismatch(n, path, "be a list of statuses and causes")
		return
	}
	*f = FailoverConfig{}
	for i, entry := range n.Content {
		if entry = follow(entry); entry.Kind != yaml.ScalarNode {
			d.mismatch(entry, indexed(path, i), "be a status or a cause")
			continue
		}
		*f = append(*f, entry.Value)
	}
}

// parse turns the list into a Failover; each problem names its entry.
func (f FailoverConfig) parse() (Failover, map[int]error) {
	out := Failover{}
	problems := map[int]error{}
	seen := map[int]bool{}
	add := func(status int) {
		if !seen[status] {
			seen[status] = true
			out.Statuses = append(out.Statuses, status)
		}
	}
	for i, entry := range f {
		switch entry {
		case "connect_failure":
			out.ConnectFailure = true
		case "reset":
			out.Reset = true
		case "timeout":
			out.Timeout = true
		case "4xx", "5xx":
			first := int(entry[0]-'0') * 100
			for s := first; s < first+100; s++ {
				add(s)
			}
		default:
			var status int
			if _, err := fmt.Sscanf(entry, "%3d", &status); err != nil || len(entry) != 3 || status < 400 || status > 599 {
				problems[i] = fmt.Errorf("%q is no failure: write a status from 400 to 599, 4xx, 5xx, connect_failure, reset or timeout", entry)
				continue
			}
			add(status)
		}
	}
	return out, problems
}
