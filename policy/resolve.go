package policy

import (
	"fmt"
	"slices"
	"strconv"
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
	window   int               // max_context_window, in tokens; 0 is unknown
	view     *expression.Model // nil where no strategy looks at it
}

func (m *model) choice() choice {
	return choice{window: m.config.MaxContextWindow, provider: m.provider, id: m.id, sent: m.sent, drop: m.unsupported, view: m.view}
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
	if offers := p.byModel[name]; len(offers) > 0 && !p.meansOwner(offers, entry, name) {
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
	if owner == nil {
		return p.unlisted(dst, most, entry, name, e, key, t)
	}
	if rest == "" || owner.disabled {
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

// meansOwner reports whether a name that is a model's id means the provider that it begins
// with: if only providers that the configuration does not have offer the model. Some serve
// models of others and put the author before a slash, openai/gpt-oss-20b for one.
func (p *Policy) meansOwner(offers []*model, entry, name string) bool {
	if slices.ContainsFunc(offers, func(m *model) bool { return m.provider.configured }) {
		return false
	}
	owner, _, _ := p.owner(entry, name)
	return owner != nil && owner.configured
}

// unlisted finds who may serve a name that no provider lists and that names no provider:
// the built-in ones whose models have names like this, or else, for a name that none of them
// knows, the only custom provider without a list that serves the endpoint. The
// name is sent unchanged.
func (p *Policy) unlisted(dst []choice, most int, entry, name string, e *llm.Endpoint, key *identity.Key, t *Trace) ([]choice, rejection) {
	why := rejection{code: llm.ModelNotFound, entry: entry}
	if entry == "" || p.onlyConfiguredModels {
		return dst, why
	}
	served := false
	try := func(owner *provider) llm.Code {
		c := choice{provider: owner, id: entry, sent: entry}
		code := p.admit(&c, false, e, key)
		t.offer(entry, &c, code)
		if code == "" {
			served = true
			dst = appendUpTo(dst, c, most)
		}
		return code
	}
	known := false
	var only []*provider
	for _, owner := range p.providers {
		switch {
		case owner.disabled:
		case owner.matches != nil && owner.matches(name):
			known = true
			if owner.byModel[name] != nil {
				continue // a disabled model
			}
			code := try(owner)
			if owner.configured && code != "" && !why.worsens(code) {
				why = rejection{code, entry, owner}
			}
		case owner.unlisted && owner.serves(e) != nil:
			only = append(only, owner)
		}
	}
	if !known && len(only) == 1 {
		try(only[0])
	}
	if served {
		return dst, rejection{}
	}
	return dst, why
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
// order, up to the length of a plan: those that the configuration or the access key lists,
// and the catalogue's defaults, as far as they are made for the endpoint.
func (p *Policy) auto(dst []choice, e *llm.Endpoint, key *identity.Key, t *Trace) []choice {
	listed := key != nil && key.Scope.Models != nil
	for _, owner := range p.providers {
		if owner.disabled {
			continue
		}
		for _, m := range owner.models {
			if !m.preferred && !listed || !e.Suits(m.kind) {
				continue
			}
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
	return &llm.Error{Code: llm.ModelNotFound, Message: p.notFound(r.entry, e, key)}
}

// notFound says what the client can do about a name that nobody serves.
func (p *Policy) notFound(entry string, e *llm.Endpoint, key *identity.Key) string {
	name := strings.ToLower(entry)
	near := p.near(entry, e, key)
	names := p.qualified(entry, name, e, key)
	keyless := p.keyless(name, e, key)
	var message string
	switch {
	case keyless != nil:
		message = fmt.Sprintf("model %q belongs to provider %q, which has no API key in this gateway: the operator must add api_keys", llm.Clip(entry), keyless.id)
		if len(names) > 0 {
			message += ", or write " + strings.Join(names, " or ")
		}
	case len(names) > 0 && len(near) == 0:
		message = fmt.Sprintf("model %q is not listed by any provider: write %s, or list it under the provider's models", llm.Clip(entry), strings.Join(names, " or "))
	default:
		message = fmt.Sprintf("unknown model %q: write provider:model, or a name from GET /v1/models", llm.Clip(entry))
	}
	if len(near) > 0 {
		return message + "; did you mean " + strings.Join(near, ", ") + "?"
	}
	if family := p.family(name, e, key); len(family) > 0 {
		message += "; offered here: " + strings.Join(family, ", ")
	}
	return message
}

// keyless returns the built-in provider that would serve a name which nobody lists, if
// only its key is missing.
func (p *Policy) keyless(name string, e *llm.Endpoint, key *identity.Key) *provider {
	for _, owner := range p.providers {
		if owner.matches == nil || owner.disabled || owner.byModel[name] != nil || !owner.matches(name) {
			continue
		}
		if p.admit(&choice{provider: owner, id: name}, false, e, key) == llm.NoProviderKey {
			return owner
		}
	}
	return nil
}

// qualified returns how to ask the configured providers for a model that nobody lists, as
// far as the key may use them: those that list no models, or else the only one that there is.
func (p *Policy) qualified(entry, name string, e *llm.Endpoint, key *identity.Key) []string {
	if owner, _, _ := p.owner(entry, name); owner != nil {
		return nil
	}
	const most = 3
	var configured, unlisted []*provider
	for _, owner := range p.providers {
		if owner.configured && !owner.disabled {
			configured = append(configured, owner)
			if owner.unlisted {
				unlisted = append(unlisted, owner)
			}
		}
	}
	ask := unlisted
	if len(ask) == 0 && len(configured) == 1 {
		ask = configured
	}
	var out []string
	for _, owner := range ask {
		full := owner.id + ":" + entry
		if choices, _ := p.resolve(nil, 1, full, e, key, nil); len(choices) > 0 && len(out) < most {
			out = append(out, strconv.Quote(llm.Clip(full)))
		}
	}
	return out
}

// family returns the models that the key may use and whose names begin like this one:
// llama3.2:1b and llama-3.1-8b-instant for llama-9.
func (p *Policy) family(name string, e *llm.Endpoint, key *identity.Key) []string {
	const most, telling = 5, 3
	word := familyOf(name)
	if len(word) < telling {
		return nil
	}
	var out []string
	for _, owner := range p.providers {
		for _, m := range owner.models {
			if familyOf(strings.ToLower(m.id)) != word {
				continue
			}
			if c := m.choice(); e.Suits(m.kind) && p.admit(&c, m.configured, e, key) == "" {
				if out = append(out, owner.id+":"+m.id); len(out) == most {
					return out
				}
			}
		}
	}
	return out
}

// familyOf returns the letters that a model's name begins with, after its provider and
// author.
func familyOf(name string) string {
	name = name[strings.LastIndexByte(name, '/')+1:]
	if end := strings.IndexFunc(name, func(r rune) bool { return !unicode.IsLetter(r) }); end >= 0 {
		name = name[:end]
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
