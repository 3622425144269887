package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"weir/llm"
	"weir/policy/catalogue"
	"weir/policy/config"
)

// Source is a configuration and what it may refer to.
type Source struct {
	File     string
	Data     []byte
	Getenv   func(string) string
	ReadFile func(string) ([]byte, error)
	// Own is where the gateway itself can be reached. If it is empty, only loopback
	// addresses are known to lead to it.
	Own Own
}

// Load compiles a configuration, or returns every problem in it.
func Load(src Source) (*Policy, *AccessKeys, config.Problems) {
	loaded, problems := Reload(src, Loaded{})
	return loaded.Policy, loaded.Keys, problems
}

// Reload compiles a configuration, or returns every problem in it. What has not changed
// since known was loaded is not compiled again: if only access keys changed, the result
// has the Policy of known.
func Reload(src Source, known Loaded) (Loaded, config.Problems) {
	if known.places[""].File != src.File {
		known = Loaded{} // other files may be found relative to it
	}
	policy, keys, file := known.Policy, known.Keys, digest(string(src.Data))
	if policy != nil && known.file == file && keys.inputs.same(src) && policy.inputs.same(src) {
		return known, nil
	}
	l := &loader{cfg: &config.Config{}, seen: map[config.Problem]bool{}, inputs: inputs{}, paths: map[string]string{}}
	l.pos, l.problems = config.Decode(src.File, src.Data, l.cfg)
	l.decoded = l.problems[:len(l.problems):len(l.problems)]
	l.src = l.recording(src)
	l.store = l.secretStore()
	if policy != nil && len(l.problems) == 0 && l.version(policy.inputs) == policy.Version && policy.inputs.same(src) {
		keys = l.accessKeys(policy.Limits, policy.MaxBodyBytes)
	} else {
		policy, keys = l.policy()
	}
	if len(l.problems) > 0 {
		l.problems.Sort()
		return Loaded{}, l.problems
	}
	return Loaded{Policy: policy, Keys: keys, file: file, places: l.places(policy)}, nil
}

// loader carries what validation needs from field to field.
type loader struct {
	src      Source
	cfg      *config.Config
	pos      *config.Positions
	decoded  config.Problems // those of the decoder, the first of problems
	problems config.Problems
	seen     map[config.Problem]bool
	store    config.SecretStore
	own      []ownListener
	paths    map[string]string // of providers in the file, by their ids
	// catalogue are the providers that need no configuration.
	catalogue []catalogue.Provider

	expiries []Expiry
	doubts   []doubt
	inputs   inputs
	returned map[string]bool // the names of response headers that providers add
}

// inputs are the hashes of what came from outside of the file, by its names.
type inputs map[string]string

// What an input's name begins with.
const (
	inputEnv  = "env "
	inputFile = "file "
)

// problem reports a problem once: the surfaces of a provider are read one by one, and share
// most fields. It reports nothing for a value that the decoder has already rejected.
func (l *loader) problem(path, format string, args ...any) {
	p := l.pos.Problem(path, format, args...)
	if l.unreadable(path) || l.seen[p] {
		return
	}
	l.seen[p] = true
	l.problems = append(l.problems, p)
}

