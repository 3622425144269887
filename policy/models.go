package policy

import (
	"encoding/json"
	"strings"

	"weir/identity"
	"weir/llm"
)

// Models answers GET /v1/models, or GET /v1/models/{id} where id is not
// empty, for a key: every model that it could ask for, as provider:model.
// The shapes are those of the OpenAI and the Anthropic API references.
func (p *Policy) Models(key *identity.Key, id string, format llm.Format) ([]byte, error) {
	if id != "" {
		m, ok := p.lookup(key, id)
		if !ok {
			return nil, rejection{code: llm.ModelNotFound, entry: id}.err(p, llm.EndpointAt("/v1/chat/completions"), key)
		}
		return json.Marshal(m.in(format))
	}
	list := p.visible(key)
	if format == llm.Anthropic {
		page := anthropicList{Data: make([]any, 0, len(list))}
		for _, m := range list {
			page.Data = append(page.Data, m.in(format))
		}
		if len(list) > 0 {
			page.FirstID, page.LastID = &list[0].id, &list[len(list)-1].id
		}
		return json.Marshal(page)
	}
	page := openaiList{Object: "list", Data: make([]any, 0, len(list))}
	for _, m := range list {
		page.Data = append(page.Data, m.in(format))
	}
	return json.Marshal(page)
}

type openaiList struct {
	Object string `json:"object"`
	Data   []any  `json:"data"`
}

type anthropicList struct {
	Data    []any   `json:"data"`
	HasMore bool    `json:"has_more"`
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
}

type openaiModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int    `json:"created"`
	OwnedBy string `json:"owned_by"`
}

type anthropicModel struct {
	Type        string `json:"type"`
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
}

// listed is a model as a client sees it.
type listed struct {
	id, owner, display string
}

// Neither API leaves the time of creation out, and Weir does not know it:
// the epoch is what Anthropic documents for that case.
func (l listed) in(f llm.Format) any {
	if f == llm.Anthropic {
		return anthropicModel{"model", l.id, l.display, "1970-01-01T00:00:00Z"}
	}
	return openaiModel{l.id, "model", 0, l.owner}
}

func (p *Policy) visible(key *identity.Key) []listed {
	var out []listed
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
	for i := range llm.Endpoints() {
		c := choice{provider: owner, id: id}
		if p.admit(&c, configured, &llm.Endpoints()[i], key) == "" {
			return true
		}
	}
	return false
}

func listing(id string, owner *provider, m *model) listed {
	l := listed{id: id, owner: owner.id, display: id}
	if m == nil {
		return l
	}
	if m.author != "" {
		l.owner = m.author
	}
	if m.display != "" {
		l.display = m.display
	}
	return l
}

// lookup returns the model that a client would get for a name, under that name.
func (p *Policy) lookup(key *identity.Key, id string) (listed, bool) {
	for i := range llm.Endpoints() {
		choices, _ := p.resolve(nil, 1, id, &llm.Endpoints()[i], key, nil)
		if len(choices) > 0 {
			owner := choices[0].provider
			return listing(id, owner, owner.byModel[strings.ToLower(choices[0].id)]), true
		}
	}
	return listed{}, false
}
