package policy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	headerPattern = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110 5.6.2
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func sha256Sum(s Secret) [32]byte { return sha256.Sum256([]byte(s.Reveal())) }

// secretHashes lets a policy's version change with its secrets without
// holding them.
func secretHashes(p *Policy) []string {
	var out []string
	for _, name := range sortedKeys(p.Secrets) {
		sum := sha256Sum(p.Secrets[name])
		out = append(out, name, hex.EncodeToString(sum[:4]))
	}
	for _, name := range sortedKeys(p.Certificates) {
		sum := sha256Sum(p.Certificates[name].Key)
		out = append(out, name, p.Certificates[name].Chain, hex.EncodeToString(sum[:4]))
	}
	roots := sha256.Sum256([]byte(p.Roots))
	return append(out, hex.EncodeToString(roots[:4]))
}

// providers builds every provider: the configured ones in their order, then
// the catalogue's others.
func (l *loader) providers(p *Policy, g *GatewayConfig, at string) {
	var catalogue []ProviderConfig
	if _, problems := decode("catalogue.yaml", catalogueYAML, &catalogue); len(problems) > 0 {
		panic(problems) // a test loads it
	}
	known := map[string]ProviderConfig{}
	for _, c := range catalogue {
		known[c.ID] = c
	}

	p.byName = map[string]*provider{}
	p.byModel = map[string][]*model{}
	b := &clusterBuilder{loader: l, policy: p, global: g.Headers, at: at, strip: map[string]bool{}}
	b.headers(at+"headers", g.Headers)
	configured := map[string]bool{}
	for i, c := range g.Providers {
		path := fmt.Sprintf("%sproviders[%d]", at, i)
		if !idPattern.MatchString(c.ID) {
			if c.ID == "" {
				l.problem(path, "id is missing")
			} else {
				l.problem(path+".id", "%q is no id: use letters, digits, '.', '_' and '-', at most 64", clip(c.ID))
			}
			continue
		}
		base, inCatalogue := known[lower(c.ID)]
		if inCatalogue {
			c = overlay(base, c)
			configured[base.ID] = true
		}
		var models []ModelConfig
		if inCatalogue {
			models = unlisted(base.Models, g.Providers[i].Models)
		}
		l.provider(p, b, c, g.Providers[i], path, models, inCatalogue)
	}
	for _, c := range catalogue {
		if !configured[c.ID] {
			l.provider(p, b, c, ProviderConfig{}, "", c.Models, true)
		}
	}
	b.finish()
	for name := range p.byModel {
		p.modelList = append(p.modelList, name)
	}
	slices.Sort(p.modelList)
}

// overlay lays a configured provider over its catalogue entry.
func overlay(base, c ProviderConfig) ProviderConfig {
	out := c
	out.ID = base.ID
	out.IDAliases = append(slices.Clone(base.IDAliases), c.IDAliases...)
	if c.BaseURL == "" {
		out.BaseURL = base.BaseURL
	}
	if c.Surfaces == nil {
		out.Surfaces = base.Surfaces
	}
	return out
}

// unlisted are the catalogue's models that the configuration does not list
// itself.
func unlisted(catalogue, own []ModelConfig) []ModelConfig {
	return slices.DeleteFunc(slices.Clone(catalogue), func(m ModelConfig) bool {
		return slices.ContainsFunc(own, func(o ModelConfig) bool { return lower(o.ID) == lower(m.ID) })
	})
}

// provider adds one provider. own is the configured part, empty for one that
// only stands in the catalogue; models are the catalogue's.
func (l *loader) provider(p *Policy, b *clusterBuilder, c, own ProviderConfig, path string, models []ModelConfig, inCatalogue bool) {
	out := &provider{id: c.ID, configured: path != "", disabled: c.Disabled, byModel: map[string]*model{}}
	for i, name := range append([]string{c.ID}, c.IDAliases...) {
		if i > 0 && !idPattern.MatchString(name) {
			l.problem(path+".id_aliases", "%q is no id: use letters, digits, '.', '_' and '-', at most 64", clip(name))
		}
		if other := p.byName[lower(name)]; other != nil && other != out {
			if path != "" {
				l.problem(path+".id", "%q already names provider %q", name, other.id)
			}
			continue // a configured provider may take a catalogue name for itself
		}
		p.byName[lower(name)] = out
	}
	l.models(p, out, own.Models, path)
	l.models(p, out, models, "")
	keys := b.keys(path, c.APIKeys)
	out.keyed = !inCatalogue || len(keys) > 0 || own.BaseURL != "" || len(own.Headers) > 0
	if out.keyed && !out.disabled {
		l.surfaces(b, out, c, keys, path)
	} else {
		// The formats are needed all the same, to say why it is no candidate.
		for _, s := range c.Surfaces {
			out.surfaces = append(out.surfaces, surface{format: s.Format, surface: s.Surface})
		}
	}
	p.providers = append(p.providers, out)
}

