// Package catalogue has the facts about the providers that Weir knows without
// configuration: their base URLs and APIs (providers.yaml), their models with context
// windows, features and prices (models.json), and the patterns of their models' names.
//
// It has no credentials, and decides nothing.
package catalogue

import (
	_ "embed"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"weir/llm"
	"weir/policy/config"
)

//go:embed providers.yaml
var providersYAML []byte

//go:embed models.json
var modelsJSON []byte

// Provider is a built-in provider: what a configuration could say of it, and what only the
// catalogue knows.
type Provider struct {
	config.ProviderConfig `yaml:",inline"`
	// Names are patterns of the names of its models, in lower case. See Matches.
	Names []string `yaml:"names"`
	// First are the ids of the models to prefer where a request names none.
	First []string `yaml:"first"`
	// Kinds are what its models are for, by id.
	Kinds map[string]llm.ModelKind `yaml:"-"`
}

// Providers reads the catalogue. The caller owns what it returns.
func Providers() []Provider {
	var out []Provider
	if _, problems := config.Decode("providers.yaml", providersYAML, &out); len(problems) > 0 {
		panic(problems) // a test reads it
	}
	_, models := read()
	for i := range out {
		out[i].take(models)
	}
	return out
}

// model is a line of models.json.
type model struct {
	Provider         string        `json:"provider"`
	ID               string        `json:"id"`
	Author           string        `json:"author"`
	Kind             llm.ModelKind `json:"kind"`
	ContextWindow    int           `json:"max_context_window"`
	MaxOutput        int           `json:"max_output_tokens"`
	InputModalities  []string      `json:"input_modalities"`
	OutputModalities []string      `json:"output_modalities"`
	Features         []string      `json:"supported_features"`
	Pricing          *struct {
		Input      string `json:"input"`
		Output     string `json:"output"`
		CacheRead  string `json:"cache_read"`
		CacheWrite string `json:"cache_write"`
	} `json:"pricing"`
	Deprecated string `json:"deprecated"`
}

// source says where the facts about models come from.
type source struct {
	Package, Version, Licence, File, SHA256, Date string
}

func read() (source, []model) {
	var file struct {
		Source source  `json:"source"`
		Models []model `json:"models"`
	}
	if err := json.Unmarshal(modelsJSON, &file); err != nil {
		panic(err) // a test reads it
	}
	return file.Source, file.Models
}

// take adds the provider's models: those to prefer first, then the others in the order of
// their ids.
func (p *Provider) take(all []model) {
	p.Kinds = map[string]llm.ModelKind{}
	for _, m := range all {
		if m.Provider != p.ID {
			continue
		}
		c := config.ModelConfig{
			ID: m.ID, AuthorID: m.Author, InputModalities: m.InputModalities, OutputModalities: m.OutputModalities,
			SupportedFeatures: m.Features, MaxContextWindow: m.ContextWindow, MaxOutputTokens: m.MaxOutput,
		}
		if m.Pricing != nil {
			pricing := config.PricingConfig(*m.Pricing)
			c.Pricing = &pricing
		}
		p.Models = append(p.Models, c)
		p.Kinds[m.ID] = m.Kind
	}
	rank := func(m config.ModelConfig) int {
		if i := slices.Index(p.First, m.ID); i >= 0 {
			return i
		}
		return len(p.First)
	}
	slices.SortStableFunc(p.Models, func(a, b config.ModelConfig) int { return rank(a) - rank(b) })
}

// Matches reports whether the patterns of the provider cover a model name in lower case. A
// wildcard covers neither ':' nor '/', which separate the names of other servers: Ollama
// has deepseek-r1:8b, and gateways have openai/gpt-4o.
func (p *Provider) Matches(name string) bool {
	covered := false
	for _, pattern := range p.Names {
		excluded := strings.HasPrefix(pattern, "!")
		if matches(strings.TrimPrefix(pattern, "!"), name) {
			if excluded {
				return false
			}
			covered = true
		}
	}
	return covered
}

func matches(pattern, name string) bool {
	if strings.Count(pattern, ":") != strings.Count(name, ":") {
		return false
	}
	ok, err := path.Match(pattern, name) // a wildcard covers no slash
	return ok && err == nil
}
