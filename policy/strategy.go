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
	path                   string // of the model strategies in the configuration
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
	s.path = at + "model_selection.strategy"
	s.models = compiled(l, p, s.path, s.modelSource, s.world.Models)
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

// byStrategy runs the model strategies, in order, for each of asked on its own: the first
// that keeps some of its candidates decides for it. The candidates of all together are not
// more than MaxCost allows for one run of a strategy, or little more.
func (p *Policy) byStrategy(asked []askedFor, req *Request, t *Trace) error {
	in := req.inputs(p)
	in.Most = p.strategies.most
	if t != nil {
		in.Most = 0 // the explanation lists all that is chosen
	}
	var failures []error
	runs, failed, some := 0, 0, false
	for i, s := range p.strategies.models {
		if !slices.ContainsFunc(asked, askedFor.open) {
			break
		}
		cost := 0
		t.strategy(p.strategies.modelSource[i])
		for k := range asked {
			a := &asked[k]
			if !a.open() {
				continue
			}
			runs++
			chosen, err := []*expression.Model(nil), expression.ErrCost
			if cost <= expression.MaxCost {
				chosen, err = s.Run(in, a.candidates)
				cost += in.Cost
			}
			if err != nil {
				if failed++; len(failures) == 0 || failures[len(failures)-1].Error() != failureOf(i, err).Error() {
					failures = append(failures, failureOf(i, err))
				}
			} else {
				a.kept = p.kept(a, chosen, req)
				some = some || len(a.kept) > 0
			}
			t.ran(a, chosen, err)
		}
	}
	if some {
		return nil
	}
	return noChoice(failures, failed == runs, llm.NoModelsSelected, "the gateway's selection strategies left no model for this request")
}

func failureOf(strategy int, err error) error {
	return fmt.Errorf("model_selection.strategy[%d]: %w", strategy, err)
}

// noChoice returns the error for strategies that chose nothing: StrategyFailed if all of
// them failed.
func noChoice(failures []error, all bool, code llm.Code, message string) error {
	if all {
		code, message = llm.StrategyFailed, "the gateway's selection strategies failed on this request; its operator finds why in the log"
	}
	return &llm.Error{Code: code, Message: message, Cause: errors.Join(failures...)}
}

// askedFor is what the client asked for with one name, or without any.
type askedFor struct {
	name       string
	candidates []*expression.Model
	kept       []choice // by a strategy
}

// open reports whether no strategy has decided yet.
func (a askedFor) open() bool { return len(a.kept) == 0 }

// kept returns the choices of a strategy's result that can be tried, as far as a plan can be
// long. A strategy chooses from candidates, and what it returns is checked nevertheless.
func (p *Policy) kept(a *askedFor, chosen []*expression.Model, req *Request) []choice {
	out := req.room()
	for _, view := range chosen {
		var c choice
		switch of := view.Tag.(type) {
		case *choice:
			c = *of
		case *model:
			c = of.choice()
			if p.admit(&c, of.configured, req.Endpoint, req.Key) != "" {
				continue
			}
		}
		if a.name != "" && !slices.Contains(a.candidates, view) {
			continue
		}
		if out = appendChoice(out, c); len(out) == metadata.MaxAttempts {
			break
		}
	}
	return req.hold(out)
}

// autoByStrategy lets the strategies choose from all models that may serve the request.
func (p *Policy) autoByStrategy(req *Request, t *Trace) ([]choice, error) {
	if t != nil {
		p.auto(nil, req.Endpoint, req.Key, t)
	}
	asked := [1]askedFor{{candidates: req.offers(p)}}
	if len(asked[0].candidates) == 0 {
		return nil, p.nothingFor(req)
	}
	err := p.byStrategy(asked[:], req, t)
	return asked[0].kept, err
}

// filterByStrategy lets the strategies filter what the client asked for. The order of
// names stays the client's; inside one name it is the strategy's. left are the names
// without any remaining model.
func (p *Policy) filterByStrategy(dst []choice, asked []askedFor, req *Request, t *Trace) (out []choice, left []string, err error) {
	err = p.byStrategy(asked, req, t)
	for i := range asked {
		if len(asked[i].kept) == 0 {
			left = append(left, asked[i].name)
		}
		for _, c := range asked[i].kept {
			dst = appendChoice(dst, c)
		}
	}
	return dst, left, err
}

// viewsOf returns choices as expressions see them.
func (r *Request) viewsOf(choices []choice) []*expression.Model {
	from := len(r.candidates)
	for i := range choices {
		c := &choices[i]
		if c.model().Tag == nil {
			c.view.Tag = c
		}
		r.candidates = append(r.candidates, c.view)
	}
	return r.candidates[from:len(r.candidates):len(r.candidates)]
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
	req.health.choice = *c // a copy, so that c stays on the stack
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
	return nil, noChoice(failures, len(failures) == len(p.strategies.keys), llm.NoModelsSelected, "the gateway's key selection strategies left no provider key for this request")
}
