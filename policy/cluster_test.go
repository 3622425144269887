package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/policy/header"
)

// clusterNames are those of a configuration's providers.
func clusterNames(p *Policy) []string {
	var names []string
	for _, c := range p.Clusters {
		names = append(names, c.Name)
	}
	return names
}

// A cluster's name changes with everything that makes it another cluster.
func TestClusterNames(t *testing.T) {
	const base = `{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}]}`
	w := newWorld()
	w.env["WEIR_SECRET_S_A"], w.env["WEIR_SECRET_S_B"] = "a", "b"
	seen := map[string]string{}
	names := func(providers string) []string {
		t.Helper()
		return clusterNames(w.load(t, "allow_http_hosts: [p.example.com]\nproviders: ["+providers+"]"))
	}
	different := []string{
		base,
		`{id: q, base_url: "https://p.internal/v1", api_keys: [{value: k1}]}`,
		`{id: p, base_url: "https://q.internal/v1", api_keys: [{value: k1}]}`,
		`{id: p, base_url: "https://p.internal/v2", api_keys: [{value: k1}]}`,
		`{id: p, base_url: "https://p.internal/v1?a=b", api_keys: [{value: k1}]}`,
		`{id: p, base_url: "https://p.internal:8443/v1", api_keys: [{value: k1}]}`,
		`{id: p, base_url: "http://p.internal/v1", api_keys: [{value: k1}]}`,
		`{id: p, base_url: "http://p.internal:443/v1", api_keys: [{value: k1}]}`,
		`{id: p, base_url: "https://p.internal/v1"}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: "${secrets.get('s', 'a')}"}]}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: "${secrets.get('s', 'b')}"}]}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], auth: {header: x-key}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], auth: {prefix: "Key "}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], headers: {x-a: "1"}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], headers: {x-a: "2"}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], headers: {x-a: "${secrets.get('s', 'a')}"}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], tls: {insecure_skip_verify: true}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], tls: {ca_file: ca.pem}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], tls: {server_name: q.internal}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], tls: {cert_file: cert.pem, key_file: key.pem}}`,
		`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}], supported_api_surfaces: [{format: anthropic}]}`,
	}
	// The same without keys: the secrets' names must not be all that differs.
	for _, c := range different {
		if keyless := strings.Replace(c, ", api_keys: [{value: k1}]", "", 1); !slices.Contains(different, keyless) && !strings.Contains(c, "auth") && !strings.Contains(c, "format") {
			different = append(different, keyless)
		}
	}
	for _, c := range different {
		got := names(c)
		if len(got) != 1 || !strings.HasPrefix(got[0], "weir/"+c[len("{id: "):][:1]+"/") {
			t.Errorf("%s: names %q", c, got)
			continue
		}
		if other := seen[got[0]]; other != "" {
			t.Errorf("one name for\n%s\n%s", other, c)
		}
		seen[got[0]] = c
	}

	// Each key has its cluster, by its position and reference.
	if got := names(`{id: p, base_url: "https://p.internal/v1", api_keys: [{value: k1}, {value: k1}, {value: k2}]}`); len(got) != 3 {
		t.Errorf("three keys have %d clusters", len(got))
	}
	// A header that any cluster sets is stripped by all, which is a difference.
	if got := names(base + `, {id: q, base_url: "https://q.internal", headers: {x-a: b}}`); slices.Contains(got, names(base)[0]) {
		t.Error("another list of stripped headers, the same name")
	}
	// What two surfaces share is one cluster.
	if got := names(`{id: p, base_url: "https://p.internal/v1", supported_api_surfaces: [{format: openai, surface: chat-completions}, {format: openai, surface: embeddings}]}`); len(got) != 1 {
		t.Errorf("two surfaces of one origin have %d clusters", len(got))
	}

	// A secret's value is no part of any name, nor does one hold a trace of it.
	f := func(what, one, two string) {
		t.Helper()
		a, b := w.load(t, "providers: ["+one+"]"), w.load(t, "providers: ["+two+"]")
		if diff := cmp.Diff(clusterNames(a), clusterNames(b)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		if diff := cmp.Diff(sortedKeys(a.Secrets), sortedKeys(b.Secrets)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	f("a literal key", base, strings.Replace(base, "k1", "k2", 1))
	f("a literal header", `{id: p, base_url: "https://p.internal", headers: {x-token: one}}`, `{id: p, base_url: "https://p.internal", headers: {x-token: two}}`)
	before := names(`{id: p, base_url: "https://p.internal", api_keys: [{value: "x-${secrets.get('s', 'a')}"}], headers: {x-a: "y-${secrets.get('s', 'b')}"}}`)
	w.env["WEIR_SECRET_S_A"], w.env["WEIR_SECRET_S_B"] = "another", "value"
	w.files["ca.pem"] += "\n"
	after := names(`{id: p, base_url: "https://p.internal", api_keys: [{value: "z-${secrets.get('s', 'a')}"}], headers: {x-a: "z-${secrets.get('s', 'b')}"}}`)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("rotated secrets: %s", diff)
	}
}

// A secret goes by another name wherever it is sent elsewhere: an old cluster
// that outlives a reload must not get the key of the new one's origin.
func TestSecretNames(t *testing.T) {
	seen := map[string]string{}
	for _, c := range []string{
		`{id: p, base_url: "https://p.internal"}`,
		`{id: q, base_url: "https://p.internal"}`,
		`{id: p, base_url: "http://p.internal:443"}`,
		`{id: p, base_url: "https://q.internal"}`,
		`{id: p, base_url: "https://p.internal:8443"}`,
		`{id: p, base_url: "https://p.internal/v2"}`,
		`{id: p, base_url: "https://p.internal", tls: {server_name: q.internal}}`,
		`{id: p, base_url: "https://p.internal", tls: {ca_file: ca.pem}}`,
		`{id: p, base_url: "https://dialled.internal"}`,
	} {
		c = strings.TrimSuffix(c, "}") + `, api_keys: [{value: k}]}`
		config := "providers: [" + c + "]"
		if strings.Contains(c, "dialled") {
			for _, port := range []string{"1", "2"} {
				for name := range newWorld().load(t, "connect_to: {'dialled.internal:443': '10.0.0.1:"+port+"'}\n"+config).Secrets {
					if seen[name] != "" {
						t.Errorf("%s: one name for two places", c)
					}
					seen[name] = c
				}
			}
		}
		p := newWorld().load(t, config)
		if len(p.Secrets) != 1 {
			t.Errorf("%s: %d secrets", c, len(p.Secrets))
		}
		for name := range p.Secrets {
			if seen[name] != "" {
				t.Errorf("one name for\n%s\n%s", seen[name], c)
			}
			seen[name] = c
		}
	}
}

// Providers and ports never share a cluster, nor a secret's name.
func TestNamesNeverCollide(t *testing.T) {
	var config strings.Builder
	config.WriteString("providers:\n")
	for i := range 30 {
		for port := range 30 {
			fmt.Fprintf(&config, "  - {id: p%d-%d, base_url: 'http://h.internal:%d', api_keys: [{value: 'k%d'}, {value: 'l'}]}\n", i, port, 8000+port, i)
		}
	}
	p := newWorld().load(t, config.String())
	if len(p.Clusters) != 1800 || len(p.Secrets) != 1800 {
		t.Errorf("%d clusters, %d secrets, want 1800 of each", len(p.Clusters), len(p.Secrets))
	}
	used := map[string]bool{}
	for _, c := range p.Clusters {
		for _, h := range c.Set {
			used[h.Secret] = true
		}
	}
	if len(used) != len(p.Secrets) {
		t.Errorf("%d secrets are used", len(used))
	}
}

// What each cluster sets and strips.
func TestClusterHeaders(t *testing.T) {
	w := newWorld()
	w.env["WEIR_SECRET_S_K"] = "from-the-store"
	f := func(config, want string) {
		t.Helper()
		p := w.load(t, config)
		var got []string
		for _, c := range p.Clusters {
			for _, h := range c.Set {
				line := c.Provider + " " + h.Name + ": " + h.Value
				if h.Secret != "" {
					line += "<" + h.Prefix + p.Secrets[h.Secret].Reveal() + ">"
				}
				got = append(got, line)
				if !slices.Contains(c.Strip, h.Name) {
					t.Errorf("%s: %s is set and not stripped", config, h.Name)
				}
			}
			names, _ := header.Stripped()
			for _, name := range names {
				if !slices.Contains(c.Strip, name) {
					t.Errorf("%s: %s is not stripped", config, name)
				}
			}
			if !slices.Equal(c.Strip, p.Clusters[0].Strip) {
				t.Errorf("%s: clusters strip different headers", config)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", config, diff)
		}
	}
	one := func(fields string) string { return "providers: [{id: p, base_url: http://p.internal, " + fields + "}]" }
	// <…> is what Envoy gets as a secret.
	f(one(`api_keys: [{value: k}]`), "p authorization: <Bearer k>")
	f(one(`api_keys: [{value: k}], supported_api_surfaces: [{format: anthropic}]`), "p x-api-key: <k>")
	f(one(`api_keys: [{value: k}], auth: {header: X-Key}`), "p x-key: <k>")
	f(one(`api_keys: [{value: k}], auth: {header: X-Key, prefix: "Key "}`), "p x-key: <Key k>")
	f(one(`api_keys: [{value: k}], auth: {header: Authorization}`), "p authorization: <Bearer k>")
	f(one(`api_keys: [{value: k}], auth: {prefix: ""}`), "p authorization: <k>")
	f(`providers: [{id: az, base_url: "https://x.openai.azure.com/openai/v1", api_keys: [{value: k}]}]`, "az api-key: <k>")
	f(`providers: [{id: anthropic, api_keys: [{value: k}]}]`, "anthropic authorization: <Bearer k>\nanthropic x-api-key: <k>")

	f(one(`headers: {X-Plain: visible}`), "p x-plain: visible")
	f(one(`headers: {X-Plain: "a${secrets.get('s', 'k')}b"}`), "p x-plain: <afrom-the-storeb>")
	f(one(`headers: {Authorization: literal, X-Api-Key: literal, X-Service-Token: literal, Cookie: literal, X-Password: literal, X-Session-Id: literal}`),
		"p authorization: <literal>\np cookie: <literal>\np x-api-key: <literal>\np x-password: <literal>\np x-service-token: <literal>\np x-session-id: <literal>")
	f(one(`headers: {X-A: "Bearer literal", X-B: "basic bGl0ZXJhbA==", X-C: sk-literal, X-D: bear}`),
		"p x-a: <Bearer literal>\np x-b: <basic bGl0ZXJhbA==>\np x-c: <sk-literal>\np x-d: bear")
	f(one(`headers: {X-Plain: "", X-Token: ""}`), "") // taken out, and nothing set

	f(`on_http_request: [{type: ai-gateway, config: {headers: {X-A: all, X-B: all}, providers: [
  {id: p, base_url: "http://p.internal", headers: {x-b: own}}, {id: q, base_url: "http://q.internal"}, {id: openai}]}}]`,
		"p x-a: all\np x-b: own\nq x-a: all\nq x-b: all")
}

// TestDial: where a cluster connects to, and what it calls itself there.
func TestDial(t *testing.T) {
	f := func(baseURL, connectTo, want string) {
		t.Helper()
		c := newWorld().load(t, "connect_to: {"+connectTo+"}\nproviders: [{id: p, base_url: '"+baseURL+"'}]").Clusters[0]
		got := fmt.Sprintf("%s %d", c.DialHost, c.DialPort)
		if c.TLS != nil {
			got += " " + c.TLS.ServerName
		}
		if got != want {
			t.Errorf("%s to %s: got %q, want %q", baseURL, connectTo, got, want)
		}
	}
	f("https://p.example.com/v1", "", "p.example.com 443 p.example.com")
	f("https://P.example.com:8443", "", "p.example.com 8443 p.example.com")
	f("http://p.internal", "", "p.internal 80")
	f("http://[::1]:11434", "", "::1 11434")
	f("https://p.example.com", `"p.example.com:443": "127.0.0.1:8443"`, "127.0.0.1 8443 p.example.com")
	f("https://p.example.com", `"p.example.com:8443": "127.0.0.1:8443"`, "p.example.com 443 p.example.com")
	f("http://p.internal", `"p.internal:80": "[::1]:80"`, "::1 80")
	f("https://[fd00::1]", `"[fd00::1]:443": "q.internal:1"`, "q.internal 1 fd00::1")
}

// TestCredentials: by a cluster's name, also of what is kept of a policy.
func TestCredentials(t *testing.T) {
	p := newWorld().load(t, `
providers:
  - {id: a, base_url: "http://a.internal", api_keys: [{value: first-key}, {value: second-key}], headers: {x-token: "Token third"}}
  - {id: b, base_url: "http://b.internal"}
`)
	kept := p.Only(func(c *Cluster) bool { return c.Key == "a#2" })
	for _, c := range p.Clusters {
		want := map[string]string{"a#1": "Token third first-key", "a#2": "Token third second-key", "": ""}[c.Key]
		if got := strings.Join(p.Credentials(c.Name), " "); got != want {
			t.Errorf("%s: %s, want %s", c.Name, got, want)
		}
		if c.Key != "a#2" {
			want = ""
		}
		if got := strings.Join(kept.Credentials(c.Name), " "); got != want {
			t.Errorf("%s, of what is kept: %s, want %s", c.Name, got, want)
		}
	}
	if p.Credentials("weir/c/1") != nil {
		t.Error("an unknown cluster has credentials")
	}
}
