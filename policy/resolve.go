package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"weir/identity"
	"weir/llm"
	"weir/llm/body"
	"weir/metadata"
	"weir/policy/expression"
	"weir/policy/nearest"
)

// choice is a model that may serve the request, on the surface that serves
// its endpoint.
type choice struct {
	provider *provider
	surface  *surface
	id       string // the model's id, or the client's own words where it is not known
	sent     string
	drop     map[string]bool
	view     *expression.Model // nil where no strategy looks at it
}

func (m *model) choice() choice {
	return choice{provider: m.provider, id: m.id, sent: m.sent, drop: m.unsupported, view: m.view}
}

// drops reports whether a body for this choice must not have a key.
func (c *choice) drops(key string) bool {
	return c.drop[key] || c.surface.supported != nil && !c.surface.supported[key]
}

// rejection is the reason why an entry of the client's list, or one provider of it, is
// not a candidate. The message is made only when it is needed.
type rejection struct {
	code     llm.Code
	entry    string
	provider *provider
}

// reasons are the codes that admit returns, in the order of its checks.
var reasons = []llm.Code{llm.ProviderNotAllowed, llm.ModelNotAllowed, llm.UnsupportedSurface, llm.NoProviderKey}

// worsens reports whether a reason is checked earlier than the rejection's. Of several
// providers, the client is told about the one that passed the most checks; it is
// never one that the client may not use.
func (r rejection) worsens(code llm.Code) bool {
	return slices.Index(reasons, code) <= slices.Index(reasons, r.code)
}

// resolve appends the models that may serve one entry of the client's list to dst, up to a
// length of most. If there are none, the rejection is the reason.
func (p *Policy) resolve(dst []choice, most int, entry string, e *llm.Endpoint, key *identity.Key, t *Trace) ([]choice, rejection) {
	why := rejection{code: llm.ModelNotFound, entry: entry}
	name := strings.ToLower(entry)
	if offers := p.byModel[name]; len(offers) > 0 {
		served := false
		for _, m := range offers {
			c := m.choice()
			code := p.admit(&c, m.configured, e, key)
			t.offer(entry, &c, code)
			if code == "" {
				served = true
				dst = appendUpTo(dst, c, most)
			} else if !why.worsens(code) {
				why = rejection{code, entry, m.provider}
			}
			if served && len(dst) == most && t == nil {
				break // the others would never be tried
			}
		}
		if served {
			return dst, rejection{}
		}
		return dst, why
	}
	owner, rest, low := p.owner(entry, name)
	if owner == nil || rest == "" || owner.disabled {
		return dst, why
	}
	c := choice{provider: owner, id: rest, sent: rest}
	configured := false
	if m := owner.byModel[low]; m != nil {
		if m.disabled {
			return dst, why
		}
		c, configured = m.choice(), m.configured
	}
	code := p.admit(&c, configured, e, key)
	t.offer(entry, &c, code)
	if code != "" {
		return dst, rejection{code, entry, owner}
	}
	return appendUpTo(dst, c, most), rejection{}
}

// owner splits provider:model at the first colon or provider/model at the
// first slash, where the part before it names a provider. name is entry in
// lower case; low is what is left of that.
func (p *Policy) owner(entry, name string) (owner *provider, rest, low string) {
	for _, sep := range []string{":", "/"} {
		if id, low, found := strings.Cut(name, sep); found && p.byName[id] != nil {
			_, rest, _ := strings.Cut(entry, sep)
			return p.byName[id], rest, low
		}
	}
	return nil, "", ""
}

// admit returns the first reason why a model may not serve the request, or an empty
// code. It fills in the choice's surface.
func (p *Policy) admit(c *choice, configured bool, e *llm.Endpoint, key *identity.Key) llm.Code {
	switch {
	case p.onlyConfiguredProviders && !c.provider.configured:
		return llm.ProviderNotAllowed
	case !key.AllowsProvider(c.provider.id):
		return llm.ProviderNotAllowed
	case p.onlyConfiguredModels && !configured:
		return llm.ModelNotAllowed
	case !key.AllowsModel(identity.Model{Provider: c.provider.id, ID: c.id}):
		return llm.ModelNotAllowed
	}
	c.surface = c.provider.serves(e)
	switch {
	case c.surface == nil:
		return llm.UnsupportedSurface
	case !c.provider.keyed:
		return llm.NoProviderKey
	}
	return ""
}

// appendChoice appends a choice unless the list has it already, or is as long as the
// longest plan: each choice is at least one attempt.
func appendChoice(dst []choice, c choice) []choice { return appendUpTo(dst, c, metadata.MaxAttempts) }

