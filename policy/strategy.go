package policy

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unique"

	"weir/identity"
	"weir/llm"
	"weir/metadata"
	"weir/policy/config"
	"weir/policy/expression"
)

// strategies are the compiled strategies, and what they choose from.
type strategies struct {
	models []*expression.ModelStrategy
	keys   []*expression.KeyStrategy
	// Their sources, for Explain.
	modelSource, keySource []string
	world                  *expression.World
	known                  int                                   // how many models are in it
	numbers                map[unique.Handle[identity.Model]]int // model.number
	// What has live numbers, by its place in Numbers.
	measuredModels []identity.Model
	measuredKeys   []string
	// offered are the models that may serve an endpoint's requests, by Endpoint.Index,
	// for keys without a scope.
	offered [][]*expression.Model
	// most is how many models of a strategy's result a plan can use; 0 is all, where
	// two models of a provider have the same name there.
	most int
}

// compile makes the strategies, once all providers are there.
func (l *loader) compile(p *Policy, g *config.GatewayConfig, at string) {
	s := &p.strategies
	list := func(c *config.StrategyConfig) []string {
		if c == nil {
			return nil
		}
		return c.Strategy
	}
	s.modelSource, s.keySource = list(g.ModelSelection), list(g.APIKeySelection)
	if len(s.modelSource) == 0 && len(s.keySource) == 0 {
		return
	}
	l.world(p)
	s.models = compiled(l, p, at+"model_selection.strategy", s.modelSource, s.world.Models)
	s.keys = compiled(l, p, at+"api_key_selection.strategy", s.keySource, s.world.Keys)
	if len(s.models) > 0 {
		s.offered = make([][]*expression.Model, llm.EndpointCount)
		for e := range llm.Endpoints() {
			s.offered[e.Index] = p.offers(e)
		}
	}
}

// compiled returns the strategies of a list, without those that have problems.
func compiled[S interface{ Uses() expression.Uses }](l *loader, p *Policy, path string, sources []string, compile func(string) (S, []expression.Issue)) []S {
	var out []S
	for i, source := range sources {
		strategy, issues := compile(source)
		if l.issues(config.IndexPath(path, i), issues) {
			continue
		}
		out = append(out, strategy)
		p.uses = merged(p.uses, strategy.Uses())
	}
	return out
}

// issues reports the problems of an expression, and returns whether there are any.
func (l *loader) issues(path string, issues []expression.Issue) bool {
	for _, i := range issues {
		l.problem(path, "%d:%d: %s", i.Line, i.Column, i.Message)
	}
	return len(issues) > 0
}

func merged(a, b expression.Uses) expression.Uses {
	return expression.Uses{
		Headers: a.Headers || b.Headers, Body: a.Body || b.Body, Request: a.Request || b.Request,
		Conn: a.Conn || b.Conn, Key: a.Key || b.Key,
	}
}

// world makes the models and providers that expressions see.
func (l *loader) world(p *Policy) {
	var models []*expression.Model
	var providers []*expression.Provider
	sent := map[modelRef]bool{}
	s := &p.strategies
	s.numbers = map[unique.Handle[identity.Model]]int{}
	for _, owner := range p.providers {
		if owner.disabled {
			continue
		}
		providers = append(providers, &expression.Provider{
			ID: owner.id, DisplayName: owner.display, IDAliases: owner.aliases, Metadata: owner.metadata,
		})
		for i := range owner.keys {
			owner.keyViews = append(owner.keyViews, &expression.Key{ID: owner.keys[i], Place: len(s.measuredKeys), Tag: i})
			s.measuredKeys = append(s.measuredKeys, owner.keys[i])
		}
		for _, m := range owner.models {
			m.view = owner.view(*m.config)
			m.view.Known, m.view.Tag, m.number = true, m, len(models)
			sent[modelRef{owner.id, m.sent}] = true
			models = append(models, m.view)
			ref := identity.Model{Provider: owner.id, ID: m.id}
			s.measuredModels = append(s.measuredModels, ref)
			s.numbers[unique.Make(ref)] = m.number
		}
	}
	s.world, s.known = expression.NewWorld(models, providers), len(models)
	if len(sent) == len(models) {
		s.most = metadata.MaxAttempts
	}
}

