package policy

import (
	"iter"
	"time"

	"weir/identity"
	"weir/llm"
	"weir/llm/body"
	"weir/policy/expression"
	"weir/policy/tokens"
)

// Request is everything that planning depends on besides the policy: what the client sent,
// the time, randomness, and the state of clusters and models. One goroutine uses it at a
// time, and may use it again after Reset, which keeps its memory:
//
//	request := policy.Request{Endpoint: endpoint, Body: &body, Now: time.Now()}
//	plan, err := current.Plan(&request)
type Request struct {
	Endpoint *llm.Endpoint
	Query    string
	Key      *identity.Key
	Body     *body.Body
	Now      time.Time
	// Health is the state of the clusters; nil: none is ejected. Probe allows the plan to
	// start with a probe of an ejected one.
	Health Health
	Probe  bool
	// Presented are the credentials that the client sent.
	Presented Presented
	// Multiplexed is set if the client's connection carries several requests at once
	// (HTTP/2).
	Multiplexed bool

	// Numbers are the live numbers of models and keys; nil: all are 0.
	Numbers Numbers
	// What expressions see, besides the body and the key.
	Method, Path, ID, ClientIP string
	// Headers are all that arrived, names in lower case; of these, expressions see
	// what header.Rule lets them see, and nothing that holds a credential.
	Headers iter.Seq2[string, string]
	Random  expression.Random
	// Hops is the value of metadata.HopHeader to send on; SentType and SentID are as in
	// Admission.
	Hops, SentType, SentID string
	// Provider is the one that the client named for what it keeps: see Policy.planStored.
	Provider string

	input   expression.Input
	view    expression.Request
	members []expression.Member
	viewed  bool
	// visible is readable, made once.
	visible iter.Seq2[string, string]
	// candidates are the models that strategies choose from, where they depend on the
	// request.
	candidates []*expression.Model
	estimator  tokens.Estimator
	marks      []uint64 // see listed
	found      []choice // what the client's names stand for, and what strategies keep of it
	health     candidateHealth
}

// Reset empties the request and keeps its memory.
func (r *Request) Reset() {
	clear(r.members)
	r.members = r.members[:0]
	clear(r.candidates)
	r.candidates = r.candidates[:0]
	clear(r.input.Models)
	clear(r.found)
	r.found = r.found[:0]
	r.Endpoint, r.Query, r.Key, r.Body, r.Now = nil, "", nil, nil, time.Time{}
	r.Multiplexed, r.Health, r.Probe, r.Numbers = false, nil, false, nil
	r.Method, r.Path, r.ID, r.ClientIP, r.Headers, r.Random, r.Hops, r.Provider = "", "", "", "", nil, nil, "", ""
	r.SentType, r.SentID = "", ""
	r.Presented.Reset()
	r.view, r.viewed, r.health = expression.Request{}, false, candidateHealth{}
}

// inputs returns what expressions read.
func (r *Request) inputs(p *Policy) *expression.Input {
	if r.viewed {
		return &r.input
	}
	r.viewed = true
	r.view = expression.Request{Method: r.Method, Path: r.Path, ID: r.ID, ClientIP: r.ClientIP}
	if r.Headers != nil {
		if r.visible == nil {
			r.visible = r.readable
		}
		r.view.Headers = r.visible
	}
	if k := r.Key; k != nil {
		r.view.Key = expression.AccessKey{ID: k.ID, Name: k.Name, Metadata: k.Metadata}
	}
	if p.uses.Body {
		for _, m := range r.Body.Members {
			r.members = append(r.members, expression.Member{Name: m.Name, Value: r.Body.Bytes[m.Value.Start:m.Value.End]})
		}
		r.view.Body = r.members
	}
	r.input.Request, r.input.Random, r.input.Numbers, r.input.Health = &r.view, r.Random, r.Numbers, nil
	if r.Health != nil {
		r.health.request, r.input.Health = r, &r.health
	}
	return &r.input
}

// readable gives the headers without those that hold the client's credential.
// Expressions leave out those whose header.Rule says so.
func (r *Request) readable(yield func(name, value string) bool) {
	for name, value := range r.Headers {
		if !r.Presented.In(value) && !yield(name, value) {
			return
		}
	}
}
