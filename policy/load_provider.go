package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir/llm"
	"weir/policy/catalogue"
	"weir/policy/config"
)

const idRule = "use letters, digits, '.', '_' and '-', at most 64, the first a letter or digit"

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// entry is a provider to be loaded: its configuration, and its entry in the catalogue, which
// the configuration overrides.
type entry struct {
	own       config.ProviderConfig
	base      catalogue.Provider
	path      string // in the file; empty where only the catalogue has it
	catalogue bool   // whether base is there
	out       *provider
}

// providers builds every provider: the configured ones in their order, then
// the catalogue's others.
func (l *loader) providers(p *Policy, g *config.GatewayConfig, at string) {
	entries := l.entries(g, at)
	p.byName = l.names(entries)
	p.byModel = map[string][]*model{}
	b := &clusterBuilder{loader: l, policy: p, global: g.Headers, at: at, strip: map[string]bool{}}
	b.headers(at+"headers", g.Headers)
	b.out = b.egress()
	for _, e := range entries {
		if e.path == "" && p.byName[e.base.ID] != e.out {
			continue // a configured provider goes by its name
		}
		l.paths[e.out.id] = e.path
		l.models(p, e)
		l.provider(b, e)
		p.providers = append(p.providers, e.out)
		p.providerNames = append(p.providerNames, e.out.id)
	}
	b.finish()
	p.label()
	slices.Sort(p.modelNames)
}

func (l *loader) entries(g *config.GatewayConfig, at string) []*entry {
	l.catalogue = catalogue.Providers()
	known := map[string]catalogue.Provider{}
	for _, c := range l.catalogue {
		known[c.ID] = c
	}
	var out []*entry
	configured := map[string]bool{}
	for i, c := range g.Providers {
		path := config.IndexPath(at+"providers", i)
		switch {
		case c.ID == "":
			l.problem(path+".id", "is missing")
			continue
		case !config.IsID(c.ID):
			l.problem(path+".id", "invalid id %q: %s", llm.Clip(c.ID), idRule)
			continue
		}
		e := &entry{own: c, path: path, out: &provider{id: c.ID, configured: true, disabled: c.Disabled, byModel: map[string]*model{}}}
		if e.base, e.catalogue = known[strings.ToLower(c.ID)]; e.catalogue {
			e.out.id = e.base.ID
			configured[e.base.ID] = true
		}
		out = append(out, e)
	}
	for _, c := range l.catalogue {
		if !configured[c.ID] {
			out = append(out, &entry{base: c, catalogue: true, out: &provider{id: c.ID, byModel: map[string]*model{}}})
		}
	}
	return out
}

// names registers the names of providers: those of the file come before those of the
// catalogue, and ids before aliases.
func (l *loader) names(entries []*entry) map[string]*provider {
	names := map[string]*provider{}
	claim := func(name, path string, by *provider) {
		switch other := names[strings.ToLower(name)]; {
		case other == nil:
			names[strings.ToLower(name)] = by
		case other != by && path != "":
			l.problem(path, "%q is already the name of provider %q", llm.Clip(name), other.id)
		}
	}
	for _, e := range entries {
		if e.path != "" {
			claim(e.own.ID, e.path+".id", e.out)
		}
	}
	for _, e := range entries {
		for i, alias := range e.own.IDAliases {
			path := config.IndexPath(e.path+".id_aliases", i)
			if !config.IsID(alias) {
				l.problem(path, "invalid id %q: %s", llm.Clip(alias), idRule)
			}
			claim(alias, path, e.out)
		}
	}
	for _, e := range entries {
		if e.path == "" {
			claim(e.base.ID, "", e.out)
		}
	}
	for _, e := range entries {
		if names[e.base.ID] == e.out {
			for _, alias := range e.base.IDAliases {
				claim(alias, "", e.out)
			}
		}
	}
	return names
}

