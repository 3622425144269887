package policy

import (
	"weir/llm"
	"weir/policy/expression"
)

// offers returns the models that may serve an endpoint's requests and are made for it, in
// configuration order.
func (p *Policy) offers(e *llm.Endpoint) []*expression.Model {
	var out []*expression.Model
	for _, owner := range p.providers {
		if owner.disabled {
			continue
		}
		for _, m := range owner.models {
			if c := m.choice(); e.Suits(m.kind) && p.admit(&c, m.configured, e, nil) == "" {
				out = append(out, m.view)
			}
		}
	}
	return out
}

// offers returns the models that may serve the request, in configuration order. Those that
// the key lists are marked first: looking up each of 1,000 models in its list takes longer
// than most strategies.
func (r *Request) offers(p *Policy) []*expression.Model {
	all := p.strategies.offered[r.Endpoint.Index]
	if !r.Key.Limited() {
		return all
	}
	listed := r.listed(p)
	var owner *provider
	allowed := false
	for _, view := range all {
		m := view.Tag.(*model)
		if m.provider != owner {
			owner, allowed = m.provider, r.Key.AllowsProvider(m.provider.id)
		}
		if allowed && (listed == nil || listed[m.number/64]>>(m.number%64)&1 == 1) {
			r.candidates = append(r.candidates, view)
		}
	}
	return r.candidates
}

// listed returns a bit for each model.number that the request's key lists, or nil if the
// key may use all models.
func (r *Request) listed(p *Policy) []uint64 {
	if r.Key.Scope.Models == nil {
		return nil
	}
	if n := p.strategies.known/64 + 1; len(r.marks) < n {
		r.marks = make([]uint64, n)
	}
	clear(r.marks)
	for _, h := range r.Key.Scope.Models {
		if n, ok := p.strategies.numbers[h]; ok {
			r.marks[n/64] |= 1 << (n % 64)
		}
	}
	return r.marks
}

// room returns memory for the choices of one name; hold keeps those that were found.
func (r *Request) room() []choice { return r.found[len(r.found):] }

func (r *Request) hold(found []choice) []choice {
	if n := len(r.found); n+len(found) <= cap(r.found) {
		r.found = r.found[:n+len(found)]
	} else {
		r.found = found // in larger memory
	}
	return found
}
