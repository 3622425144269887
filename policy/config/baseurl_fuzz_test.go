package config

import (
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"testing"
)

func FuzzParseBaseURL(f *testing.F) {
	for _, s := range []string{"https://api.example.com/v1?x=1", "http://127.0.0.1:80/", "http://[::1]:8/a", "http://0x7f.1", "https://a@b", "http://[::ffff:1.2.3.4]", "http://a.svc:1/%41", "https://1.2.3.4:5?&;=%20", "http://[64:ff9b::1]", "http://x.local"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := ParseBaseURL(raw, nil)
		if err != nil {
			return
		}
		std, err := url.Parse(raw)
		if err != nil {
			t.Fatalf("accepted, but net/url says %v", err)
		}
		port := std.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[std.Scheme]
		}
		host := strings.ToLower(std.Hostname())
		addr, err := netip.ParseAddr(host)
		if err == nil {
			host = addr.String()
		}
		if std.Scheme != u.Scheme || host != u.Host || port != strconv.Itoa(u.Port) || std.User != nil || std.RawQuery != u.RawQuery {
			t.Fatalf("%+v, but net/url reads %+v", u, std)
		}
		if p := std.EscapedPath(); strings.TrimSuffix(p, "/") != strings.TrimSuffix(u.Path, "/") {
			t.Fatalf("path %q, but net/url reads %q", u.Path, p)
		}
		if err == nil && (addr.IsLinkLocalUnicast() || addr.IsUnspecified() || addr.Is4In6()) {
			t.Fatalf("accepted the address %s", addr)
		}
		if err == nil && !u.TLS() && !addr.IsLoopback() && !addr.IsPrivate() {
			t.Fatalf("accepted http to %s", addr)
		}
		if again, err := ParseBaseURL(u.String(), nil); err != nil || again != u {
			t.Fatalf("%s parses into %+v (%v), not %+v", u, again, err, u)
		}
	})
}

func FuzzJoin(f *testing.F) {
	for _, base := range []string{"https://h.example", "https://h.example/v1/", "https://h.example/a/openai/b", "https://h.example/a%2Fb"} {
		for _, client := range []string{"/v1/chat/completions", "/v1/../x", "//x", "/v1/..%2f..%5c..", "/%2e%2e;/", "/v1?x#y", ""} {
			f.Add(base, client)
		}
	}
	f.Fuzz(func(t *testing.T, rawBase, client string) {
		base, err := ParseBaseURL(rawBase, nil)
		if err != nil {
			return
		}
		got := Join(base, nil, client)
		dir := strings.TrimSuffix(base.Path, "/")
		if got[0] != '/' || strings.Contains(got, "//") || strings.ContainsAny(got, "?#\\ \r\n\x00") {
			t.Fatalf("Join(%s, %q) = %q", base, client, got)
		}
		if got != dir && !strings.HasPrefix(got, dir+"/") {
			t.Fatalf("Join(%s, %q) = %q leaves the base path", base, client, got)
		}
		decoded, err := url.PathUnescape(got)
		if err != nil {
			t.Fatalf("Join(%s, %q) = %q: %v", base, client, got, err)
		}
		plainDir, _ := url.PathUnescape(dir)
		resolved, root := path.Clean(strings.ReplaceAll(decoded, `\`, "/")), path.Clean("/"+strings.ReplaceAll(plainDir, `\`, "/"))
		if root != "/" && resolved != root && !strings.HasPrefix(resolved, root+"/") {
			t.Fatalf("Join(%s, %q) = %q resolves to %q, outside of %q", base, client, got, resolved, root)
		}
	})
}

func FuzzMergeQuery(f *testing.F) {
	f.Add("a=1&b", "n", "v", "key=1&a=2&c=3;d")
	f.Add("%zz", "key", "x y", "k%65y=2&N=3")
	f.Fuzz(func(t *testing.T, base, name, value, client string) {
		got := MergeQuery("", []Param{{name, value}}, client)
		values, err := url.ParseQuery(got)
		if err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if v := values[name]; len(v) != 1 || v[0] != value {
			t.Fatalf("%q: %q is %q, want %q", got, name, v, value)
		}
		for n := range values {
			if n != name && (IsQueryCredential(strings.ToLower(n)) || strings.EqualFold(n, name)) {
				t.Fatalf("%q holds the client's %q", got, n)
			}
		}
		if got := MergeQuery(base, nil, client); base != "" && !strings.HasSuffix(base, "&") && !strings.Contains(base, "&&") && base[0] != '&' && !strings.HasPrefix(got, base) {
			t.Fatalf("%q lost the bytes of %q", got, base)
		}
	})
}
