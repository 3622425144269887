package policy

import (
	"cmp"
	"strings"
)

// Labels of metrics for what is not configured.
const (
	OtherLabel = "other"
	AutoLabel  = "weir/auto"
)

// modelRef is a model by its provider's id and a name.
type modelRef struct{ provider, model string }

// labels are the names that may be labels of metrics: their number
// is bounded by the configuration, whatever clients send.
type labels struct {
	served map[modelRef]string // by provider and what it is asked for
	keys   map[string]string   // by cluster
	ids    map[string]bool     // of providers' keys
}

// AskedLabel returns a client's model name in the spelling of the configuration. It returns
// AutoLabel for no name, and OtherLabel for every name that is not configured.
func (p *Policy) AskedLabel(asked string) string {
	if asked == "" || isAuto(asked) {
		return AutoLabel
	}
	name := strings.ToLower(asked)
	if offers := p.byModel[name]; len(offers) > 0 {
		return cmp.Or(offers[0].names[name], name)
	}
	if owner, _, rest := p.owner(asked, name); owner != nil {
		if m := owner.byModel[rest]; m != nil {
			return m.label
		}
	}
	return OtherLabel
}

// ServedLabel returns the id of the model that a provider was asked for, or
// OtherLabel.
func (p *Policy) ServedLabel(provider, sent string) string {
	if id, ok := p.labels.served[modelRef{provider, sent}]; ok {
		return id
	}
	return OtherLabel
}

// ProviderKeyOf returns the id of the provider's key that a cluster sends.
func (p *Policy) ProviderKeyOf(cluster string) string { return p.labels.keys[cluster] }

// HasModel reports whether a provider has a model, by their ids: whether there are
// numbers to keep of it.
func (p *Policy) HasModel(provider, id string) bool {
	owner := p.byName[strings.ToLower(provider)]
	if owner == nil || owner.id != provider {
		return false
	}
	m := owner.byModel[strings.ToLower(id)]
	return m != nil && m.id == id
}

// HasProvider reports whether an id is that of a provider.
func (p *Policy) HasProvider(id string) bool {
	owner := p.byName[strings.ToLower(id)]
	return owner != nil && owner.id == id
}

// HasProviderKey reports whether an id is that of a provider's key.
func (p *Policy) HasProviderKey(id string) bool { return p.labels.ids[id] }

// label fills in what the labels are, once all providers are there.
func (p *Policy) label() {
	p.labels = labels{served: map[modelRef]string{}, keys: map[string]string{}, ids: map[string]bool{}}
	for _, owner := range p.providers {
		for _, id := range owner.keys {
			p.labels.ids[id] = true
		}
		for _, m := range owner.models {
			if ref := (modelRef{owner.id, m.sent}); p.labels.served[ref] == "" {
				p.labels.served[ref] = m.id
			}
		}
	}
	for _, c := range p.Clusters {
		if c.Key != "" {
			p.labels.keys[c.Name] = c.Key
		}
	}
}
