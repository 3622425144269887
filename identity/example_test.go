package identity_test

import (
	"fmt"
	"sync/atomic"

	"weir/identity"
)

// An index is behind a pointer: a change swaps it for all who look keys up, and
// whoever already holds one goes on with a consistent set of keys.
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
