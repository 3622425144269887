package litellm

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// configuration has the fields of Weir's configuration that an import sets. Package
// config's types read files; these are written with the fields in the order of the docs.
type configuration struct {
	AccessKeys     []accessKey `yaml:"access_keys,omitempty"`
	AllowHTTPHosts []string    `yaml:"allow_http_hosts,omitempty"`
	MaxBodyBytes   int64       `yaml:"max_body_bytes,omitempty"`
	OnHTTPRequest  []rule      `yaml:"on_http_request"`
}

type accessKey struct {
	Name  string `yaml:"name"`
	Value string `yaml:"value"`
}

type rule struct {
	Type   string `yaml:"type"`
	Config action `yaml:"config"`
}

type action struct {
	PerRequestTimeout string      `yaml:"per_request_timeout,omitempty"`
	TotalTimeout      string      `yaml:"total_timeout,omitempty"`
	Outliers          *outliers   `yaml:"outlier_detection,omitempty"`
	ModelSelection    *strategies `yaml:"model_selection,omitempty"`
	Providers         []*provider `yaml:"providers"`
}

type outliers struct {
	Failures int    `yaml:"consecutive_failures,omitempty"`
	Ejection string `yaml:"base_ejection_time,omitempty"`
}

type strategies struct {
	Strategy []string `yaml:"strategy"`
}

type provider struct {
	ID       string            `yaml:"id"`
	BaseURL  string            `yaml:"base_url,omitempty"`
	Metadata map[string]any    `yaml:"metadata,omitempty"`
	Headers  map[string]string `yaml:"headers,omitempty"`
	Surfaces []surface         `yaml:"supported_api_surfaces,omitempty"`
	APIKeys  []apiKey          `yaml:"api_keys,omitempty"`
	Models   []*model          `yaml:"models,omitempty"`

	target target
}

type surface struct {
	Format  string `yaml:"format"`
	Surface string `yaml:"surface,omitempty"`
}

type apiKey struct {
	Value string `yaml:"value"`
}

type model struct {
	ID              string   `yaml:"id"`
	ProviderModelID string   `yaml:"provider_model_id,omitempty"`
	Aliases         []string `yaml:"id_aliases,omitempty"`
	ContextWindow   int      `yaml:"max_context_window,omitempty"`
	MaxOutput       int      `yaml:"max_output_tokens,omitempty"`
	Features        []string `yaml:"supported_features,omitempty"`
	Pricing         *pricing `yaml:"pricing,omitempty"`

	sent string
}

type pricing struct {
	Input      string `yaml:"input,omitempty"`
	Output     string `yaml:"output,omitempty"`
	CacheRead  string `yaml:"cache_read,omitempty"`
	CacheWrite string `yaml:"cache_write,omitempty"`
}

func (m *model) price() *pricing {
	if m.Pricing == nil {
		m.Pricing = &pricing{}
	}
	return m.Pricing
}

// provider returns the provider of a target, a new one if none has its URL, key and headers.
func (i *importer) provider(t *target) *provider {
	for _, p := range i.providers {
		if p.target.identity() == t.identity() {
			return p
		}
	}
	return i.add(t, t.family.id)
}

// add adds a provider under a name that no other has. Only the first of a built-in
// provider's targets can have its id.
func (i *importer) add(t *target, id string) *provider {
	p := &provider{ID: id, BaseURL: t.base, Headers: t.headers, target: *t}
	for n := 2; slices.ContainsFunc(i.providers, func(o *provider) bool { return o.ID == p.ID }); n++ {
		p.ID = fmt.Sprintf("%s-%d", id, n)
	}
	if t.family.builtIn && p.ID != t.family.id {
		p.BaseURL = t.family.base
		if t.family.id == "anthropic" {
			p.Surfaces = []surface{{Format: "anthropic"}, {Format: "openai", Surface: "chat-completions"}}
		}
	}
	if t.key != "" {
		p.APIKeys = []apiKey{{t.key}}
	}
	i.providers = append(i.providers, p)
	return p
}