// provider reads how a provider is reached.
func (l *loader) provider(b *clusterBuilder, e *entry) {
	c := e.own
	c.ID = e.out.id
	c.BaseURL = cmp.Or(c.BaseURL, e.base.BaseURL)
	if len(c.Surfaces) == 0 {
		c.Surfaces = e.base.Surfaces
	}
	if len(c.Surfaces) == 0 {
		c.Surfaces = []config.SurfaceConfig{{Format: llm.OpenAI}}
	}
	e.out.display, e.out.aliases, e.out.metadata, e.out.catalogue = c.DisplayName, c.IDAliases, c.Metadata, e.catalogue
	if e.catalogue {
		e.out.matches = e.base.Matches
	}
	b.headers(e.path+".headers", e.own.Headers)
	// A list, even an empty one, says what there is.
	e.out.unlisted = !e.catalogue && e.own.Models == nil
	l.forward(e)
	// One that is disabled needs neither key nor secret: its key may be gone.
	if !e.out.disabled {
		keys := b.keys(e.path, e.out.id, e.own.APIKeys, e.own.Auth == nil)
		for _, k := range keys {
			e.out.keys = append(e.out.keys, e.out.id+k.id)
		}
		if e.out.keyed = len(keys) > 0 || l.needsNoKey(e); e.out.keyed {
			l.surfaces(b, e.out, c, keys, e.path)
			return
		}
	}
	// The formats are needed to say why it is not a candidate.
	for _, s := range c.Surfaces {
		e.out.surfaces = append(e.out.surfaces, surface{format: s.Format, surface: s.Surface})
	}
}

// needsNoKey reports whether a provider may be used without a key: a custom one, or one
// of the catalogue to which the file gives another base URL or a credential header.
func (l *loader) needsNoKey(e *entry) bool {
	if !e.catalogue || e.own.BaseURL != "" || slices.ContainsFunc(e.own.Surfaces, func(s config.SurfaceConfig) bool { return s.BaseURL != "" }) {
		return true
	}
	for name, value := range e.own.Headers {
		if value.IsCredential(strings.ToLower(name)) {
			return true
		}
	}
	return false
}

// models reads the models of a provider: the configured ones, laid over the
// catalogue's of the same id, then the catalogue's others. As with providers,
// a name in the file takes it from the catalogue.
func (l *loader) models(p *Policy, e *entry) {
	base := map[string]config.ModelConfig{}
	for _, c := range e.base.Models {
		base[strings.ToLower(c.ID)] = c
	}
	own := make([]*model, len(e.own.Models))
	for i := range e.own.Models {
		c := &e.own.Models[i]
		at := config.IndexPath(e.path+".models", i)
		l.modelFields(*c, at)
		if b, ok := base[strings.ToLower(c.ID)]; ok {
			both := overlayModel(b, *c)
			c = &both
		}
		own[i] = newModel(e, c, true)
		l.nameModel(p, own[i], c.ID, at+".id")
	}
	for i, c := range e.own.Models {
		for j, alias := range c.IDAliases {
			at := config.IndexPath(fmt.Sprintf("%s.models[%d].id_aliases", e.path, i), j)
			if err := modelNameError(alias); err != nil {
				l.problem(at, "%v", err)
				continue
			}
			l.nameModel(p, own[i], alias, at)
		}
	}
	for i, c := range e.own.Models {
		for _, alias := range base[strings.ToLower(c.ID)].IDAliases {
			l.nameModel(p, own[i], alias, "")
		}
		delete(base, strings.ToLower(c.ID))
	}
	for _, c := range e.base.Models {
		if _, left := base[strings.ToLower(c.ID)]; left && e.out.byModel[strings.ToLower(c.ID)] == nil {
			m := newModel(e, &c, false)
			own = append(own, m)
			for _, name := range append([]string{c.ID}, c.IDAliases...) {
				l.nameModel(p, m, name, "")
			}
		}
	}
	e.out.models = slices.DeleteFunc(own, func(m *model) bool { return m.disabled })
}

