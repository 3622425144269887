package policy

import (
	"slices"
	"strings"

	"weir/llm"
	"weir/llm/body"
	"weir/metadata"
	"weir/policy/config"
)

// planStored plans a request about something that one provider keeps: one attempt, at the
// provider that the client named (metadata.ProviderHeader), or else at default_provider, or
// else at the only configured provider that serves the operation and that the key may use.
// Other providers would know nothing of it. Of a provider's keys it is the first.
func (p *Policy) planStored(req *Request) (*Plan, error) {
	owner, err := p.keeper(req)
	if err != nil {
		return nil, err
	}
	if req.Presented.In(req.Path) {
		return nil, llm.Errorf(llm.InvalidBody, "the path contains the access key: send the key as a credential only")
	}
	shaped, err := p.shape(req)
	if err != nil {
		return nil, err
	}
	edits, err := redact(nil, req.Presented.spans(req.Body))
	if err != nil {
		return nil, err
	}
	s := owner.serves(req.Endpoint)
	out := &Plan{
		Stream:   req.Endpoint.Content || asksForStream(req),
		Deadline: req.Now.Add(p.TotalTimeout),
	}
	out.Attempts = append(out.attempts[:0], Attempt{
		Cluster: s.clusters[0], Authority: s.authority,
		Path:  withQuery(s.join(req), config.MergeQuery(s.base.RawQuery, shaped.params, owner.forward.clientQuery(req))),
		Edits: edits, Length: body.EditedLen(len(req.Body.Bytes), edits),
	})
	return p.complete(out, req)
}

// join returns the path at the provider of a request for a Stored operation.
func (s *surface) join(req *Request) string {
	versioned := s.versioned
	if v, known := req.Endpoint.Versioned(s.base.Host, s.base.Path); known && versioned == nil {
		versioned = &v
	}
	return config.Join(s.base, versioned, req.Path)
}

// asksForStream reports whether the response will be a stream: GET /v1/responses/{id} has
// the parameter in its query.
func asksForStream(req *Request) bool {
	for raw := range strings.SplitSeq(req.Query, "&") {
		if name, ok := config.ParamName(raw); ok && name == llm.StreamField {
			_, value, _ := strings.Cut(raw, "=")
			return value == "true"
		}
	}
	return false
}

// keeper returns the provider of a Stored operation.
func (p *Policy) keeper(req *Request) (*provider, error) {
	name := req.Provider
	if name == "" {
		name = p.defaultProvider
	}
	if name == "" {
		var able []string
		var only *provider
		var why error
		for _, owner := range p.providers {
			switch err := p.keeps(owner, req); {
			case !owner.configured:
			case err == nil:
				only = owner
				able = append(able, owner.id)
			case why == nil && !owner.disabled:
				why = err
			}
		}
		switch {
		case len(able) == 1:
			return only, nil
		case len(able) > 1:
			const most = 10
			return nil, llm.Errorf(llm.ProviderNotFound, "%s %s names no model, so the gateway cannot tell which provider has it: send the header %s (%s)",
				req.Method, llm.Clip(req.Path), metadata.ProviderHeader, strings.Join(able[:min(len(able), most)], ", "))
		case why != nil:
			return nil, why
		}
		return nil, llm.Errorf(llm.ProviderNotFound, "no configured provider serves %s %s for this access key", req.Method, llm.Clip(req.Path))
	}
	owner := p.byName[strings.ToLower(name)]
	if owner == nil || owner.disabled {
		return nil, llm.Errorf(llm.ProviderNotFound, "%s names %q, which is not a provider of this gateway", metadata.ProviderHeader, llm.Clip(name))
	}
	return owner, p.keeps(owner, req)
}

// keeps returns an error if a provider cannot serve a Stored operation for the access key.
func (p *Policy) keeps(owner *provider, req *Request) error {
	switch {
	case owner.disabled:
		return llm.Errorf(llm.ProviderNotFound, "provider %q is disabled", owner.id)
	case p.onlyConfiguredProviders && !owner.configured, !req.Key.AllowsAnyOf(owner.id):
		return llm.Errorf(llm.ProviderNotAllowed, "provider %q is not allowed here", owner.id)
	case req.Endpoint.OwnModels && (p.onlyConfiguredModels || req.Key != nil && req.Key.Scope.Models != nil):
		return llm.Errorf(llm.ModelNotAllowed, "%s %s is for clients that may use all models: which ones a batch uses, the gateway cannot see", req.Method, llm.Clip(req.Path))
	case owner.serves(req.Endpoint) == nil:
		return llm.Errorf(llm.UnsupportedSurface, "provider %q does not serve %s", owner.id, llm.Clip(req.Path))
	case !owner.keyed:
		return llm.Errorf(llm.NoProviderKey, "provider %q has no API key in this gateway: the operator must add api_keys", owner.id)
	}
	return nil
}

// continues reports whether a request with a model continues what one provider keeps.
func continues(req *Request) bool {
	return req.Endpoint.Surface == llm.Responses && slices.ContainsFunc(req.Body.Members, func(m body.Member) bool {
		return llm.Continues(string(m.Name)) && string(req.Body.Bytes[m.Value.Start:m.Value.End]) != "null"
	})
}

// whereStored leaves only the attempts with the provider and the key that have what the
// request continues. To others it is unknown, and their 400 would hide a failure after which
// the client can try again. It is where the request would go if nothing was ejected: at the
// provider that the client named, if it is among these, or else at the first.
func (p *Policy) whereStored(tries []try, choices []choice, req *Request, t *Trace) []try {
	first := tries[0].cluster
	if named := p.byName[strings.ToLower(req.Provider)]; named != nil {
		if i := slices.IndexFunc(tries, func(s try) bool { return choices[s.choice].provider == named }); i >= 0 {
			first = tries[i].cluster
		}
	}
	t.continues()
	return slices.DeleteFunc(tries, func(s try) bool { return s.cluster != first })
}

// defaultProvider reads the provider of requests that name neither a model nor a provider.
func (l *loader) defaultProvider(p *Policy, g *config.GatewayConfig, at string) {
	if g.DefaultProvider == "" {
		return
	}
	switch owner := p.byName[strings.ToLower(g.DefaultProvider)]; {
	case owner == nil:
		l.problem(at+"default_provider", "%q is not a provider%s", llm.Clip(g.DefaultProvider), l.catalogueHint(g.DefaultProvider))
	case owner.disabled:
		l.problem(at+"default_provider", "provider %q is disabled", owner.id)
	default:
		p.defaultProvider = owner.id
	}
}
