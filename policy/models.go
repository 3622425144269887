package policy

import (
	"strings"

	"weir/identity"
	"weir/llm"
)

// Models returns the response to GET /v1/models, or to GET /v1/models/{id} if id is not
// empty: every model that the key may request, as provider:model. It fails with the code
// ModelNotFound for an id that the key could not request. query selects a page in Anthropic's format.
func (p *Policy) Models(key *identity.Key, id, query string, format llm.Format) ([]byte, error) {
	if id == "" {
		return llm.RenderModels(p.visible(key), format, query)
	}
	m, ok := p.lookup(key, id)
	if !ok {
		return nil, rejection{code: llm.ModelNotFound, entry: id}.err(p, llm.EndpointAt(llm.ChatCompletionsPath), key)
	}
	return m.Render(format), nil
}

func (p *Policy) visible(key *identity.Key) []llm.Model {
	var out []llm.Model
	for _, owner := range p.providers {
		if owner.disabled {
			continue
		}
		for _, m := range owner.models {
			if p.usable(owner, m.id, m.configured, key) {
				out = append(out, listing(owner.id+":"+m.id, owner, m))
			}
		}
	}
	return out
}

// usable reports whether admit allows a model for at least one endpoint.
func (p *Policy) usable(owner *provider, id string, configured bool, key *identity.Key) bool {
	for e := range llm.Endpoints() {
		c := choice{provider: owner, id: id}
		if p.admit(&c, configured, e, key) == "" {
			return true
		}
	}
	return false
}

func listing(id string, owner *provider, m *model) llm.Model {
	l := llm.Model{ID: id, Owner: owner.id, DisplayName: id}
	if m == nil {
		return l
	}
	if m.author != "" {
		l.Owner = m.author
	}
	if m.display != "" {
		l.DisplayName = m.display
	}
	return l
}

// lookup returns the model that serves a client's name, under that name.
func (p *Policy) lookup(key *identity.Key, id string) (llm.Model, bool) {
	for e := range llm.Endpoints() {
		choices, _ := p.resolve(nil, 1, id, e, key, nil)
		if len(choices) > 0 {
			owner := choices[0].provider
			return listing(id, owner, owner.byModel[strings.ToLower(choices[0].id)]), true
		}
	}
	return llm.Model{}, false
}
