package policy

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed catalogue.yaml
var catalogueYAML []byte

// Source is a configuration and what it may refer to.
type Source struct {
	File     string
	Data     []byte
	Getenv   func(string) string
	ReadFile func(string) ([]byte, error)
}

// Load turns a configuration into a Policy, or gives every problem in it.
func Load(src Source) (*Policy, Problems) {
	cfg := &Config{}
	pos, problems := decode(src.File, src.Data, cfg)
	l := &loader{src: src, cfg: cfg, pos: pos, problems: problems, files: map[string]bool{}}
	p := l.policy()
	if len(l.problems) > 0 {
		l.problems.sort()
		return nil, l.problems
	}
	return p, nil
}

// loader carries what validation needs from field to field.
type loader struct {
	src      Source
	cfg      *Config
	pos      *positions
	problems Problems
	store    SecretStore
	files    map[string]bool
}

func (l *loader) problem(path, format string, args ...any) {
	l.problems = append(l.problems, l.pos.problem(path, format, args...))
}

// readFile reads a file that the configuration names, relative to itself.
func (l *loader) readFile(path, name string) string {
	if name == "" {
		return ""
	}
	full := l.relative(name)
	l.files[full] = true
	b, err := l.src.ReadFile(full)
	if err != nil {
		l.problem(path, "%v", err)
		return ""
	}
	return string(b)
}

func (l *loader) relative(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(l.src.File), name)
}

func (l *loader) policy() *Policy {
	cfg := l.cfg
	dir := cfg.Secrets.Dir
	if dir != "" {
		dir = l.relative(dir)
	}
	l.store = SecretStore{Getenv: l.src.Getenv, Dir: dir, ReadFile: func(name string) ([]byte, error) {
		l.files[name] = true
		return l.src.ReadFile(name)
	}}

	p := &Policy{Config: cfg, Secrets: map[string]Secret{}, Certificates: map[string]Certificate{}}
	p.Listen = l.address("listen", cfg.Listen, DefaultListen)
	p.AdminListen = l.address("admin.listen", cfg.Admin.Listen, DefaultAdminListen)
	p.MaxBodyBytes = DefaultMaxBodyBytes
	if cfg.MaxBodyBytes != 0 {
		p.MaxBodyBytes = int(cfg.MaxBodyBytes)
		if cfg.MaxBodyBytes < 1024 || cfg.MaxBodyBytes > MaxMaxBodyBytes {
			l.problem("max_body_bytes", "must be from 1024 to %d bytes", MaxMaxBodyBytes)
		}
	}
	p.ShutdownTimeout = l.duration("shutdown_timeout", cfg.ShutdownTimeout, DefaultShutdownTimeout)
	l.accessKeys(p)

	gateway, at := l.gateway()
	p.gateway = gateway
	p.PerRequestTimeout = l.duration(at+"per_request_timeout", gateway.PerRequestTimeout, DefaultPerRequestTimeout)
	p.TotalTimeout = l.duration(at+"total_timeout", gateway.TotalTimeout, DefaultTotalTimeout)
	p.StreamIdleTimeout = l.duration(at+"stream_idle_timeout", gateway.StreamIdleTimeout, DefaultStreamIdleTimeout)
	l.gatewayFields(p, gateway, at)
	l.providers(p, gateway, at)

	for f := range l.files {
		p.Files = append(p.Files, f)
	}
	p.Version = contentHash([]any{string(l.src.Data), secretHashes(p)})
	return p
}

// address checks a host:port to listen on.
func (l *loader) address(path, value, fallback string) string {
	if value == "" {
		return fallback
	}
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		l.problem(path, "%q is no address: write host:port, such as %s", value, fallback)
		return fallback
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		l.problem(path, "%q is no port: write a number from 0 to 65535", port)
	}
	if host != "" && host != "localhost" {
		if _, err := netip.ParseAddr(host); err != nil {
			l.problem(path, "%q is no IP address: listen on an address of this machine, or on 0.0.0.0 for all", host)
		}
	}
	return value
}

// Loopback says whether an address to listen on is reachable from this
// machine only.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
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

func (l *loader) accessKeys(p *Policy) {
	p.keys = map[[32]byte]*AccessKey{}
	names := map[string]bool{}
	for i, k := range l.cfg.AccessKeys {
		at := fmt.Sprintf("access_keys[%d]", i)
		if k.Name == "" {
			l.problem(at, "name is missing")
		} else if names[k.Name] {
			l.problem(at+".name", "%q stands twice", k.Name)
		}
		names[k.Name] = true
		var hash [32]byte
		switch {
		case (k.SHA256 == "") == (k.Value == ""):
			l.problem(at, "write either sha256 or value")
			continue
		case k.SHA256 != "":
			b, err := hex.DecodeString(k.SHA256)
			if err != nil || len(b) != len(hash) {
				l.problem(at+".sha256", "must be 64 hexadecimal digits: the SHA-256 of the key")
				continue
			}
			copy(hash[:], b)
		default:
			v, err := k.Value.expand(l.store)
			if err != nil {
				l.problem(at+".value", "%v", err)
				continue
			}
			if len(v.value.Reveal()) < 16 {
				l.problem(at+".value", "is too short for a key: use at least 16 characters, better 32 random bytes")
				continue
			}
			hash = sha256Sum(v.value)
		}
		if p.keys[hash] != nil {
			l.problem(at, "the same key stands twice")
		}
		p.keys[hash] = accessKey(k)
	}
	p.anonymous = len(l.cfg.AccessKeys) == 0
	if p.anonymous && !l.cfg.AllowAnonymous && !Loopback(p.Listen) {
		l.problem("listen", "%s can be reached from other machines, and there are no access_keys: add one, listen on 127.0.0.1, or set allow_anonymous: true", p.Listen)
	}
}

