package policy

import (
	"fmt"
	"strings"
	"unicode"
)

// choice is a model that may serve the request, on the surface that serves
// its endpoint.
type choice struct {
	provider *provider
	surface  *surface
	id       string // the model's id, or the client's own words where it is not known
	sent     string
	drop     map[string]bool
}

// rejection says why an entry of the client's list, or one provider of it, is
// no candidate. The message is made only when it is needed.
type rejection struct {
	code     Code
	entry    string
	provider *provider
}

// resolve finds who may serve one entry of the client's list. It appends to
// dst; when it adds nothing, the rejection says why.
func (p *Policy) resolve(dst []choice, entry string, e *Endpoint, key *AccessKey) ([]choice, rejection) {
	name := lower(entry)
	if offers := p.byModel[name]; len(offers) > 0 {
		why := rejection{code: ModelNotFound, entry: entry}
		before := len(dst)
		for _, m := range offers {
			c := choice{provider: m.provider, id: m.id, sent: m.sent, drop: m.unsupported}
			code := p.admit(&c, m.configured, e, key)
			if code == "" {
				dst = appendChoice(dst, c)
			} else if why.provider == nil {
				why = rejection{code, entry, m.provider}
			}
		}
		if len(dst) > before {
			return dst, rejection{}
		}
		return dst, why
	}
	owner, rest := p.owner(entry, name)
	if owner == nil || rest == "" || owner.disabled {
		return dst, rejection{code: ModelNotFound, entry: entry}
	}
	c := choice{provider: owner, id: rest, sent: rest}
	configured := false
	if m := owner.byModel[lower(rest)]; m != nil {
		c.id, c.sent, c.drop, configured = m.id, m.sent, m.unsupported, m.configured
	}
	if code := p.admit(&c, configured, e, key); code != "" {
		return dst, rejection{code, entry, owner}
	}
	return appendChoice(dst, c), rejection{}
}

// owner splits provider:model at the first colon or provider/model at the
// first slash, where the part before it names a provider.
func (p *Policy) owner(entry, name string) (*provider, string) {
	for _, sep := range []byte{':', '/'} {
		if i := strings.IndexByte(name, sep); i > 0 {
			if owner := p.byName[name[:i]]; owner != nil && len(name) == len(entry) {
				return owner, entry[i+1:]
			}
		}
	}
	return nil, ""
}

// admit applies, in the order in which a client can mend it, what may keep a
// model from serving the request. It fills in the choice's surface.
func (p *Policy) admit(c *choice, configured bool, e *Endpoint, key *AccessKey) Code {
	switch {
	case p.onlyConfiguredProviders && !c.provider.configured:
		return ProviderNotAllowed
	case !key.allowsProvider(c.provider.id):
		return ProviderNotAllowed
	case p.onlyConfiguredModels && !configured:
		return ModelNotAllowed
	case !key.allowsModel(c.provider.id, c.id):
		return ModelNotAllowed
	}
	c.surface = c.provider.serves(e)
	switch {
	case c.surface == nil:
		return UnsupportedSurface
	case !c.provider.keyed:
		return NoProviderKey
	}
	return ""
}

// appendChoice leaves out what the list already has.
func appendChoice(dst []choice, c choice) []choice {
	for i := range dst {
		if dst[i].provider == c.provider && dst[i].sent == c.sent {
			return dst
		}
	}
	return append(dst, c)
}

// auto is every model that may serve the request, in configuration order,
// up to the length of a plan.
func (p *Policy) auto(dst []choice, e *Endpoint, key *AccessKey) []choice {
	for _, owner := range p.providers {
		if owner.disabled {
			continue
		}
		for _, m := range owner.models {
			c := choice{provider: owner, id: m.id, sent: m.sent, drop: m.unsupported}
			if p.admit(&c, m.configured, e, key) != "" {
				continue
			}
			if dst = append(dst, c); len(dst) == MaxAttempts {
				return dst
			}
		}
	}
	return dst
}

// err makes the client's error of a rejection.
func (r rejection) err(p *Policy, e *Endpoint, key *AccessKey) *Error {
	switch r.code {
	// The client's own words and no more: who offers what a key may not use is
	// none of its business.
	case ProviderNotAllowed:
		return Errorf(r.code, "%q is not allowed here: its provider is outside of what you may use; GET /v1/models lists what is inside", clip(r.entry))
	case ModelNotAllowed:
		return Errorf(r.code, "%q is not allowed here: the model is outside of what you may use; GET /v1/models lists what is inside", clip(r.entry))
	case UnsupportedSurface:
		return Errorf(r.code, "provider %q does not serve %s (asked for as %q)", r.provider.id, e.Path, clip(r.entry))
	case NoProviderKey:
		return Errorf(r.code, "provider %q has no key in this gateway (asked for as %q): its operator must add api_keys", r.provider.id, clip(r.entry))
	}
	message := fmt.Sprintf("model %q is not known to this gateway: write provider:model, or a name from GET /v1/models", clip(r.entry))
	if near := p.near(r.entry, e, key); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, ", ") + "?"
	}
	return &Error{Code: ModelNotFound, Message: message}
}

// near gives the nearest names that this very key could use.
func (p *Policy) near(entry string, e *Endpoint, key *AccessKey) []string {
	owner, rest := p.owner(entry, lower(entry))
	prefix, known := "", p.modelList
	if owner != nil {
		if !key.allowsProvider(owner.id) {
			return nil
		}
		prefix, entry, known = owner.id+":", rest, owner.names
	}
	var usable []string
	for _, name := range nearest(entry, known, 8) {
		if choices, _ := p.resolve(nil, prefix+name, e, key); len(choices) > 0 {
			usable = append(usable, prefix+name)
		}
	}
	return usable[:min(3, len(usable))]
}

// checkModelName refuses names that no provider has and no log should hold.
func checkModelName(name string) error {
	if len(name) > maxModelLen {
		return fmt.Errorf("is %d bytes long, the limit is %d", len(name), maxModelLen)
	}
	if i := strings.IndexFunc(name, unicode.IsControl); i >= 0 {
		return fmt.Errorf("has a control character at byte %d", i)
	}
	return nil
}