// view returns a model as expressions see it.
func (p *provider) view(c config.ModelConfig) *expression.Model {
	metadata := p.metadata
	if len(c.Metadata) > 0 {
		metadata = maps.Clone(p.metadata)
		if metadata == nil {
			metadata = map[string]any{}
		}
		maps.Copy(metadata, c.Metadata)
	}
	out := &expression.Model{
		ID: c.ID, ProviderID: p.id, AuthorID: c.AuthorID, DisplayName: c.DisplayName,
		IDAliases: c.IDAliases, ProviderIDAliases: p.aliases,
		Custom: !p.catalogue, Metadata: metadata,
		InputModalities: c.InputModalities, OutputModalities: c.OutputModalities, SupportedFeatures: c.SupportedFeatures,
		MaxContextWindow: int64(c.MaxContextWindow), MaxOutputTokens: int64(c.MaxOutputTokens),
	}
	if c.Pricing != nil {
		out.Pricing = expression.Pricing{
			Input: priceOf(c.Pricing.Input), Output: priceOf(c.Pricing.Output),
			CacheRead: priceOf(c.Pricing.CacheRead), CacheWrite: priceOf(c.Pricing.CacheWrite),
		}
	}
	return out
}

func priceOf(decimal string) expression.Price {
	usd, err := strconv.ParseFloat(decimal, 64)
	return expression.Price{USD: usd, Known: err == nil && !math.IsInf(usd, 0)}
}

// Numbers are the live numbers that strategies read, of one moment. They come in with
// the request. Places are those of Policy.Measured.
type Numbers = expression.Numbers

// Snapshot returns numbers together with the results of the parts of strategies that are
// the same for every request. Plans with a Snapshot do not evaluate these parts again.
// It takes about a millisecond for each strategy over a thousand models, so it is called
// when the numbers are updated, not on the request path.
func (p *Policy) Snapshot(numbers Numbers) Numbers {
	if p.strategies.world == nil {
		return numbers
	}
	return p.strategies.world.Snapshot(numbers)
}

// Measured returns the models and the ids of the provider keys whose numbers the
// strategies may read, in the order of their places in Numbers. There are none without
// strategies.
func (p *Policy) Measured() (models []identity.Model, keys []string) {
	return p.strategies.measuredModels, p.strategies.measuredKeys
}

// strategy runs the model strategies over candidates, in order, until take keeps something
// of a result. If most is not 0, take may get only the first models of a result, at least
// that many.
func (p *Policy) strategy(req *Request, candidates []*expression.Model, most int, take func([]*expression.Model) bool, t *Trace) error {
	var failures []error
	in := req.inputs(p)
	in.Most = most
	for i, s := range p.strategies.models {
		chosen, err := s.Run(in, candidates)
		if err != nil {
			failures = append(failures, fmt.Errorf("model_selection.strategy[%d]: %w", i, err))
			t.strategy(p.strategies.modelSource[i], nil, false, err)
			continue
		}
		kept := take(chosen)
		t.strategy(p.strategies.modelSource[i], chosen, kept, nil)
		if kept {
			return nil
		}
	}
	return noChoice(failures, len(p.strategies.models), llm.NoModelsSelected, "the gateway's selection strategies left no model for this request")
}

// noChoice returns the error for strategies that chose nothing: StrategyFailed if all of
// them failed.
func noChoice(failures []error, of int, code llm.Code, message string) error {
	if len(failures) == of {
		code, message = llm.StrategyFailed, "the gateway's selection strategies failed on this request; its operator finds why in the log"
	}
	return &llm.Error{Code: code, Message: message, Cause: errors.Join(failures...)}
}

