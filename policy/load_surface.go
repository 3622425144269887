package policy

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"weir/llm"
	"weir/policy/config"
	"weir/policy/expression"
	"weir/policy/header"
	"weir/policy/nearest"
)

// The longest name of a configured header, and the longest prefix of a key, in bytes.
// No server accepts more, and Envoy has limits of its own.
const (
	maxHeaderName = 256
	maxAuthPrefix = 1024
)

func (l *loader) surfaces(b *clusterBuilder, out *provider, c config.ProviderConfig, keys []keyRef, path string) {
	for i, s := range c.Surfaces {
		at := config.IndexPath(path+".supported_api_surfaces", i)
		same := func(o surface) bool { return o.format == s.Format && o.surface == s.Surface }
		switch {
		case s.Format != llm.OpenAI && s.Format != llm.Anthropic:
			l.problem(at+".format", "%q is unknown: write openai or anthropic", llm.Clip(string(s.Format)))
			continue
		case s.Surface != "" && !slices.Contains(llm.Surfaces(s.Format), s.Surface):
			l.problem(at+".surface", "%q is not a surface of format %s: write chat-completions, responses, completions or embeddings (openai), or messages (anthropic)", llm.Clip(string(s.Surface)), s.Format)
			continue
		case slices.ContainsFunc(out.surfaces, same):
			l.problem(at, "duplicate format and surface")
			continue
		case s.SupportedParams != nil && s.Surface == "":
			l.problem(at+".supported_params", "can only be set together with surface")
		}
		l.params(s.SupportedParams, at+".supported_params")
		raw, versioned, where := c.BaseURL, c.Versioned, path
		if s.BaseURL != "" {
			raw, versioned, where = s.BaseURL, s.Versioned, at
		} else if s.Versioned != nil {
			versioned = s.Versioned
		}
		where += ".base_url"
		if raw == "" {
			l.problem(where, "is missing: %q is not in the catalogue%s", c.ID, l.catalogueHint(c.ID))
			return
		}
		base, err := config.ParseBaseURL(raw, l.cfg.AllowHTTPHosts)
		if err != nil {
			l.problem(where, "%v", err)
			continue
		}
		if versioned != nil && *versioned && base.EndsInVersion() {
			l.problem(where, "ends in a version, so versioned: true would add a second: leave versioned out")
			continue
		}
		b.notOwn(base, where)
		sf := surface{format: s.Format, surface: s.Surface, base: base, authority: base.Authority(), supported: paramSet(s.SupportedParams)}
		sf.versioned = versioned
		sf.paths = make([]string, llm.EndpointCount)
		for e := range llm.Endpoints() {
			if e.Format == s.Format {
				sf.paths[e.Index] = config.Join(base.Of(e.Path), versioned, e.Path)
			}
		}
		sf.targets = sf.paths
		if query := config.MergeQuery(base.RawQuery, b.policy.query, ""); query != "" {
			sf.targets = make([]string, len(sf.paths))
			for i, path := range sf.paths {
				sf.targets[i] = withQuery(path, query)
			}
		}
		sf.clusters = b.clusters(c, base, s.Format, keys, &out.forward, path)
		out.surfaces = append(out.surfaces, sf)
	}
}

// catalogueHint suggests the provider of the catalogue that an id was probably meant
// to be.
func (l *loader) catalogueHint(id string) string {
	var ids []string
	for _, c := range l.catalogue {
		if slices.Contains(c.IDAliases, strings.ToLower(id)) {
			return fmt.Sprintf(", where it is an alias: write %q", c.ID)
		}
		ids = append(ids, c.ID)
	}
	if near := nearest.Names(id, ids, 1); len(near) > 0 {
		return fmt.Sprintf("; did you mean %q?", near[0])
	}
	return ""
}

func withQuery(path, query string) string {
	if query == "" {
		return path
	}
	return path + "?" + query
}

// keyRef is a provider's key. Its place in the file identifies it, not its value.
type keyRef struct {
	id     string
	source string
	value  config.Secret
}

// clusterBuilder makes clusters; which headers they strip is known once all are made.
type clusterBuilder struct {
	*loader
	policy *Policy
	global map[string]config.Template
	at     string
	strip  map[string]bool
	made   [][]*Cluster
	out    egress
	roots  bool // the system's trusted certificates were looked for
}

