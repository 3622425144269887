package catalogue

import (
	"path"
	"strings"
	"testing"

	"weir/llm"
	"weir/policy/config"
)

// TestCatalogue checks what nobody else would: both files are embedded.
func TestCatalogue(t *testing.T) {
	all := Providers()
	if len(all) != 9 {
		t.Errorf("%d providers, want the nine of the documentation", len(all))
	}
	s, models := read()
	seen := 0
	for _, p := range all {
		seen += len(p.Models)
		for _, pattern := range p.Names {
			if _, err := path.Match(strings.TrimPrefix(pattern, "!"), ""); err != nil || pattern != strings.ToLower(pattern) {
				t.Errorf("%s: invalid pattern %q", p.ID, pattern)
			}
		}
		ids := map[string]bool{}
		for i, m := range p.Models {
			if low := strings.ToLower(m.ID); ids[low] {
				t.Errorf("%s: two models %q", p.ID, low)
			} else {
				ids[low] = true
			}
			if i < len(p.First) && m.ID != p.First[i] {
				t.Errorf("%s: the model to prefer is %q, but %q is listed", p.ID, p.First[i], m.ID)
			}
			suits := false
			for e := range llm.Endpoints() {
				suits = suits || e.Suits(p.Kinds[m.ID])
			}
			if !suits || p.Kinds[m.ID] == "" {
				t.Errorf("%s: no operation takes %q, of kind %q", p.ID, m.ID, p.Kinds[m.ID])
			}
			if m.AuthorID == "" {
				t.Errorf("%s: %q has no author", p.ID, m.ID)
			}
			if m.Pricing == nil {
				continue
			}
			for _, price := range []string{m.Pricing.Input, m.Pricing.Output, m.Pricing.CacheRead, m.Pricing.CacheWrite} {
				if price != "" && !config.IsDecimal(price) {
					t.Errorf("%s: %q has price %q", p.ID, m.ID, price)
				}
			}
		}
	}
	if seen != len(models) {
		t.Errorf("%d models of %d are those of a provider", seen, len(models))
	}
	if s.Package == "" || s.Version == "" || s.Licence == "" || s.Date == "" || len(s.SHA256) != 64 {
		t.Errorf("the source is %+v", s)
	}
}

func TestMatches(t *testing.T) {
	for name, want := range map[string]string{
		"gpt-5.9":                         "openai",
		"gpt-4o-2024-08-06":               "openai",
		"gpt-5-codex":                     "openai",
		"chatgpt-4o-latest":               "openai",
		"o7":                              "openai",
		"o4-mini-2025-04-16":              "openai",
		"codex-mini-latest":               "openai",
		"dall-e-3":                        "openai",
		"ft:gpt-4o-mini:acme::abc":        "openai",
		"ft:gpt-4o-mini:acme:mine:7p4":    "openai",
		"claude-3-5-sonnet-20241022":      "anthropic",
		"claude-opus-9":                   "anthropic",
		"gemini-9-pro":                    "google",
		"deepseek-reasoner":               "deepseek",
		"llama-3.3-70b-versatile":         "groq",
		"mercury-coder":                   "inceptionlabs",
		"gpt-oss:20b":                     "", // names of open weights at other servers
		"gpt-oss-20b":                     "",
		"deepseek-r1:8b":                  "",
		"llama3.2":                        "",
		"llama-3.2-3b-instruct":           "",
		"gemma3:4b":                       "",
		"olmo2":                           "",
		"openai/gpt-9":                    "",
		"anthropic/claude-9":              "",
		"o":                               "",
		"my-gpt-4":                        "",
		"gpt-4o:latest":                   "",
		"us.anthropic.claude-sonnet-4-v1": "",
		"":                                "",
	} {
		var got []string
		for _, p := range Providers() {
			if p.Matches(name) {
				got = append(got, p.ID)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q is covered by the patterns of %q, want %q", name, got, want)
		}
	}
}

func BenchmarkProviders(b *testing.B) {
	for b.Loop() {
		Providers()
	}
}