// config puts together what was collected.
func (i *importer) config() configuration {
	shuffled := false
	for n := range i.deployments {
		d := &i.deployments[n]
		if d.model.sent == "*" {
			continue
		}
		d.provider.take(d.model)
		shuffled = shuffled || slices.ContainsFunc(i.deployments[:n], func(o deployment) bool { return o.name == d.name && o.provider != d.provider })
	}
	ranked := i.addFallbackProviders()
	for _, p := range i.providers {
		for _, m := range p.Models {
			for _, a := range i.aliases {
				if a.to == m.ID && a.name != m.ID && !slices.Contains(m.Aliases, a.name) {
					m.Aliases = append(m.Aliases, a.name)
				}
			}
		}
	}
	out := action{Providers: i.providers}
	if s := i.strategy(shuffled, ranked); s != "" {
		out.ModelSelection = &strategies{[]string{s}}
	} else {
		for _, p := range i.providers {
			p.Metadata = nil // only a strategy reads it
		}
	}
	if i.attempt > 0 {
		out.PerRequestTimeout = i.attempt.String()
		if i.attempt > defaultTotal {
			out.TotalTimeout = min(2*i.attempt, 24*time.Hour).String()
		}
	}
	if i.failures > 0 || i.ejection > 0 {
		out.Outliers = &outliers{Failures: min(i.failures, 1000)}
		if i.ejection > 0 {
			out.Outliers.Ejection = i.ejection.String()
		}
	}
	c := configuration{AllowHTTPHosts: i.httpHosts, MaxBodyBytes: i.maxBody, OnHTTPRequest: []rule{{Type: "ai-gateway", Config: out}}}
	if i.master != "" {
		c.AccessKeys = []accessKey{{Name: "master", Value: i.master}}
	}
	return c
}

// take adds a model, unless the provider has one of this name.
func (p *provider) take(m model) bool {
	if slices.ContainsFunc(p.Models, func(o *model) bool { return strings.EqualFold(o.ID, m.ID) }) {
		return false
	}
	if m.sent != m.ID {
		m.ProviderModelID = m.sent
	}
	p.Models = append(p.Models, &m)
	return true
}

// defaultTotal is total_timeout if a configuration does not set it.
const defaultTotal = 6 * time.Minute

// tier is the member of a provider's metadata that orders a model before its fallbacks.
const tier = "tier"

// addFallbackProviders adds a provider for each rank of fallbacks and each provider there,
// whose models have the names that they stand in for. They come last, and so are tried last.
func (i *importer) addFallbackProviders() bool {
	all := slices.Clone(i.fallbacks)
	for _, d := range i.deployments {
		own := func(f fallback) bool { return f.name == d.name }
		if len(i.everywhere.targets) > 0 && d.model.sent != "*" && !slices.ContainsFunc(all, own) {
			all = append(all, fallback{field{name: d.name, line: i.everywhere.line}, i.everywhere.targets})
		}
	}
	known := func(name string) bool {
		return slices.ContainsFunc(i.deployments, func(d deployment) bool { return d.name == name && d.model.sent != "*" })
	}
	for _, f := range append(slices.Clone(i.fallbacks), i.everywhere) {
		for _, target := range f.targets {
			if !known(target) {
				i.note(f.field, "fallbacks."+f.name, "%q is left out: model_list does not list it by this name", target)
			}
		}
	}
	for _, a := range i.aliases {
		if !known(a.to) {
			i.note(a.field, "aliases."+a.name, "is left out: model_list has no %q", a.to)
		}
	}
	first := len(i.providers)
	for rank := 1; ; rank++ {
		added, left := map[*provider]*provider{}, false
		for _, f := range all {
			if len(f.targets) < rank {
				continue
			}
			left = true
			for _, d := range i.deployments {
				if d.name != f.targets[rank-1] || d.name == f.name || d.model.sent == "*" {
					continue
				}
				p := added[d.provider]
				if p == nil {
					p = i.add(&d.provider.target, d.provider.target.family.id+"-fallback")
					p.Metadata = map[string]any{tier: rank}
					added[d.provider] = p
				}
				m := d.model
				m.ID, m.Aliases = f.name, nil
				p.take(m)
			}
		}
		if !left {
			break
		}
	}
	if first == len(i.providers) {
		return false
	}
	for _, p := range i.providers[:first] {
		p.Metadata = map[string]any{tier: 0}
	}
	return true
}

// strategy returns the expression for a routing strategy, empty where the order of the
// configuration is right.
func (i *importer) strategy(shuffled, ranked bool) string {
	var s string
	switch i.routing {
	case "latency-based-routing":
		s = "ai.models.sortBy(m, m.metrics.global.latency.upstream_ms_avg)"
	case "cost-based-routing":
		s = "ai.models.sortBy('price')"
	default:
		if !shuffled {
			return ""
		}
		s = "ai.models.randomize()"
	}
	if ranked {
		s += ".sortBy(m, m.metadata." + tier + ")"
	}
	return s
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