func (l *loader) models(p *Policy, out *provider, models []ModelConfig, path string) {
	for i, c := range models {
		at := fmt.Sprintf("%s.models[%d]", path, i)
		if err := modelNameError(c.ID); err != nil {
			l.problem(at+".id", "%v", err)
			continue
		}
		if c.Disabled {
			continue
		}
		m := &model{provider: out, id: c.ID, sent: c.ID, configured: path != "", author: c.AuthorID, display: c.DisplayName}
		if c.ProviderModelID != "" {
			m.sent = c.ProviderModelID
			if err := modelNameError(m.sent); err != nil {
				l.problem(at+".provider_model_id", "%v", err)
			}
		}
		m.unsupported = paramSet(c.UnsupportedParams)
		out.models = append(out.models, m)
		for _, name := range append([]string{c.ID}, c.IDAliases...) {
			key := lower(name)
			if out.byModel[key] != nil {
				l.problem(at+".id", "%q stands twice among the models of %s", name, out.id)
				continue
			}
			out.byModel[key] = m
			out.names = append(out.names, name)
			if !out.disabled {
				p.byModel[key] = append(p.byModel[key], m)
			}
		}
	}
}

func modelNameError(name string) error {
	if name == "" {
		return fmt.Errorf("is missing")
	}
	return checkModelName(name)
}

func paramSet(params []ParamConfig) map[string]bool {
	if params == nil {
		return nil
	}
	m := map[string]bool{}
	for _, p := range params {
		m[p.Name] = true
	}
	return m
}

func (l *loader) surfaces(b *clusterBuilder, out *provider, c ProviderConfig, keys []keyRef, path string) {
	list := c.Surfaces
	if len(list) == 0 {
		list = []SurfaceConfig{{Format: OpenAI}}
	}
	for i, s := range list {
		at := fmt.Sprintf("%s.supported_api_surfaces[%d]", path, i)
		if s.Format != OpenAI && s.Format != Anthropic {
			l.problem(at+".format", "%q is unknown: write openai or anthropic", s.Format)
			continue
		}
		if s.Surface != "" && !slices.ContainsFunc(endpoints, func(e Endpoint) bool { return e.Format == s.Format && e.Surface == s.Surface }) {
			l.problem(at+".surface", "%q is no surface of format %s: write chat-completions, responses, completions or embeddings (openai), or messages (anthropic)", s.Surface, s.Format)
			continue
		}
		if s.SupportedParams != nil && s.Surface == "" {
			l.problem(at+".supported_params", "needs surface")
		}
		raw, where := c.BaseURL, path+".base_url"
		if s.BaseURL != "" {
			raw, where = s.BaseURL, at+".base_url"
		}
		if raw == "" {
			l.problem(path, "base_url is missing: %q is not in the catalogue", c.ID)
			return
		}
		base, err := ParseBaseURL(raw, l.cfg.AllowHTTPHosts)
		if err != nil {
			l.problem(where, "%v", err)
			continue
		}
		sf := surface{format: s.Format, surface: s.Surface, base: base, authority: base.Authority(), supported: paramSet(s.SupportedParams)}
		sf.paths = make([]string, len(endpoints))
		for _, e := range endpoints {
			if e.Format == s.Format {
				sf.paths[e.index] = Join(base, e.Path)
			}
		}
		sf.clusters = b.clusters(c, base, s.Format, keys, path)
		out.surfaces = append(out.surfaces, sf)
	}
}

// keyRef is a provider's key: where it stands in the file identifies it, not
// its value.
type keyRef struct {
	source string
	value  Secret
}

// clusterBuilder makes clusters; what they strip is known when all are made.
type clusterBuilder struct {
	*loader
	policy *Policy
	global map[string]Template
	at     string
	strip  map[string]bool
	made   [][]*Cluster
}

