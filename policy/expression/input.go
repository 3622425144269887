package expression

import (
	"slices"

	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// Input is what one evaluation reads, and its memory. It is used by one goroutine at a
// time, and can be used again.
type Input struct {
	// Request may be nil: then every part of it is empty.
	Request *Request
	// Random may be nil: then random returns the first element, and randomize does not
	// change the order.
	Random Random
	// Health may be nil: then nothing is ejected.
	Health Health
	// Numbers may be nil: then all of a model's are 0 and a key's quota is unknown. If it is
	// a Snapshot of the strategy's World, the strategy uses what was evaluated with it.
	Numbers Numbers
	// Models is ai.models of a key strategy: the model that a key is chosen for. A model
	// strategy is called with its candidates.
	Models []*Model
	// Most is how many different models at the start of a model strategy's result the
	// caller needs. The rest may be left out. 0 is all.
	Most int

	// Cost is what the last run cost, in steps: little more than MaxCost at most.
	Cost int

	run run
}

// run is one evaluation: it resolves the names of an expression, and is what
// the roots' objects read.
type run struct {
	world   *World
	request *Request
	random  Random
	health  Health
	most    int
	numbers Numbers
	secret  func(store, key string) (string, error)

	models  modelList
	keys    []*Key
	headers headers
	body    body

	offers  []offer // made when ai.providers is read
	authors []author
	keyVals []ref.Val
	keyMeta ref.Val

	choosesKey bool

	// Of the shared form:
	results  []*result // of the Snapshot
	ordered  bool      // the candidates are in the world's order
	slots    []slot
	values   []ref.Val // of slots that are evaluated once
	cost     int       // of slots and loops
	root     *counter  // of the evaluation
	counts   func(any) // sets root
	total    int       // cost of all that has been evaluated
	variable string    // of the loop that is running
	element  ref.Val   // its value
	members  []uint64  // of the candidates, a bit for each model of the world
	places   []uint64  // of candidates, behind their ranks

	shuffling []*Model // memory for a list of which only the first are needed

	ai, aiKeys, req, conn, key, secrets, self object
}

// offer is a provider with those of its models that may be used.
type offer struct {
	provider *Provider
	models   modelList
}

// author is an author with those of its models that may be used.
type author struct {
	id     string
	models modelList
}

var noRequest Request

// start prepares the run of one evaluation.
func (in *Input) start(w *World) *run {
	r := &in.run
	if r.ai.of == nil {
		r.ai, r.aiKeys = object{aiKind, r}, object{aiKeyKind, r}
		r.req, r.conn = object{reqKind, r}, object{connKind, r}
		r.key, r.secrets, r.self = object{accessKeyKind, r}, object{secretsKind, r}, object{runKind, r}
		r.counts = func(state any) {
			if c, ok := state.(*counter); ok {
				r.root = c
			}
		}
	}
	r.world, r.random, r.health, r.most, r.request, r.numbers = w, in.Random, in.Health, in.Most, in.Request, in.Numbers
	r.total = 0
	if r.request == nil {
		r.request = &noRequest
	}
	r.headers.all, r.headers.read = r.request.Headers, r.headers.read[:0]
	r.body.members = r.request.Body
	r.offers, r.authors, r.keyVals, r.keyMeta = nil, nil, nil, nil
	r.choosesKey, r.results = false, nil
	if s, ok := in.Numbers.(*Snapshot); ok {
		r.numbers = s.Numbers
		if s.world == w {
			r.results = s.results
		}
	}
	return r
}

// begin prepares the run of a shared form.
func (r *run) begin(slots []slot) {
	r.slots, r.cost = slots, 0
	r.variable, r.element = "", nil
	r.values = slices.Grow(r.values[:0], len(slots))[:len(slots)]
	clear(r.values)
}

// finish drops the references to the request, so that a pooled Input does not keep it
// in memory.
func (r *run) finish() {
	clear(r.headers.read[:cap(r.headers.read)])
	clear(r.values)
	clear(r.shuffling)
	r.request, r.random, r.health, r.secret, r.numbers, r.results = &noRequest, nil, nil, nil, nil, nil
	r.headers.all, r.body.members = nil, nil
	r.models.models, r.keys = nil, nil
	r.offers, r.authors, r.keyVals, r.keyMeta, r.root = nil, nil, nil, nil, nil
}

// ResolveName implements interpreter.Activation.
func (r *run) ResolveName(name string) (any, bool) {
	if name == r.variable {
		return r.element, true
	}
	if i, ok := slotOf(name); ok {
		return r.slots[i].value(r), true
	}
	switch name {
	case "ai":
		if r.choosesKey {
			return &r.aiKeys, true
		}
		return &r.ai, true
	case "req":
		return &r.req, true
	case "conn":
		return &r.conn, true
	case "key":
		return &r.key, true
	case "secrets":
		return &r.secrets, true
	case runName:
		return &r.self, true
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (r *run) Parent() interpreter.Activation { return nil }

// runName is the variable that passes the run to functions. It cannot be written in an
// expression.
const runName = "@run"

var runKind = newKind("run")

// runOf returns the run that a function got as an argument.
func runOf(v ref.Val) *run { return v.(*object).of.(*run) }

func (r *run) keyMetadata() ref.Val {
	if r.keyMeta == nil {
		r.keyMeta = anyMapOf(r.request.Key.Metadata)
	}
	return r.keyMeta
}

func (r *run) keyList() ref.Val {
	if r.keyVals == nil {
		r.keyVals = make([]ref.Val, len(r.keys))
		for i, k := range r.keys {
			r.keyVals[i] = &object{keyKind, liveKey{k, r}}
		}
	}
	return listOf(r.keyVals)
}

// providerList returns the world's providers that have a model in this run.
func (r *run) providerList() ref.Val {
	if r.offers == nil {
		byID := map[string][]*Model{}
		for _, m := range r.models.models {
			byID[m.ProviderID] = append(byID[m.ProviderID], m)
		}
		r.offers = make([]offer, 0, len(byID))
		for _, p := range r.world.providers {
			if models := byID[p.ID]; models != nil {
				r.offers = append(r.offers, offer{p, modelList{models}})
			}
		}
	}
	vals := make([]ref.Val, len(r.offers))
	for i := range r.offers {
		vals[i] = &object{providerKind, &r.offers[i]}
	}
	return listOf(vals)
}

// authorList returns the authors of the models of this run, in their order.
func (r *run) authorList() ref.Val {
	if r.authors == nil {
		at := map[string]int{}
		for _, m := range r.models.models {
			if m.AuthorID == "" {
				continue
			}
			i, known := at[m.AuthorID]
			if !known {
				i = len(r.authors)
				at[m.AuthorID] = i
				r.authors = append(r.authors, author{id: m.AuthorID})
			}
			r.authors[i].models.models = append(r.authors[i].models.models, m)
		}
	}
	vals := make([]ref.Val, len(r.authors))
	for i := range r.authors {
		vals[i] = &object{authorKind, &r.authors[i]}
	}
	return listOf(vals)
}
