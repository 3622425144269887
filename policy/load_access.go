package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"

	"weir/llm"
	"weir/policy/config"
)

func (l *loader) accessKeys(p *Policy) {
	p.keys = map[[sha256.Size]byte]*AccessKey{}
	names := map[string]bool{}
	for i, k := range l.cfg.AccessKeys {
		at := fmt.Sprintf("access_keys[%d]", i)
		switch {
		case k.Name == "":
			l.problem(at+".name", "is missing")
		case names[k.Name]:
			l.problem(at+".name", "duplicate name %q", llm.Clip(k.Name))
		case strings.ContainsFunc(k.Name, unicode.IsControl):
			l.problem(at+".name", "has a control character")
		}
		names[k.Name] = true
		key := l.accessKey(k, at)
		hash, ok := l.keyHash(k, at)
		if !ok {
			continue
		}
		if other := p.keys[hash]; other != nil {
			l.problem(at, "is the same key as %q", llm.Clip(other.Name))
			continue
		}
		key.ID = "key_" + hex.EncodeToString(hash[:6])
		key.Limits = l.keyLimits(p, at+".limits.max_requests", at+".limits.max_buffered_body_bytes", k.Limits, p.Limits.PerKey)
		p.keys[hash] = key
	}
	p.anonymous = len(l.cfg.AccessKeys) == 0
	if address, found := outside(p.Listen); found && p.anonymous && !l.cfg.AllowAnonymous && !l.unreadable("access_keys") {
		l.problem("listen", "%s can be reached from other machines, and there are no access_keys: add one, listen on 127.0.0.1, or set allow_anonymous: true", address)
	}
}

// keyHash gives what a key is known by.
func (l *loader) keyHash(k config.AccessKeyConfig, at string) (hash [sha256.Size]byte, ok bool) {
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
		return [sha256.Size]byte(b), true
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
	return sha256.Sum256([]byte(v.Reveal())), true
}

// accessKey reads what a key may use.
func (l *loader) accessKey(k config.AccessKeyConfig, at string) *AccessKey {
	key := &AccessKey{Name: k.Name, Metadata: k.Metadata}
	if k.Configuration == nil {
		return key
	}
	at += ".configuration.access."
	if list := k.Configuration.Access.Providers; list != nil {
		key.providers = map[string]bool{}
		for _, id := range l.allowed(list, at+"providers") {
			key.providers[id] = true
		}
	}
	if list := k.Configuration.Access.Models; list != nil {
		key.models = map[modelRef]bool{}
		for i, entry := range l.allowed(list, at+"models") {
			// No provider's id has a colon, so the first one ends it.
			provider, model, ok := strings.Cut(entry, ":")
			if !ok || provider == "" || model == "" {
				l.problem(fmt.Sprintf("%smodels.allow[%d]", at, i), "invalid model %q: write provider:model", llm.Clip(entry))
			}
			key.models[modelRef{provider, model}] = true
		}
	}
	return key
}

// allowed reads a list that must be there: of `providers: {}` nobody could
// say whether it allows everything or nothing.
func (l *loader) allowed(list *config.AllowConfig, at string) []string {
	if list.Allow == nil {
		l.problem(at+".allow", "is missing: list what is allowed, or [] for nothing")
	}
	return list.Allow
}
