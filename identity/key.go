package identity

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"unique"
)

// Hash is the SHA-256 of a credential.
type Hash [sha256.Size]byte

// HashOf returns the hash of a credential. It allocates nothing for those of up to
// 256 bytes.
func HashOf(credential string) Hash {
	var buffer [256]byte
	return sha256.Sum256(append(buffer[:0], credential...))
}

// ID returns the id of the key with this hash. It identifies the key, whatever its name
// is.
func (h Hash) ID() string { return idPrefix + hex.EncodeToString(h[:idBytes]) }

const (
	idPrefix = "key_"
	idBytes  = 6
)

// Key is an access key: who the client of a request is, and what it may use. Requests,
// limits, logs and metrics name a key by its ID, so its Name may change. A Key must not be
// changed once an Index has it. A nil Key is the anonymous client of a gateway without
// access keys, which may use everything.
type Key struct {
	ID   string // Hash.ID
	Name string
	// Metadata has values of the operator, for use in strategies.
	Metadata map[string]any
	Limits   Limits
	Scope    Scope
}

// Limits bound what the running requests of one key may use together. 0 stands for the
// policy's limit for keys without one of their own.
type Limits struct {
	Requests  int
	BodyBytes int64
}

// Scope is what a key may use. In each list, nil allows everything and an empty
// list nothing. Lists are sorted: see NewScope.
type Scope struct {
	Providers []string
	// Models are handles, so that keys that name the same model share the memory of its
	// names.
	Models []unique.Handle[Model]
}

// Model is a model of a provider, by their ids.
type Model struct{ Provider, ID string }

// compare orders models by provider, then by id.
func (m Model) compare(other Model) int {
	if c := cmp.Compare(m.Provider, other.Provider); c != 0 {
		return c
	}
	return cmp.Compare(m.ID, other.ID)
}

// NewScope returns the scope that allows these providers and models. It sorts the lists
// in place.
func NewScope(providers []string, models []Model) Scope {
	out := Scope{Providers: providers}
	slices.Sort(out.Providers)
	if models == nil {
		return out
	}
	slices.SortFunc(models, Model.compare)
	out.Models = make([]unique.Handle[Model], len(models))
	for i, m := range models {
		out.Models[i] = unique.Make(m)
	}
	return out
}

// Limited reports whether the scope excludes anything.
func (k *Key) Limited() bool { return k != nil && (k.Scope.Providers != nil || k.Scope.Models != nil) }

// AllowsProvider reports whether the key may use a provider, by its id.
func (k *Key) AllowsProvider(id string) bool {
	if k == nil || k.Scope.Providers == nil {
		return true
	}
	_, ok := slices.BinarySearch(k.Scope.Providers, id)
	return ok
}

// AllowsAnyOf reports whether the key may use a provider, by its id, and some model of it.
func (k *Key) AllowsAnyOf(id string) bool {
	if !k.AllowsProvider(id) || k == nil || k.Scope.Models == nil {
		return k.AllowsProvider(id)
	}
	_, ok := slices.BinarySearchFunc(k.Scope.Models, id, func(h unique.Handle[Model], id string) int { return cmp.Compare(h.Value().Provider, id) })
	return ok
}

// AllowsModel reports whether the key's list of models, if there is one, has a model. The
// provider of the model must be allowed, too.
func (k *Key) AllowsModel(m Model) bool {
	if k == nil || k.Scope.Models == nil {
		return true
	}
	_, ok := slices.BinarySearchFunc(k.Scope.Models, m, func(h unique.Handle[Model], m Model) int { return h.Value().compare(m) })
	return ok
}