// keys reads the keys of a provider. scheme says that Weir sends them after a scheme of its own.
func (b *clusterBuilder) keys(path, provider string, keys []config.APIKeyConfig, scheme bool) []keyRef {
	var out []keyRef
	for i, k := range keys {
		at := config.IndexPath(path+".api_keys", i) + ".value"
		if k.Value == "" {
			b.problem(at, "is empty")
			continue
		}
		v, err := k.Value.Expand(b.store)
		if err != nil {
			b.problem(at, "%v", err)
			continue
		}
		if text := k.Value.Doubt(v, provider, scheme); text != "" {
			b.doubts = append(b.doubts, doubt{at, text})
		}
		out = append(out, keyRef{"#" + strconv.Itoa(i+1), "#" + strconv.Itoa(i) + k.Value.References(), v})
	}
	return out
}

// headers checks configured header names, and adds them to the headers that every cluster
// strips: no value of a client or of another attempt may pass under these names.
func (b *clusterBuilder) headers(path string, headers map[string]config.Template) {
	seen := map[string]bool{}
	for _, name := range sortedKeys(headers) {
		low := strings.ToLower(name)
		switch {
		case !config.IsHeaderName(name):
			b.problem(path+"."+name, "is not a valid header name")
		case len(name) > maxHeaderName:
			b.problem(path+"."+name, "is too long for a header name: %d bytes at most", maxHeaderName)
		case header.RuleOf(low).Reserved:
			b.problem(path+"."+name, "cannot be set: the header is reserved for HTTP or the gateway")
		case seen[low]:
			b.problem(path+"."+name, "is set twice: header names are case-insensitive")
		}
		seen[low] = true
		b.strip[low] = true
	}
}

// clusters makes one cluster for each key, or one without.
func (b *clusterBuilder) clusters(c config.ProviderConfig, base config.BaseURL, format llm.Format, keys []keyRef, passes *forward, path string) []*Cluster {
	header, prefix := b.auth(c, base, format, path)
	b.strip[header] = true

	template := Cluster{Provider: c.ID, Base: base, ResponseHeaders: b.responseHeaders(c), forward: passes}
	template.DialHost, template.DialPort = b.dial(base)
	template.TLS = b.clusterTLS(c, base, path)
	template.Proxy = b.proxy(c, base, path)
	template.Connections = b.connections(c, base, path)
	template.StrictEnd = b.policy.StrictStreamEnd
	if c.StrictStreamEnd != nil {
		template.StrictEnd = *c.StrictStreamEnd
	}
	template.Idle = cmp.Or(c.StreamIdleTimeout, b.policy.StreamIdleTimeout)
	if b.policy.ownTimeouts {
		template.Timeout = min(cmp.Or(c.PerRequestTimeout, b.policy.PerRequestTimeout), b.policy.TotalTimeout)
	}
	template.Set = b.set(c, &template, header, path)
	if keys == nil {
		b.made = append(b.made, []*Cluster{&template})
		return b.made[len(b.made)-1]
	}
	out := make([]*Cluster, 0, len(keys))
	for _, k := range keys {
		cl := template
		cl.Key = c.ID + k.id
		cl.Set = append(slices.Clone(template.Set), ClusterHeader{Name: header, Prefix: prefix, Secret: b.secret(&template, header, k.source, k.value)})
		out = append(out, &cl)
	}
	b.made = append(b.made, out)
	return out
}

// auth returns the header that carries a provider's key, and the prefix before the key.
func (b *clusterBuilder) auth(c config.ProviderConfig, base config.BaseURL, format llm.Format, path string) (name, prefix string) {
	name = format.KeyHeader(base.Host)
	if c.Auth == nil {
		return name, llm.KeyPrefix(name)
	}
	if c.Auth.Header != "" {
		name = strings.ToLower(c.Auth.Header)
		if !config.IsHeaderName(name) || len(name) > maxHeaderName || header.RuleOf(name).Reserved {
			b.problem(path+".auth.header", "%q cannot carry a key", llm.Clip(c.Auth.Header))
		}
	}
	prefix = llm.KeyPrefix(name)
	if c.Auth.Prefix != nil {
		prefix = *c.Auth.Prefix
		if strings.ContainsFunc(prefix, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
			b.problem(path+".auth.prefix", "must be printable ASCII")
		}
		if len(prefix) > maxAuthPrefix {
			b.problem(path+".auth.prefix", "must have %d bytes at most", maxAuthPrefix)
		}
	}
	return name, prefix
}

