package identity_test

import (
	"fmt"
	"sync/atomic"

	"weir/identity"
)

// An index is behind a pointer: a change swaps it for later look-ups, and requests that
// already hold one continue with a consistent set of keys.
func ExampleIndex() {
	hash := identity.HashOf("a-credential-of-32-random-bytes")
	team := &identity.Key{ID: hash.ID(), Name: "team-a", Scope: identity.NewScope([]string{"openai"}, nil)}

	var current atomic.Pointer[identity.Index]
	current.Store(identity.NewIndex(map[identity.Hash]*identity.Key{hash: team}))

	key := current.Load().Find("a-credential-of-32-random-bytes")
	fmt.Println(key.Name, key.AllowsProvider("openai"), key.AllowsProvider("anthropic"))

	current.Store(current.Load().Remove(hash))
	fmt.Println(current.Load().Find("a-credential-of-32-random-bytes") == nil)
	// Output:
	// team-a true false
	// true
}

// A key may be limited to providers and models by their ids. A nil Key may use everything.
func ExampleKey() {
	key := &identity.Key{Name: "batch", Scope: identity.NewScope(
		[]string{"openai", "ollama"},
		[]identity.Model{{Provider: "openai", ID: "gpt-4o-mini"}},
	)}
	fmt.Println(key.AllowsProvider("ollama"), key.AllowsProvider("anthropic"))
	fmt.Println(key.AllowsModel(identity.Model{Provider: "openai", ID: "gpt-4o"}))

	var anonymous *identity.Key
	fmt.Println(anonymous.AllowsProvider("anthropic"))
	// Output:
	// true false
	// false
	// true
}
