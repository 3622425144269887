package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"weir/llm"
)

// However a base URL is written, it may not lead to the gateway's own listener.
func TestOwnListener(t *testing.T) {
	own := Own{
		Addresses: []netip.Addr{loopback4, netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("fd00::7")},
		Names:     map[string][]netip.Addr{"box": {netip.MustParseAddr("10.0.0.7")}, "ip6-localhost": {loopback6}, "other": {netip.MustParseAddr("10.0.0.8")}},
	}
	f := func(listen, base string, refused bool) {
		t.Helper()
		w := newWorld()
		src := w.source(fmt.Sprintf("listen: %q\nallow_anonymous: true\nproviders: [{id: p, base_url: %q}]", listen, base))
		src.Own = own
		_, _, problems := Load(src)
		got := strings.Contains(fmt.Sprint(problems), "leads back to this gateway")
		if got != refused || len(problems) > 1 || len(problems) == 1 && problems[0].Path != "providers[0].base_url" {
			t.Errorf("listen %s, base_url %s: refused %v, want %v: %v", listen, base, got, refused, problems)
		}
	}
	for _, any := range []string{"0.0.0.0:8080", "[::]:8080", ":8080"} {
		for _, host := range []string{"localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "[0:0::0:1]", "10.0.0.7", "[fd00::7]", "[FD00:0:0::7]", "box", "Box", "ip6-localhost"} {
			f(any, "http://"+host+":8080", true)
			f(any, "http://"+host+":8080/v1?x=1", true)
			f(any, "https://"+host+":8080", true)
			f(any, "http://"+host+":8082", false)
			f(any, "http://"+host, false)
		}
		f(any, "http://other:8080", false)
		f(any, "http://unknown:8080", false)
		f(any, "http://10.0.0.8:8080", false)
	}
	f("0.0.0.0:80", "http://localhost", true)
	f("0.0.0.0:443", "https://localhost/v1", true)
	f("0.0.0.0:443", "http://localhost/v1", false)
	f("127.0.0.1:8080", "http://localhost:8080", true)
	f("localhost:8080", "http://127.0.0.1:8080", true)
	f("127.0.0.1:8080", "http://[::1]:8080", true)
	f("[::1]:8080", "http://localhost:8080", true)
	f("127.0.0.1:8080", "http://127.0.0.2:8080", false)
	f("127.0.0.1:8080", "http://10.0.0.7:8080", false)
	f("10.0.0.7:8080", "http://box:8080", true)
	f("10.0.0.7:8080", "http://10.0.0.7:8080", true)
	f("10.0.0.7:8080", "http://127.0.0.1:8080", false)
	// The listener for operators.
	f("127.0.0.1:8080", "http://localhost:8081", true)
}

// What leads there by another way is found, too: a surface of its own,
// connect_to, an address of the command line, a port that was chosen.
func TestOwnListenerElsewhere(t *testing.T) {
	f := func(config string, own Own, path string) {
		t.Helper()
		src := newWorld().source(config)
		src.Own = own
		_, _, problems := Load(src)
		if len(problems) != 1 || problems[0].Path != path || !strings.Contains(problems[0].String(), "leads back to this gateway") {
			t.Errorf("%s:\n%v", config, problems)
		}
	}
	f("providers: [{id: p, base_url: 'https://p.example', supported_api_surfaces: [{format: openai, base_url: 'http://127.0.0.1:8080'}]}]", Own{}, "providers[0].supported_api_surfaces[0].base_url")
	f("connect_to: {'p.example:443': 'localhost:8080'}\nproviders: [{id: p, base_url: 'https://p.example'}]", Own{}, "connect_to.p.example:443")
	chosen := Own{Ports: map[string]uint16{"127.0.0.1:0": 40000}}
	f("listen: '127.0.0.1:0'\nproviders: [{id: p, base_url: 'http://localhost:40000'}]", chosen, "providers[0].base_url")
	chosen.Listen = []string{"127.0.0.1:0"}
	f("listen: '127.0.0.1:9000'\nproviders: [{id: p, base_url: 'http://localhost:40000'}]", chosen, "providers[0].base_url")
	f("listen: ['127.0.0.1:9001', '[::1]:9002']\nproviders: [{id: p, base_url: 'http://[::1]:9002'}]", Own{}, "providers[0].base_url")
	f("providers: [{id: p, base_url: 'http://localhost:40001'}]", Own{Admin: "0.0.0.0:40001"}, "providers[0].base_url")
}

// The name in HopHeader is the same for every replica, and another gateway's is
// another.
func TestHop(t *testing.T) {
	p := newWorld().load(t, "providers: [{id: p, base_url: 'http://p.internal'}]")
	if again := newWorld().load(t, "providers: [{id: p, base_url: 'http://p.internal'}]"); again.hop != p.hop {
		t.Error("two names for one configuration")
	}
	if other := newWorld().load(t, "providers: [{id: p, base_url: 'http://q.internal'}]"); other.hop == p.hop {
		t.Error("one name for two configurations")
	}
	const a, b = "weir-0123456789abcdef", "weir-fedcba9876543210"
	f := func(arrived, want string) {
		t.Helper()
		got, err := p.Hop(arrived)
		if err != nil && llm.AsError(err).Code != llm.LoopDetected || err != nil && want != "" || got != want {
			t.Errorf("%q gives %q %v, want %q", arrived, got, err, want)
		}
	}
	f("", p.hop)
	f(a, a+", "+p.hop)
	f(a+"; loops=2 ,"+b, a+", "+b+", "+p.hop)
	f("cloudflare, fastly; x=\"a\",,"+a, a+", "+p.hop)
	f("weir-0, weir-"+strings.Repeat("a", 1000), p.hop)
	f(p.hop, "")
	f(a+","+p.hop+";x", "")
	f(strings.Repeat(a+",", MaxHops-1), strings.Repeat(a+", ", MaxHops-1)+p.hop)
	f(strings.Repeat(a+",", MaxHops), "")
	f(strings.Repeat("x,", 10000), p.hop)
	if n := testing.AllocsPerRun(100, func() { _, _ = p.Hop("") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
