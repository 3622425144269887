package header

import (
	"strings"
	"testing"
)

func TestIsRequestID(t *testing.T) {
	f := func(id string, want bool) {
		t.Helper()
		if got := IsRequestID(id); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
	f("client-7f3a", true)
	f("6f1c1a52-1111-4222-8333-444455556666", true)
	f("Root=1-67891233-abcdef012345678912345678;Self=1", true)
	f("105445aa7843bc8bf206b12000100000/1;o=1", true)
	f(strings.Repeat("a", 128), true)
	f("", false)
	f(strings.Repeat("a", 129), false)
	for _, id := range []string{"a b", "a\tb", "a\n", `a"b`, `a\b`, "a'b", "<a>", "${jndi:x}", "%0a", "é", "\x80", "\x00", "a`b"} {
		f(id, false)
	}
}