// unreadable reports whether the decoder refused the value at a path, a part of it, or a
// value that contains it, or found it under a name that is not its own.
func (l *loader) unreadable(path string) bool {
	within := func(path, outer string) bool {
		rest, ok := strings.CutPrefix(path, outer)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	return slices.ContainsFunc(l.decoded, func(p config.Problem) bool {
		return within(p.Path, path) || p.Unread != "" && within(path, p.Unread)
	})
}

// recording returns src, changed to record hashes of what is read, so that the version of
// the policy depends on it.
func (l *loader) recording(src Source) Source {
	getenv, readFile := src.Getenv, src.ReadFile
	src.Getenv = func(name string) string {
		v := getenv(name)
		l.inputs[inputEnv+name] = digest(v)
		return v
	}
	src.ReadFile = func(name string) ([]byte, error) {
		b, err := readFile(name)
		l.inputs[inputFile+name] = digest(string(b))
		return b, err
	}
	return src
}

// same reports whether the inputs are unchanged. It reads the files.
func (in inputs) same(src Source) bool {
	for input, before := range in {
		var now string
		if name, ok := strings.CutPrefix(input, inputEnv); ok {
			now = src.Getenv(name)
		} else {
			b, _ := src.ReadFile(strings.TrimPrefix(input, inputFile)) // no file is as good as an empty one, as for Load
			now = string(b)
		}
		if digest(now) != before {
			return false
		}
	}
	return true
}

// version returns the version of the policy that is made of the file and these
// inputs. The access keys are left out, but not whether there are any.
func (l *loader) version(in inputs) string {
	start, end := l.pos.Section(l.src.Data, accessKeysField)
	return contentHash([]any{string(l.src.Data[:start]), string(l.src.Data[end:]), len(l.cfg.AccessKeys) == 0, in})
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// readFile reads a file that the configuration names, relative to itself.
func (l *loader) readFile(path, name string) string {
	b, err := l.src.ReadFile(l.relative(name))
	if err != nil {
		l.problem(path, "%v", err)
	} else if len(b) == 0 {
		l.problem(path, "%s is empty", name)
	}
	return string(b)
}

func (l *loader) relative(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(l.src.File), name)
}

func (l *loader) secretStore() config.SecretStore {
	dir := l.cfg.Secrets.Dir
	if dir != "" {
		dir = l.relative(dir)
	}
	return config.SecretStore{Getenv: l.src.Getenv, ReadFile: l.src.ReadFile, Dir: dir}
}

func (l *loader) policy() (*Policy, *AccessKeys) {
	cfg := l.cfg
	p := &Policy{Config: cfg, Secrets: map[string]config.Secret{}, Certificates: map[string]Certificate{}}
	p.Listen = l.listen()
	p.AdminListen = l.adminListen(p.Listen)
	p.ListenTLS = l.listenTLS()
	p.CORS = l.cors()
	p.Proxies = l.proxies()
	p.MaxBodyBytes = config.DefaultMaxBodyBytes
	if cfg.MaxBodyBytes != 0 {
		p.MaxBodyBytes = int(cfg.MaxBodyBytes)
		if cfg.MaxBodyBytes < 1024 || cfg.MaxBodyBytes > config.MaxMaxBodyBytes {
			l.problem("max_body_bytes", "must be from 1024 to %d bytes", config.MaxMaxBodyBytes)
		}
	}
	l.clientLimits(p)
	p.ShutdownTimeout = l.duration("shutdown_timeout", cfg.ShutdownTimeout, config.DefaultShutdownTimeout)
	l.limits(p)
	l.telemetry(p)
	l.anonymous(p)
	keys := l.accessKeys(p.Limits, p.MaxBodyBytes)
	l.envoy()
	l.httpHosts()
	l.connectTo()

	l.own = l.ownListeners(p)

	gateway, at := l.gateway()
	p.gateway = gateway
	p.PerRequestTimeout = l.duration(at+"per_request_timeout", gateway.PerRequestTimeout, config.DefaultPerRequestTimeout)
	p.TotalTimeout = l.duration(at+"total_timeout", gateway.TotalTimeout, config.DefaultTotalTimeout)
	p.StreamIdleTimeout = l.duration(at+"stream_idle_timeout", gateway.StreamIdleTimeout, config.DefaultStreamIdleTimeout)
	l.providerTimeouts(p, gateway, at)
	l.gatewayFields(p, gateway, at)
	l.providers(p, gateway, at)
	l.defaultProvider(p, gateway, at)
	l.compile(p, gateway, at)

	p.NeedsClientAddress = p.uses.Conn
	p.Expiries = l.expiries
	p.doubts = l.doubts
	p.paths = l.paths
	p.inputs = l.inputs
	p.Version = l.version(p.inputs)
	p.hop = hopName(p.Version)
	cfg.AccessKeys = nil // they change without the policy
	return p, keys
}

func (l *loader) duration(path string, value, fallback time.Duration) time.Duration {
	if value == 0 {
		return fallback
	}
	if value < time.Millisecond || value > 24*time.Hour {
		l.problem(path, "%s is out of range: write a duration from 1ms to 24h", value)
	}
	return value
}

// providerTimeouts checks the timeouts that providers have in place of the action's.
func (l *loader) providerTimeouts(p *Policy, g *config.GatewayConfig, at string) {
	p.longestIdle = p.StreamIdleTimeout
	if g.PerRequestTimeout > p.TotalTimeout {
		p.cutTimeouts = append(p.cutTimeouts, at+"per_request_timeout")
	}
	for i := range g.Providers {
		c, path := &g.Providers[i], config.IndexPath(at+"providers", i)
		l.duration(path+".per_request_timeout", c.PerRequestTimeout, 0)
		p.longestIdle = max(p.longestIdle, l.duration(path+".stream_idle_timeout", c.StreamIdleTimeout, 0))
		if c.PerRequestTimeout > p.TotalTimeout {
			p.cutTimeouts = append(p.cutTimeouts, path+".per_request_timeout")
		}
		p.longestAttempt = max(p.longestAttempt, c.PerRequestTimeout)
		p.ownTimeouts = p.ownTimeouts || c.PerRequestTimeout != 0
	}
}

func (l *loader) telemetry(p *Policy) {
	c := l.cfg.Telemetry
	p.Telemetry = !c.Disabled
	p.StreamEnd = c.StreamEnd && p.Telemetry
	p.AccessLog = cmp.Or(c.AccessLog, config.DefaultAccessLog)
	if p.AccessLog != "stdout" && p.AccessLog != "stderr" && p.AccessLog != "off" {
		p.AccessLog = l.relative(p.AccessLog)
	}
	p.Window = l.duration("telemetry.window", c.Window, config.DefaultWindow)
	if p.Window < config.MinWindow || p.Window > config.MaxWindow {
		l.problem("telemetry.window", "must be from %s to %s", config.MinWindow, config.MaxWindow)
	}
}

func (l *loader) envoy() {
	c := l.cfg.Envoy
	if c.Concurrency < 0 {
		l.problem("envoy.concurrency", "must not be negative")
	}
	if c.LogLevel != "" && !slices.Contains(config.LogLevels(), c.LogLevel) {
		l.problem("envoy.log_level", "%q is unknown: write one of %s", llm.Clip(c.LogLevel), strings.Join(config.LogLevels(), ", "))
	}
	l.envoyUsers(c.Users)
}

// httpHosts checks the hosts that base URLs are compared with. An entry with a scheme or a
// port would match none.
func (l *loader) httpHosts() {
	for i, host := range l.cfg.AllowHTTPHosts {
		bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		if _, err := netip.ParseAddr(bare); err != nil && config.CheckHostName(strings.ToLower(bare)) != nil {
			l.problem(config.IndexPath("allow_http_hosts", i), "invalid host %q: write a name or an address, without scheme and port", llm.Clip(host))
		}
	}
}

// connectTo checks the addresses that base URLs are looked up by. An entry without a port
// would match none.
func (l *loader) connectTo() {
	for _, from := range sortedKeys(l.cfg.ConnectTo) {
		if _, port, err := net.SplitHostPort(from); err != nil || port == "" {
			l.problem(config.JoinPath("connect_to", from), "is not a valid address: write host:port, as in a base URL")
		}
	}
}
