package policy

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"

	"weir/identity"
	"weir/llm"
	"weir/policy/config"
)

// accessKeysField is the field of the access keys.
const accessKeysField = "access_keys"

// AccessKeys are the access keys of a configuration. They are not part of its Policy,
// because there may be many and they change often: a change compiles nothing and sends
// nothing to Envoy.
type AccessKeys struct {
	*identity.Index
	// Version identifies the access keys by their content.
	Version string

	inputs inputs
}

// accessKeys reads the access keys. limits and maxBodyBytes are those of the policy.
func (l *loader) accessKeys(limits Limits, maxBodyBytes int) *AccessKeys {
	others := l.inputs
	l.inputs = inputs{}
	keys, names := map[identity.Hash]*identity.Key{}, map[string]bool{}
	for i, k := range l.cfg.AccessKeys {
		at := config.IndexPath(accessKeysField, i)
		switch {
		case k.Name == "":
			l.problem(at+".name", "is missing")
		case names[k.Name]:
			l.problem(at+".name", "duplicate name %q", llm.Clip(k.Name))
		case strings.ContainsFunc(k.Name, unicode.IsControl):
			l.problem(at+".name", "has a control character")
		}
		names[k.Name] = true
		key := &identity.Key{Name: k.Name, Metadata: k.Metadata, Scope: l.scope(k, at)}
		hash, ok := l.keyHash(k, at)
		if !ok {
			continue
		}
		if other := keys[hash]; other != nil {
			l.problem(at, "is the same key as %q", llm.Clip(other.Name))
			continue
		}
		key.ID = hash.ID()
		own := l.keyLimits(limits.Total, maxBodyBytes, at+".limits.max_requests", at+".limits.max_buffered_body_bytes", k.Limits, RequestLimits{})
		key.Limits = identity.Limits(own)
		keys[hash] = key
	}
	section := l.src.Data
	if start, end := l.pos.Section(l.src.Data, accessKeysField); start < end {
		section = section[start:end]
	}
	out := &AccessKeys{Index: identity.NewIndex(keys), Version: contentHash([]any{string(section), l.inputs}), inputs: l.inputs}
	l.inputs = others
	return out
}

// anonymous reads whether clients need a key.
func (l *loader) anonymous(p *Policy) {
	p.anonymous = len(l.cfg.AccessKeys) == 0
	if address, found := outside(p.Listen); found && p.anonymous && !l.cfg.AllowAnonymous && !l.unreadable(accessKeysField) && !l.unreadable("allow_anonymous") {
		l.problem("listen", "%s can be reached from other machines, and there are no access_keys: add one, listen on 127.0.0.1, or set allow_anonymous: true", address)
	}
}

// keyHash returns the hash of a key.
func (l *loader) keyHash(k config.AccessKeyConfig, at string) (hash identity.Hash, ok bool) {
	switch {
	case (k.SHA256 == "") == (k.Value == ""):
		l.problem(at, "set either sha256 or value")
		return hash, false
	case k.SHA256 != "":
		b, err := hex.DecodeString(k.SHA256)
		if err != nil || len(b) != len(hash) {
			l.problem(at+".sha256", "must be 64 hexadecimal digits: the SHA-256 of the key")
			return hash, false
		}
		return identity.Hash(b), true
	}
	v, err := k.Value.Expand(l.store)
	if err != nil {
		l.problem(at+".value", "%v", err)
		return hash, false
	}
	if len(v.Reveal()) < config.MinKeyLength {
		l.problem(at+".value", "is too short for a key: use at least %d characters, better 32 random bytes", config.MinKeyLength)
		return hash, false
	}
	return identity.HashOf(v.Reveal()), true
}

// scope reads what a key may use.
func (l *loader) scope(k config.AccessKeyConfig, at string) identity.Scope {
	if k.Configuration == nil {
		return identity.Scope{}
	}
	at += ".configuration.access."
	var providers []string
	if list := k.Configuration.Access.Providers; list != nil {
		providers = append([]string{}, l.allowed(list, at+"providers")...)
	}
	var models []identity.Model
	if list := k.Configuration.Access.Models; list != nil {
		models = make([]identity.Model, 0, len(list.Allow))
		for i, entry := range l.allowed(list, at+"models") {
			// No provider's id has a colon, so the first one ends it.
			provider, model, ok := strings.Cut(entry, ":")
			if !ok || provider == "" || model == "" {
				l.problem(fmt.Sprintf("%smodels.allow[%d]", at, i), "invalid model %q: write provider:model", llm.Clip(entry))
			}
			models = append(models, identity.Model{Provider: provider, ID: model})
		}
	}
	return identity.NewScope(providers, models)
}

// allowed reads a list that must be present: `providers: {}` could mean everything or nothing.
func (l *loader) allowed(list *config.AllowConfig, at string) []string {
	if list.Allow == nil {
		l.problem(at+".allow", "is missing: list what is allowed, or [] for nothing")
	}
	return list.Allow
}

// Authenticate returns the access key of a credential. If the configuration has no access
// keys, the gateway serves everybody, and the key is nil. The policy decides that, not the
// index: an empty index admits nobody.
func (p *Policy) Authenticate(keys *identity.Index, credential string) (*identity.Key, error) {
	if p.anonymous {
		return nil, nil
	}
	if credential == "" {
		return nil, llm.Errorf(llm.InvalidAPIKey, "no access key found: send it as Authorization: Bearer KEY (no other scheme), or as x-api-key, api-key or x-goog-api-key")
	}
	key := keys.Find(credential)
	if key == nil {
		return nil, llm.Errorf(llm.InvalidAPIKey, "unknown access key: check that it was copied completely and has not been revoked")
	}
	return key, nil
}