func newModel(e *entry, c *config.ModelConfig, configured bool) *model {
	return &model{
		provider: e.out, kind: e.base.Kinds[c.ID], preferred: configured || slices.Contains(e.base.First, c.ID), id: c.ID, sent: cmp.Or(c.ProviderModelID, c.ID), configured: configured, disabled: c.Disabled,
		unsupported: paramSet(c.UnsupportedParams), author: c.AuthorID, display: c.DisplayName, config: c,
		label: e.out.id + ":" + c.ID,
	}
}

// nameModel registers a name of a model. Names of a disabled model are registered with
// its provider only, so that they do not pass through as unlisted models.
func (l *loader) nameModel(p *Policy, m *model, name, path string) {
	key := strings.ToLower(name)
	if other := m.provider.byModel[key]; other != nil {
		if other != m && path != "" {
			l.problem(path, "%q is already the name of a model of %q", llm.Clip(name), m.provider.id)
		}
		return
	}
	m.provider.byModel[key] = m
	if name != key {
		if m.names == nil {
			m.names = map[string]string{}
		}
		m.names[key] = name
	}
	if m.disabled || m.provider.disabled {
		return
	}
	m.provider.names = append(m.provider.names, name)
	if p.byModel[key] == nil {
		p.modelNames = append(p.modelNames, name)
	}
	p.byModel[key] = append(p.byModel[key], m)
}

// modelFields checks a model's fields, those that only strategies and prices
// will use too.
func (l *loader) modelFields(c config.ModelConfig, at string) {
	if err := modelNameError(c.ID); err != nil {
		l.problem(at+".id", "%v", err)
	}
	if err := checkModelName(c.ProviderModelID); err != nil {
		l.problem(at+".provider_model_id", "%v", err)
	}
	if c.MaxContextWindow < 0 {
		l.problem(at+".max_context_window", "must not be negative")
	}
	if c.MaxOutputTokens < 0 {
		l.problem(at+".max_output_tokens", "must not be negative")
	}
	l.params(c.UnsupportedParams, at+".unsupported_params")
	if c.Pricing == nil {
		return
	}
	for _, price := range []struct{ name, value string }{
		{"input", c.Pricing.Input}, {"output", c.Pricing.Output},
		{"cache_read", c.Pricing.CacheRead}, {"cache_write", c.Pricing.CacheWrite},
	} {
		if price.value != "" && !config.IsDecimal(price.value) {
			l.problem(at+".pricing."+price.name, `invalid price %q: write US dollars per million tokens, such as "0.15"`, llm.Clip(price.value))
		}
	}
}

func modelNameError(name string) error {
	if name == "" {
		return fmt.Errorf("is missing")
	}
	return checkModelName(name)
}

// overlayModel lays a configured model over the catalogue's, whose spelling of
// the id is the provider's.
func overlayModel(base, own config.ModelConfig) config.ModelConfig {
	own.ID = base.ID
	own.ProviderModelID = cmp.Or(own.ProviderModelID, base.ProviderModelID)
	own.AuthorID = cmp.Or(own.AuthorID, base.AuthorID)
	own.DisplayName = cmp.Or(own.DisplayName, base.DisplayName)
	own.MaxContextWindow = cmp.Or(own.MaxContextWindow, base.MaxContextWindow)
	own.MaxOutputTokens = cmp.Or(own.MaxOutputTokens, base.MaxOutputTokens)
	own.Pricing = cmp.Or(own.Pricing, base.Pricing)
	for _, list := range []struct{ own, base *[]string }{
		{&own.InputModalities, &base.InputModalities}, {&own.OutputModalities, &base.OutputModalities}, {&own.SupportedFeatures, &base.SupportedFeatures},
	} {
		if *list.own == nil {
			*list.own = *list.base
		}
	}
	if own.UnsupportedParams == nil {
		own.UnsupportedParams = base.UnsupportedParams
	}
	return own
}

func (l *loader) params(params []config.ParamConfig, at string) {
	for i, p := range params {
		if p.Name == "" {
			l.problem(config.IndexPath(at, i)+".name", "is missing")
		}
	}
}

func paramSet(params []config.ParamConfig) map[string]bool {
	if params == nil {
		return nil
	}
	m := map[string]bool{}
	for _, p := range params {
		m[p.Name] = true
	}
	return m
}
