package policy

import (
	"errors"
	"testing"

	"weir/llm"
)

func TestAdmitPage(t *testing.T) {
	const providers = "providers: [{id: p, base_url: http://p.internal}]\n"
	w := newWorld()
	keyless := w.load(t, providers)
	f := func(authority, origin string, want bool) {
		t.Helper()
		err := keyless.AdmitPage(authority, origin)
		var coded *llm.Error
		if want != (err == nil) || err != nil && (!errors.As(err, &coded) || coded.Code != llm.InvalidAPIKey) {
			t.Errorf("host %q, origin %q: %v", authority, origin, err)
		}
	}
	// Programs, by all the names that this machine has.
	f("127.0.0.1:8080", "", true)
	f("127.0.0.1", "", true)
	f("[::1]:8080", "", true)
	f("localhost:8080", "", true)
	f("LOCALHOST.", "", true)
	f("weir:8080", "", true)
	f("weir.localhost", "", true)
	f("host.docker.internal:8080", "", true)
	f("mac.local:8080", "", true)
	f("203.0.113.1:8080", "", true) // no page can make it 127.0.0.1
	f("user:password@localhost:8080", "", true)
	// A name that its owner can give any address.
	f("evil.example:8080", "", false)
	f("evil.example.:8080", "", false)
	f("localhost.evil.example", "", false)
	f("127.0.0.1.evil.example:8080", "", false)
	f("localhost@evil.example", "", false)
	f("evil.example", "http://evil.example", false)

	// Pages.
	f("127.0.0.1:8080", "http://localhost:3000", true)
	f("127.0.0.1:8080", "http://127.0.0.1", true)
	f("127.0.0.1:8080", "http://[::1]:3000", true)
	f("127.0.0.1:8080", "http://192.168.1.2", true)
	f("127.0.0.1:8080", "https://chat.internal", true)
	f("127.0.0.1:8080", "chrome-extension://abc", true)
	f("127.0.0.1:8080", "app://obsidian.md", true)
	f("127.0.0.1:8080", "https://evil.example", false)
	f("127.0.0.1:8080", "http://evil.example:8080", false)
	f("127.0.0.1:8080", "http://203.0.113.1", false)
	f("127.0.0.1:8080", "null", false)
	f("127.0.0.1:8080", "nonsense", false)

	for _, config := range []string{"allow_anonymous: true\n", "access_keys: [{name: a, value: 0123456789abcdef0123456789abcdef}]\n"} {
		if err := w.load(t, config+providers).AdmitPage("llm.example.com", "https://chat.example.com"); err != nil {
			t.Errorf("%s: %v", config, err)
		}
	}
}