// autoByStrategy lets the strategies choose from all models that may serve the request.
func (p *Policy) autoByStrategy(dst []choice, req *Request, t *Trace) ([]choice, error) {
	candidates, most := req.offers(p), p.strategies.most
	if t != nil {
		p.auto(nil, req.Endpoint, req.Key, t)
		most = 0 // the explanation lists all that is chosen
	}
	if len(candidates) == 0 {
		return nil, p.nothingFor(req)
	}
	err := p.strategy(req, candidates, most, func(chosen []*expression.Model) bool {
		for _, view := range chosen {
			m, ok := view.Tag.(*model)
			if !ok {
				continue
			}
			// A strategy can name models that are not among the candidates.
			c := m.choice()
			if p.admit(&c, m.configured, req.Endpoint, req.Key) == "" {
				dst = appendChoice(dst, c)
			}
			if len(dst) == metadata.MaxAttempts {
				break
			}
		}
		return len(dst) > 0
	}, t)
	return dst, err
}

// filterByStrategy lets the strategies filter what the client asked for. The order of
// entries stays the client's; inside an entry it is the strategy's. left are the entries
// without any remaining model.
func (p *Policy) filterByStrategy(dst []choice, asked [][]choice, req *Request, t *Trace) (out []choice, left []int, err error) {
	places := req.placesFor(p)
	for i, entry := range asked {
		for k := range entry {
			c := &entry[k]
			if c.model().Tag == nil {
				c.view.Tag = c
			}
			if places.of(c.view) < 0 {
				places.set(c.view, i)
				req.candidates = append(req.candidates, c.view)
			}
		}
	}
	most := 0
	if len(asked) == 1 && t == nil {
		most = p.strategies.most // the order is the strategy's
	}
	kept := make([][]choice, len(asked))
	err = p.strategy(req, req.candidates, most, func(chosen []*expression.Model) bool {
		some := false
		for _, view := range chosen {
			i := places.of(view)
			if i < 0 {
				continue
			}
			some = true
			if len(kept[i]) == metadata.MaxAttempts {
				continue // no more of it can be tried, whatever other entries bring
			}
			c, ok := view.Tag.(*choice)
			if !ok {
				c = new(choice)
				*c = view.Tag.(*model).choice()
				c.surface = c.provider.serves(req.Endpoint)
			}
			kept[i] = appendChoice(kept[i], *c)
		}
		return some
	}, t)
	for i, entry := range kept {
		if len(entry) == 0 && len(asked[i]) > 0 {
			left = append(left, i)
		}
		for _, c := range entry {
			dst = appendChoice(dst, c)
		}
	}
	return dst, left, err
}

// model returns the choice as expressions see it.
func (c *choice) model() *expression.Model {
	if c.view == nil {
		c.view = c.provider.view(config.ModelConfig{ID: c.id})
	}
	return c.view
}

// byKey returns the clusters of a choice, one for each of its provider's keys, in
// the order in which they are to be tried.
func (p *Policy) byKey(c *choice, req *Request, t *Trace) ([]*Cluster, error) {
	if len(p.strategies.keys) == 0 || len(c.provider.keyViews) == 0 {
		return c.surface.clusters, nil
	}
	var failures []error
	in := req.inputs(p)
	in.Models = append(in.Models[:0], c.model())
	for i, s := range p.strategies.keys {
		chosen, err := s.Run(in, c.provider.keyViews)
		t.keys(c, p.strategies.keySource[i], chosen, err)
		if err != nil {
			failures = append(failures, fmt.Errorf("api_key_selection.strategy[%d]: %w", i, err))
			continue
		}
		var out []*Cluster
		for _, k := range chosen {
			if cluster := c.surface.clusters[k.Tag.(int)]; !slices.Contains(out, cluster) {
				out = append(out, cluster)
			}
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	return nil, noChoice(failures, len(p.strategies.keys), llm.NoModelsSelected, "the gateway's key selection strategies left no provider key for this request")
}
