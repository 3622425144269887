package policy

import (
	"fmt"
	"testing"
)

// TestEgress: the proxy of each provider, and the credential that it gets.
func TestEgress(t *testing.T) {
	const inFile = "https_proxy: http://proxy.internal:3128\n"
	for _, c := range []struct {
		name, config, base string
		env                map[string]string
		want               string
	}{
		{"none", "", "https://a.example", nil, ""},
		{"all", inFile, "https://a.example", nil, "proxy.internal:3128"},
		{"http", inFile, "http://a.internal", nil, ""},
		{"loopback", inFile, "https://localhost:8443", nil, ""},
		{"no_proxy, subdomain", inFile + "no_proxy: [example]\n", "https://a.example", nil, ""},
		{"no_proxy, another", inFile + "no_proxy: [example.org]\n", "https://a.example", nil, "proxy.internal:3128"},
		{"no_proxy, range", inFile + "no_proxy: [10.0.0.0/8]\n", "https://10.1.2.3", nil, ""},
		{"connect_to", inFile + "connect_to: {'a.example:443': '127.0.0.1:1'}\n", "https://a.example", nil, ""},
		{"default port", "https_proxy: http://proxy.internal\n", "https://a.example", nil, "proxy.internal:80"},
		{"TLS", "https_proxy: https://proxy.internal\n", "https://a.example", nil, "proxy.internal:443 TLS"},
		{"user", "https_proxy: http://us%65r:p%40ss@proxy.internal:1\n", "https://a.example", nil, "proxy.internal:1 Basic dXNlcjpwQHNz"},
		{"user alone", "https_proxy: http://user@proxy.internal:1\n", "https://a.example", nil, "proxy.internal:1 Basic dXNlcjo="},
		{"a secret", "https_proxy: http://user:${secrets.get('p','w')}@proxy.internal:1\n", "https://a.example", map[string]string{"WEIR_SECRET_P_W": "p@ss"}, "proxy.internal:1 Basic dXNlcjpwQHNz"},
		{"one secret", "https_proxy: http://${secrets.get('p','w')}@proxy.internal:1\n", "https://a.example", map[string]string{"WEIR_SECRET_P_W": "user:p@ss"}, "proxy.internal:1 Basic dXNlcjpwQHNz"},
		{"environment", "", "https://a.example", map[string]string{"HTTPS_PROXY": "http://user:p%40ss@proxy.internal:1/"}, "proxy.internal:1 Basic dXNlcjpwQHNz HTTPS_PROXY"},
		{"environment, lower case", "", "https://a.example", map[string]string{"https_proxy": "proxy.internal:1"}, "proxy.internal:1 https_proxy"},
		{"environment, NO_PROXY", "", "https://a.example", map[string]string{"HTTPS_PROXY": "proxy.internal:1", "NO_PROXY": "b.example,.example"}, " HTTPS_PROXY"},
		{"the file comes first", inFile, "https://a.example", map[string]string{"HTTPS_PROXY": "other.internal:1"}, "proxy.internal:3128"},
		{"the file says none", "https_proxy: ''\n", "https://a.example", map[string]string{"HTTPS_PROXY": "other.internal:1"}, ""},
	} {
		w := newWorld()
		for name, value := range c.env {
			w.env[name] = value
		}
		p := w.load(t, c.config+"providers: [{id: a, base_url: '"+c.base+"'}]\n")
		got := ""
		if via := p.Clusters[0].Proxy; via != nil {
			got = fmt.Sprintf("%s:%d", via.Host, via.Port)
			if via.TLS != nil {
				got += " TLS"
			}
			if via.Secret != "" {
				got += " " + p.Secrets[via.Secret].Reveal()
			}
		}
		if p.ProxyVariable != "" {
			got += " " + p.ProxyVariable
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
