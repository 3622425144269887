package expression

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// numbers are metrics that do not change.
type numbers map[Metric]float64

type keyNumbers KeyNumbers

// tags are the numbers that the models of a test's world have as their Tag, and those
// of smallKeys.
type tags struct{ w *World }

func (t tags) Model(place int, of Metric) float64 {
	tag, _ := t.w.models[place].Tag.(numbers)
	return tag[of]
}

func (t tags) Key(place int) KeyNumbers {
	tag, _ := smallKeys()[place].Tag.(keyNumbers)
	return KeyNumbers(tag)
}

func usd(price float64) Price { return Price{USD: price, Known: true} }

// smallWorld is the world of the tables: four models of three providers.
func smallWorld() (*World, []*Model) {
	models := []*Model{
		{
			ID: "gpt-4o", ProviderID: "openai", AuthorID: "openai", DisplayName: "GPT-4o", Known: true,
			IDAliases: []string{"gpt-4o-latest"}, ProviderIDAliases: []string{"oai"},
			Metadata:        map[string]any{"tier": 2, "regions": []any{"us-east-1", "eu-west-1"}, "config": map[string]any{"zone": "a"}, "premium": true},
			InputModalities: []string{"text", "image"}, SupportedFeatures: []string{"tool-calling"},
			MaxContextWindow: 128000, MaxOutputTokens: 16384,
			Pricing: Pricing{Input: usd(2.5), Output: usd(10)},
			Tag:     numbers{RequestCount: 100, UpstreamAvg: 400, UpstreamP95: 900, TTFTP95: 300, ErrorTotal: 0.2},
		},
		{
			ID: "gpt-4o-mini", ProviderID: "openai", AuthorID: "openai", Known: true, ProviderIDAliases: []string{"oai"},
			Metadata:        map[string]any{"tier": 1, "region": "US-EAST-1", "country_code": "US"},
			InputModalities: []string{"text"}, MaxContextWindow: 128000,
			Pricing: Pricing{Input: usd(0.15), Output: usd(0.6)},
			Tag:     numbers{RequestCount: 5, UpstreamAvg: 200, UpstreamP95: 1500, TTFTP95: 100},
		},
		{
			ID: "claude-sonnet", ProviderID: "anthropic", AuthorID: "anthropic", Known: true,
			Metadata:        map[string]any{"datacenters": []any{map[string]any{"region": "eu-central-1", "country_code": "DE"}}, "note": nil},
			InputModalities: []string{"text"}, SupportedFeatures: []string{"tool-calling", "coding"},
			Pricing: Pricing{Input: usd(3), Output: usd(15), CacheRead: usd(0.3)},
		},
		{ID: "llama3.2:1b", ProviderID: "ollama", Known: true, Custom: true, InputModalities: []string{"text"}},
	}
	providers := []*Provider{
		{ID: "openai", IDAliases: []string{"oai"}, DisplayName: "OpenAI", Metadata: map[string]any{"location": "cloud"}},
		{ID: "anthropic"},
		{ID: "ollama", Metadata: map[string]any{"location": "local"}},
		{ID: "empty"},
	}
	return NewWorld(models, providers), models
}

// smallRequest is the request of the tables.
func smallRequest() *Request {
	return &Request{
		Method: "POST", Path: "/v1/chat/completions", ID: "r1", ClientIP: "192.0.2.7",
		Headers: headersOf("x-tier", "gold", "x-team", "a", "x-team", "b", "x-prefer", "gpt-4o-mini", "authorization", "Bearer x", "x-odd", "a\xffb"),
		Body: []Member{
			{Name: []byte("model"), Value: []byte(`"auto"`)},
			{Name: []byte("temperature"), Value: []byte(`0.5`)},
			{Name: []byte("max_tokens"), Value: []byte(`2000`)},
			{Name: []byte("stream"), Value: []byte(`true`)},
			{Name: []byte("messages"), Value: []byte(`[{"role":"user","content":"hi"},{"role":"assistant"}]`)},
			{Name: []byte("user"), Value: []byte(`null`)},
			{Name: []byte("big"), Value: []byte(`1e999`)},
		},
		Key: AccessKey{ID: "aigk_1", Name: "team-a", Metadata: map[string]any{"plan": "free"}},
	}
}

func headersOf(pairs ...string) func(func(string, string) bool) {
	return func(yield func(string, string) bool) {
		for i := 0; i < len(pairs); i += 2 {
			if !yield(pairs[i], pairs[i+1]) {
				return
			}
		}
	}
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

// idsOf shows a result.
func idsOf(models []*Model) string {
	var ids []string
	for _, m := range models {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, " ")
}

func mustModels(t testing.TB, w *World, source string) *ModelStrategy {
	t.Helper()
	s, issues := w.Models(source)
	if issues != nil {
		t.Fatalf("%s: %v", source, issues)
	}
	return s
}

// tagged is what a gateway makes of the models' tags after each tick.
func (w *World) tagged() *Snapshot { return w.Snapshot(tags{w}) }

// slow is the strategy without shared parts.
func slow(s *ModelStrategy) *ModelStrategy {
	p := *s.program
	p.shared = nil
	return &ModelStrategy{&p, s.uses, s.world}
}

// largeWorld has n models of three providers.
func largeWorld(n int) (*World, []*Model) {
	models := make([]*Model, n)
	for i := range models {
		models[i] = &Model{
			ID: fmt.Sprintf("model-%d", i), ProviderID: []string{"openai", "anthropic", "google"}[i%3], AuthorID: fmt.Sprint("author-", i%17), Known: true,
			Metadata: map[string]any{"tier": i % 4}, InputModalities: []string{"text"},
			Pricing: Pricing{Input: Price{float64(i * 7919 % 1000), i%5 != 0}},
			Tag:     numbers{RequestCount: float64(i), TTFTP95: float64(i * 7919 % 997), ErrorTotal: float64(i%100) / 100},
		}
	}
	return NewWorld(models, []*Provider{{ID: "openai"}, {ID: "anthropic"}, {ID: "google"}}), models
}