func (b *clusterBuilder) keys(path string, keys []APIKeyConfig) []keyRef {
	var out []keyRef
	for i, k := range keys {
		at := fmt.Sprintf("%s.api_keys[%d].value", path, i)
		if k.Value == "" {
			b.problem(at, "is empty")
			continue
		}
		v, err := k.Value.expand(b.store)
		if err != nil {
			b.problem(at, "%v", err)
			continue
		}
		source := "#" + strconv.Itoa(i)
		if v.secret {
			source = string(k.Value)
		}
		out = append(out, keyRef{source, v.value})
	}
	return out
}

// ownedByWeir are headers that the gateway or HTTP itself sets.
var ownedByWeir = []string{"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect", "trailer", "keep-alive", "proxy-connection"}

// headers checks configured header names and remembers them: they belong to
// the gateway, so no client's and no other attempt's value gets through.
func (b *clusterBuilder) headers(path string, headers map[string]Template) {
	for name := range headers {
		low := lower(name)
		switch {
		case !headerPattern.MatchString(name):
			b.problem(path+"."+name, "is no header name")
		case slices.Contains(ownedByWeir, low), slices.ContainsFunc(StrippedPrefixes, func(p string) bool { return strings.HasPrefix(low, p) }):
			b.problem(path+"."+name, "cannot be set: it belongs to HTTP or to the gateway")
		}
		b.strip[low] = true
	}
}

func (b *clusterBuilder) clusters(c ProviderConfig, base BaseURL, format Format, keys []keyRef, path string) []*Cluster {
	header, prefix := "authorization", "Bearer "
	switch {
	case strings.HasSuffix(base.Host, ".openai.azure.com"):
		header, prefix = "api-key", ""
	case format == Anthropic:
		header, prefix = "x-api-key", ""
	}
	if c.Auth != nil {
		if c.Auth.Header != "" {
			header, prefix = lower(c.Auth.Header), ""
			if header == "authorization" {
				prefix = "Bearer "
			}
			if !headerPattern.MatchString(header) || slices.Contains(ownedByWeir, header) {
				b.problem(path+".auth.header", "%q cannot carry a key", clip(c.Auth.Header))
			}
		}
		if c.Auth.Prefix != nil {
			prefix = *c.Auth.Prefix
			if strings.ContainsFunc(prefix, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
				b.problem(path+".auth.prefix", "must be printable ASCII")
			}
		}
	}
	b.strip[header] = true
	b.headers(path+".headers", c.Headers)

	template := Cluster{Provider: c.ID, Base: base}
	template.DialHost, template.DialPort = b.dial(base)
	template.TLS = b.clusterTLS(c, base, path)
	template.Set = b.set(c, &template, header, path)
	if keys == nil {
		keys = []keyRef{{}}
	}
	out := make([]*Cluster, 0, len(keys))
	for _, k := range keys {
		cl := template
		if k.source != "" {
			name := b.secret(&template, header, k.source, k.value)
			cl.Set = append(slices.Clone(template.Set), ClusterHeader{Name: header, Prefix: prefix, Secret: name})
		}
		out = append(out, &cl)
	}
	b.made = append(b.made, out)
	return out
}

// secret files a value under a name that changes with where it is sent, so
// that a cluster which outlives a reload never gets another origin's key.
func (b *clusterBuilder) secret(c *Cluster, header, source string, value Secret) string {
	name := "weir/" + c.Provider + "/" + contentHash([]any{c.Base, c.DialHost, c.DialPort, c.TLS, header, source})
	b.policy.Secrets[name] = value
	return name
}

// set gives the headers of every request to this cluster: the policy's, then
// the provider's own over them.
func (b *clusterBuilder) set(c ProviderConfig, cl *Cluster, authHeader, path string) []ClusterHeader {
	type value struct {
		t  Template
		at string
	}
	all := map[string]value{}
	for name, t := range b.global {
		all[lower(name)] = value{t, b.at + "headers." + name}
	}
	for name, t := range c.Headers {
		all[lower(name)] = value{t, path + ".headers." + name}
	}
	var out []ClusterHeader
	for _, name := range sortedKeys(all) {
		if name == authHeader && len(c.APIKeys) > 0 {
			b.problem(all[name].at, "also carries the key of provider %s: set one of the two", c.ID)
			continue
		}
		v, err := all[name].t.expand(b.store)
		switch {
		case err != nil:
			b.problem(all[name].at, "%v", err)
		case v.secret || b.credential(name):
			out = append(out, ClusterHeader{Name: name, Secret: b.secret(cl, name, string(all[name].t), v.value)})
		default:
			out = append(out, ClusterHeader{Name: name, Value: v.value.Reveal()})
		}
	}
	return out
}