func appendUpTo(dst []choice, c choice, most int) []choice {
	if len(dst) == most {
		return dst
	}
	for i := len(dst) - 1; i >= 0; i-- {
		if dst[i].provider != c.provider {
			if most > metadata.MaxAttempts {
				break // all are of one name: those of one provider follow each other
			}
			continue
		}
		if dst[i].sent == c.sent {
			return dst
		}
	}
	return append(dst, c)
}

// auto returns the models that may serve a request which names none, in configuration
// order, up to the length of a plan.
func (p *Policy) auto(dst []choice, e *llm.Endpoint, key *identity.Key, t *Trace) []choice {
	for _, owner := range p.providers {
		if owner.disabled {
			continue
		}
		for _, m := range owner.models {
			c := m.choice()
			code := p.admit(&c, m.configured, e, key)
			t.offer("", &c, code)
			if code != "" {
				continue
			}
			if dst = appendChoice(dst, c); len(dst) == metadata.MaxAttempts && t == nil {
				return dst
			}
		}
	}
	return dst
}

// err makes the client's error of a rejection.
func (r rejection) err(p *Policy, e *llm.Endpoint, key *identity.Key) *llm.Error {
	switch r.code {
	// The message contains only what the client wrote: it must not learn which providers
	// offer what its key may not use.
	case llm.ProviderNotAllowed:
		return llm.Errorf(r.code, "%q is not allowed here: your access key may not use its provider; GET /v1/models lists the models that you may use", llm.Clip(r.entry))
	case llm.ModelNotAllowed:
		return llm.Errorf(r.code, "%q is not allowed here: your access key may not use this model; GET /v1/models lists the models that you may use", llm.Clip(r.entry))
	case llm.UnsupportedSurface:
		return llm.Errorf(r.code, "provider %q does not serve %s (requested as %q)", r.provider.id, e.Path, llm.Clip(r.entry))
	case llm.NoProviderKey:
		return llm.Errorf(r.code, "provider %q has no API key in this gateway (requested as %q): the operator must add api_keys", r.provider.id, llm.Clip(r.entry))
	}
	message := fmt.Sprintf("unknown model %q: write provider:model, or a name from GET /v1/models", llm.Clip(r.entry))
	if name := p.atOnlyProvider(r.entry, e, key); name != "" {
		message = fmt.Sprintf("model %q is not listed by any provider: write %q, or list it under the provider's models", llm.Clip(r.entry), llm.Clip(name))
	}
	if near := p.near(r.entry, e, key); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, ", ") + "?"
	}
	return &llm.Error{Code: llm.ModelNotFound, Message: message}
}

// atOnlyProvider returns how to request an unlisted model from the only configured provider.
// It is empty if there are several, or if the key may not use it.
func (p *Policy) atOnlyProvider(entry string, e *llm.Endpoint, key *identity.Key) string {
	only := ""
	for _, candidate := range p.providers {
		if candidate.configured && !candidate.disabled {
			if only != "" {
				return ""
			}
			only = candidate.id
		}
	}
	if owner, _, _ := p.owner(entry, strings.ToLower(entry)); only == "" || owner != nil {
		return ""
	}
	name := only + ":" + entry
	if choices, _ := p.resolve(nil, 1, name, e, key, nil); len(choices) == 0 {
		return ""
	}
	return name
}

// near returns the nearest names that this very key could use.
func (p *Policy) near(entry string, e *llm.Endpoint, key *identity.Key) []string {
	const most = 3
	var usable []string
	try := func(name string) {
		if choices, _ := p.resolve(nil, 1, name, e, key, nil); len(choices) > 0 && len(usable) < most {
			usable = append(usable, name)
		}
	}
	// Look at more than are shown: some may be out of reach of this key.
	const looked = 8
	if owner, rest, _ := p.owner(entry, strings.ToLower(entry)); owner != nil {
		for _, name := range nearest.Names(rest, owner.names, looked) {
			try(owner.id + ":" + name)
		}
		return usable
	}
	for _, name := range nearest.Names(entry, p.modelNames, looked) {
		try(name)
	}
	i := strings.IndexAny(entry, ":/")
	if i < 0 || len(usable) > 0 {
		return usable
	}
	const telling = 3 // letters: shorter ids are near to everything
	if i >= telling {
		for _, name := range nearest.Names(entry[:i], p.providerNames, looked) {
			try(name + ":" + entry[i+1:])
		}
	}
	if len(usable) == 0 {
		try(entry[i+1:])
	}
	return usable
}

// checkModelName returns an error for names that are too long or have control
// characters.
func checkModelName(name string) error {
	if len(name) > body.MaxModelLen {
		return fmt.Errorf("is %d bytes long, the limit is %d", len(name), body.MaxModelLen)
	}
	if i := strings.IndexFunc(name, unicode.IsControl); i >= 0 {
		return fmt.Errorf("has a control character at byte %d", i)
	}
	return nil
}