// secret stores a value under a name that depends on the origin it is sent to: a cluster
// that outlives a reload never receives the key of another origin.
func (b *clusterBuilder) secret(c *Cluster, header, source string, value config.Secret) string {
	name := "weir/" + c.Provider + "/" + contentHash([]any{c.Base, c.DialHost, c.DialPort, c.TLS, header, source})
	b.policy.Secrets[name] = value
	return name
}

// set returns the headers of every request to this cluster: those of the policy, overridden
// by those of the provider.
func (b *clusterBuilder) set(c config.ProviderConfig, cl *Cluster, authHeader, path string) []ClusterHeader {
	type value struct {
		t  config.Template
		at string
	}
	all := map[string]value{}
	for name, t := range b.global {
		all[strings.ToLower(name)] = value{t, b.at + "headers." + name}
	}
	for name, t := range c.Headers {
		all[strings.ToLower(name)] = value{t, path + ".headers." + name}
	}
	var out []ClusterHeader
	for _, name := range sortedKeys(all) {
		t := all[name].t
		if name == authHeader && len(c.APIKeys) > 0 {
			b.problem(all[name].at, "also carries the key of provider %q: set one of the two", c.ID)
			continue
		}
		if field, ok := b.fromRequest(name, t, all[name].at); ok {
			out = append(out, ClusterHeader{Name: name, Field: field})
			continue
		}
		v, err := t.Expand(b.store)
		switch {
		case err != nil:
			b.problem(all[name].at, "%v", err)
		case t == "":
			// There is nothing to set. The client's header is removed.
		case t.IsCredential(name):
			out = append(out, ClusterHeader{Name: name, Secret: b.secret(cl, name, t.References(), v)})
		case len(v.Reveal())+strings.Count(v.Reveal(), "%") > config.MaxStaticHeader:
			b.problem(all[name].at, "is too long: a header value may have %d bytes at most, where %% counts as two", config.MaxStaticHeader)
		default:
			out = append(out, ClusterHeader{Name: name, Value: v.Reveal()})
		}
	}
	return out
}

// fromRequest compiles a header whose value depends on the request, and gives
// the name of the field that will hold it.
func (b *clusterBuilder) fromRequest(name string, t config.Template, at string) (field string, ok bool) {
	program, err := t.Program()
	if err != nil || program == nil || !program.UsesRequest() {
		return "", false
	}
	if program.UsesSecrets() {
		b.problem(at, "a header cannot combine a secret with values of the request: use two headers")
	}
	p := b.policy
	if p.dynamic.headers == nil {
		p.dynamic.headers = map[string]*expression.TemplateProgram{}
	}
	field = "header." + contentHash([]string{name, string(t)})
	p.dynamic.headers[field] = program
	p.uses = merged(p.uses, program.Uses())
	return field, true
}

// dial returns the address to connect to. Addresses in connect_to pass the same checks as
// base URLs.
func (b *clusterBuilder) dial(base config.BaseURL) (string, int) {
	from := net.JoinHostPort(base.Host, strconv.Itoa(base.Port))
	to, ok := b.cfg.ConnectTo[from]
	if !ok {
		return base.Host, base.Port
	}
	path := config.JoinPath("connect_to", from)
	if _, port, err := net.SplitHostPort(to); err != nil || port == "" || strings.ContainsAny(to, "/?") {
		b.problem(path, "invalid address %q: write host:port", llm.Clip(to))
		return base.Host, base.Port
	}
	target, err := config.ParseBaseURL(base.Scheme+"://"+to, b.cfg.AllowHTTPHosts)
	if err != nil {
		b.problem(path, "%q: %v", llm.Clip(to), err)
	}
	return cmp.Or(target.Host, base.Host), cmp.Or(target.Port, base.Port)
}

// finish sets the headers that every cluster strips, and then the names of the clusters,
// which depend on them. Equal clusters become one.
func (b *clusterBuilder) finish() {
	names, _ := header.Stripped()
	for _, name := range names {
		b.strip[name] = true
	}
	strip := sortedKeys(b.strip)
	b.policy.strip = b.strip
	seen := map[string]*Cluster{}
	for _, list := range b.made {
		for i, c := range list {
			c.Strip = strip
			c.Name = c.name()
			if seen[c.Name] == nil {
				seen[c.Name] = c
				b.policy.Clusters = append(b.policy.Clusters, c)
			}
			list[i] = seen[c.Name]
		}
	}
	slices.SortFunc(b.policy.Clusters, func(a, c *Cluster) int { return strings.Compare(a.Name, c.Name) })
}
