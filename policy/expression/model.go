package expression

import (
	"strings"
	"sync/atomic"
)

// Model is what a strategy sees of a model. Its fields must not change after the first
// evaluation. A known model belongs to one World; a pass-through model (Known is false)
// may be made for a single request.
type Model struct {
	ID, ProviderID, AuthorID, DisplayName string
	IDAliases, ProviderIDAliases          []string
	Known, Custom                         bool
	// Metadata is the provider's, overlaid by the model's, as YAML gives it.
	Metadata map[string]any

	InputModalities, OutputModalities, SupportedFeatures []string
	MaxContextWindow, MaxOutputTokens                    int64 // tokens; 0 is unknown

	Pricing Pricing

	// Tag is for the caller; this package does not read it.
	Tag any

	index int                     // in World.models, from 1
	cel   atomic.Pointer[modelOf] // what CEL sees
}

// Pricing is in US dollars per million tokens.
type Pricing struct{ Input, Output, CacheRead, CacheWrite Price }

// Price is a price that may be unknown.
type Price struct {
	USD   float64
	Known bool
}

// Numbers are the live numbers of a World. A Snapshot is also Numbers. They are used by
// many goroutines at once.
type Numbers interface {
	// Model returns a number of a model, by its place in the World, from 0.
	Model(place int, of Metric) float64
	// Key returns the numbers of a provider's key, by its Key.Place.
	Key(place int) KeyNumbers
}

// Metric is one of a model's live numbers. All of them cover a rolling window, and are 0
// if it had no requests.
type Metric uint8

const (
	RequestCount Metric = iota
	// In milliseconds.
	UpstreamAvg
	UpstreamP95
	// In milliseconds until the first token.
	TTFTAvg
	TTFTP95
	// Shares of all requests, 0 to 1.
	ErrorTotal
	ErrorTimeout
	ErrorRateLimit
	ErrorClient
	ErrorServer
)

// ErrorRates are shares of all requests, 0 to 1.
type ErrorRates struct {
	ErrorTotal, ErrorTimeout, ErrorRateLimit, ErrorClient, ErrorServer float64
}

// Provider is what a strategy sees of a provider.
type Provider struct {
	ID, DisplayName string
	IDAliases       []string
	Metadata        map[string]any

	cel atomic.Pointer[providerOf]
}

// Key is what a strategy sees of a provider's API key.
type Key struct {
	ID    string // redacted: it is shown and logged
	Place int    // of its numbers in Numbers
	// Tag is for the caller; this package does not read it.
	Tag any
}

// KeyNumbers are a key's quota, as the provider reported it last, and the key's error
// rates in the rolling window.
type KeyNumbers struct {
	RemainingRequests, RemainingTokens Quota
	ErrorRates
}

// Quota is a number that may be unknown.
type Quota struct {
	Remaining int64
	Known     bool
}

// World is the models and providers that the strategies of one policy choose from. Its
// strategies are compiled first; then it is used by many goroutines at once.
type World struct {
	models    []*Model
	providers []*Provider

	live []*memo // those of its strategies that read numbers
}

// NewWorld takes the known models and the providers, in configuration order.
// Authors are those of the models.
func NewWorld(models []*Model, providers []*Provider) *World {
	w := &World{models: models, providers: providers}
	for i, m := range models {
		m.index = i + 1
		m.view()
	}
	return w
}

// knows reports whether a model is one of the world's, at its index.
func (w *World) knows(m *Model) bool {
	return m.index > 0 && m.index <= len(w.models) && w.models[m.index-1] == m
}

// live is a model with the evaluation that reads its numbers, and the objects that CEL
// reads them from.
type live struct {
	model *Model
	run   *run

	metrics, scope, latency, errorRate object
}

func newLive(m *Model, r *run) *live {
	l := &live{model: m, run: r}
	l.metrics, l.scope = object{metricsKind, l}, object{scopeKind, l}
	l.latency, l.errorRate = object{latencyKind, l}, object{errorRateKind, l}
	return l
}

// number is 0 for a model that is not one of the world's, and without Numbers.
func (l *live) number(of Metric) float64 {
	if l.run.numbers == nil || !l.run.world.knows(l.model) {
		return 0
	}
	return l.run.numbers.Model(l.model.index-1, of)
}

// liveKey is a key with the evaluation that reads its numbers.
type liveKey struct {
	key *Key
	run *run
}

func (l liveKey) numbers() KeyNumbers {
	if l.run.numbers == nil {
		return KeyNumbers{}
	}
	return l.run.numbers.Key(l.key.Place)
}

// is reports whether an id means this model: its id, an alias, or one of these
// behind the provider and a colon.
func (m *Model) is(id string) bool {
	if named(id, m.ID, m.IDAliases) {
		return true
	}
	provider, model, found := strings.Cut(id, ":")
	return found && m.of(provider) && named(model, m.ID, m.IDAliases)
}

// of reports whether an id means the model's provider.
func (m *Model) of(provider string) bool {
	return named(provider, m.ProviderID, m.ProviderIDAliases)
}

func named(word, id string, aliases []string) bool {
	if strings.EqualFold(word, id) {
		return true
	}
	for _, alias := range aliases {
		if strings.EqualFold(word, alias) {
			return true
		}
	}
	return false
}