func accessKey(k AccessKeyConfig) *AccessKey {
	set := func(a *AllowConfig) map[string]bool {
		if a == nil {
			return nil
		}
		m := make(map[string]bool, len(a.Allow))
		for _, s := range a.Allow {
			m[s] = true
		}
		return m
	}
	key := &AccessKey{Name: k.Name}
	if k.Configuration != nil {
		key.providers = set(k.Configuration.Access.Providers)
		key.models = set(k.Configuration.Access.Models)
	}
	return key
}

// gateway finds the one ai-gateway action and where its fields stand.
func (l *loader) gateway() (*GatewayConfig, string) {
	var found *GatewayConfig
	at := ""
	action := func(path, kind string, c *GatewayConfig) {
		switch {
		case kind == "":
			l.problem(path, "type is missing: write ai-gateway")
		case kind != "ai-gateway":
			l.problem(path+".type", "%q is no action of Weir: it has ai-gateway only", kind)
		case found != nil:
			l.problem(path, "a second ai-gateway action: there can be one")
		default:
			if c == nil {
				c = &GatewayConfig{}
			}
			found, at = c, path+".config."
		}
	}
	for i, r := range l.cfg.OnHTTPRequest {
		path := fmt.Sprintf("on_http_request[%d]", i)
		if len(r.Expressions) > 0 {
			l.problem(path+".expressions", "must be empty: an ai-gateway action takes every request")
		}
		if len(r.Actions) == 0 {
			action(path, r.Type, r.Config)
			continue
		}
		if r.Type != "" || r.Config != nil {
			l.problem(path, "write either actions, or type and config")
		}
		for j, a := range r.Actions {
			action(fmt.Sprintf("%s.actions[%d]", path, j), a.Type, a.Config)
		}
	}
	if l.cfg.ShortProviders != nil {
		if found != nil {
			l.problem("providers", "belongs into %sproviders when there is an ai-gateway action", at)
		}
		return &GatewayConfig{Providers: l.cfg.ShortProviders}, ""
	}
	if found == nil {
		return &GatewayConfig{}, ""
	}
	return found, at
}

func (l *loader) gatewayFields(p *Policy, g *GatewayConfig, at string) {
	p.onlyConfiguredProviders = g.OnlyConfiguredProviders
	p.onlyConfiguredModels = g.OnlyConfiguredModels
	for path, s := range map[string]*StrategyConfig{"model_selection": g.ModelSelection, "api_key_selection": g.APIKeySelection} {
		if s != nil && len(s.Strategy) > 0 {
			l.problem(at+path+".strategy", "CEL strategies are not supported yet")
		}
	}
	switch g.OnError {
	case "", "halt":
	case "continue":
		l.problem(at+"on_error", "continue needs an action after ai-gateway, and there is none: write halt")
	default:
		l.problem(at+"on_error", "%q is unknown: write halt", g.OnError)
	}
	if g.MaxInputTokens != 0 {
		l.problem(at+"max_input_tokens", "is not supported yet")
	}
	if g.MaxOutputTokens < 0 || g.MaxOutputTokens > maxTokens {
		l.problem(at+"max_output_tokens", "must be from 1 to %d", maxTokens)
	}
	p.maxOutputTokens = g.MaxOutputTokens

	list := g.FailoverOn
	if list == nil {
		list = failoverDefault
	}
	failover, problems := list.parse()
	for i, err := range problems {
		l.problem(fmt.Sprintf("%sfailover_on[%d]", at, i), "%v", err)
	}
	p.Failover = failover

	for _, name := range sortedKeys(g.QueryParams) {
		v := string(g.QueryParams[name])
		if strings.Contains(v, "${") {
			l.problem(at+"query_params."+name, "expressions are not supported yet, and a secret in a URL ends up in logs: use headers")
		}
		p.query = append(p.query, Param{Name: name, Value: v})
	}
	for _, name := range sortedKeys(g.Body) {
		if name == "model" || name == "models" {
			l.problem(at+"body."+name, "which model serves a request is not set here")
		}
		if strings.Contains(string(g.Body[name]), "${") {
			l.problem(at+"body."+name, "expressions are not supported yet")
		}
		p.set = append(p.set, KeyValue{Key: name, Value: []byte(g.Body[name])})
	}
}