// credential says whether a header usually carries a secret: then its value
// is treated as one even where it is written literally.
func (b *clusterBuilder) credential(name string) bool {
	return slices.Contains(strippedHeaders, name) || strings.Contains(name, "auth") || strings.Contains(name, "key") || strings.Contains(name, "token") || strings.Contains(name, "secret")
}

func (b *clusterBuilder) dial(base BaseURL) (string, int) {
	to, ok := b.cfg.ConnectTo[net.JoinHostPort(base.Host, strconv.Itoa(base.Port))]
	if !ok {
		return base.Host, base.Port
	}
	host, port, err := net.SplitHostPort(to)
	n, perr := strconv.Atoi(port)
	if err != nil || perr != nil || n < 0 || n > 65535 || host == "" {
		b.problem("connect_to."+net.JoinHostPort(base.Host, strconv.Itoa(base.Port)), "%q is no address: write host:port", to)
		return base.Host, base.Port
	}
	return host, n
}

func (b *clusterBuilder) clusterTLS(c ProviderConfig, base BaseURL, path string) *ClusterTLS {
	if !base.TLS() {
		if c.TLS != nil {
			b.problem(path+".tls", "has no effect: base_url is not https")
		}
		return nil
	}
	out := &ClusterTLS{ServerName: base.Host}
	if c.TLS == nil || c.TLS.CAFile == "" && !c.TLS.InsecureSkipVerify {
		b.systemRoots(path)
	}
	if c.TLS == nil {
		return out
	}
	out.InsecureSkipVerify = c.TLS.InsecureSkipVerify
	if c.TLS.ServerName != "" {
		out.ServerName = c.TLS.ServerName
	}
	if c.TLS.CAFile != "" {
		out.CA = b.readFile(path+".tls.ca_file", c.TLS.CAFile)
		if out.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(out.CA)) {
			b.problem(path+".tls.ca_file", "%s holds no PEM certificate", c.TLS.CAFile)
		}
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		b.problem(path+".tls", "cert_file and key_file go together")
	} else if c.TLS.CertFile != "" {
		cert := Certificate{b.readFile(path+".tls.cert_file", c.TLS.CertFile), NewSecret(b.readFile(path+".tls.key_file", c.TLS.KeyFile))}
		if cert.Chain != "" && cert.Key.Reveal() != "" {
			if _, err := tls.X509KeyPair([]byte(cert.Chain), []byte(cert.Key.Reveal())); err != nil {
				b.problem(path+".tls", "cert_file and key_file do not fit: %v", err)
			}
		}
		out.Certificate = "weir/" + c.ID + "/" + contentHash([]any{"certificate", base, c.TLS.CertFile, c.TLS.KeyFile})
		b.policy.Certificates[out.Certificate] = cert
	}
	return out
}

// rootFiles are where systems keep their trusted certificates: Debian and
// Alpine, Fedora and RHEL (two), SUSE, macOS and BSD. SSL_CERT_FILE, which
// OpenSSL and Go read as well, comes first.
var rootFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
}

// systemRoots reads the trusted certificates of this system, once.
func (b *clusterBuilder) systemRoots(path string) {
	if b.policy.Roots != "" {
		return
	}
	files := rootFiles
	if named := b.src.Getenv("SSL_CERT_FILE"); named != "" {
		files = []string{named}
	}
	for _, file := range files {
		pem, err := b.src.ReadFile(file)
		if err == nil && x509.NewCertPool().AppendCertsFromPEM(pem) {
			b.policy.Roots = string(pem)
			b.files[file] = true
			return
		}
	}
	b.problem(path+".base_url", "needs the system's trusted certificates, and there are none in %s: install ca-certificates, or set SSL_CERT_FILE or tls.ca_file", strings.Join(files, ", "))
}

// finish gives every cluster the full list of headers to strip, then its
// name, and shares the clusters that are the same.
func (b *clusterBuilder) finish() {
	for _, h := range strippedHeaders {
		b.strip[h] = true
	}
	strip := sortedKeys(b.strip)
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
