package config

import (
	"strings"
	"testing"
)

func TestParseBaseURL(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want BaseURL
	}{
		{"https://api.my-service.com/v1", BaseURL{"https", "api.my-service.com", 443, "/v1", ""}},
		{"HTTPS://API.Example.COM:8443/V1/", BaseURL{"https", "api.example.com", 8443, "/V1/", ""}},
		{"https://api.deepseek.com", BaseURL{"https", "api.deepseek.com", 443, "", ""}},
		{"https://api.deepseek.com/", BaseURL{"https", "api.deepseek.com", 443, "", ""}},
		{"https://api.deepseek.com:443", BaseURL{"https", "api.deepseek.com", 443, "", ""}},
		{"https://h.example?", BaseURL{"https", "h.example", 443, "", ""}},
		{"https://h.example?a=/b?c", BaseURL{"https", "h.example", 443, "", "a=/b?c"}},
		{"https://X.openai.azure.com/openai/deployments/D?api-version=2024-10-21", BaseURL{"https", "x.openai.azure.com", 443, "/openai/deployments/D", "api-version=2024-10-21"}},
		{"https://h.example/a%20b/llama%2F3", BaseURL{"https", "h.example", 443, "/a%20b/llama%2F3", ""}},
		{"https://xn--bcher-kva.example/v1", BaseURL{"https", "xn--bcher-kva.example", 443, "/v1", ""}},
		{"https://8.8.8.8/v1", BaseURL{"https", "8.8.8.8", 443, "/v1", ""}},
		{"https://[2001:DB8:0::1]:8443/v1", BaseURL{"https", "2001:db8::1", 8443, "/v1", ""}},
		{"https://100.64.0.1/v1", BaseURL{"https", "100.64.0.1", 443, "/v1", ""}},
		{"http://ollama.internal", BaseURL{"http", "ollama.internal", 80, "", ""}},
		{"http://a.b.INTERNAL:8080", BaseURL{"http", "a.b.internal", 8080, "", ""}},
		{"http://localhost:11434/v1", BaseURL{"http", "localhost", 11434, "/v1", ""}},
		{"http://x.localhost", BaseURL{"http", "x.localhost", 80, "", ""}},
		{"http://my_ollama:11434", BaseURL{"http", "my_ollama", 11434, "", ""}},
		{"http://mac.local", BaseURL{"http", "mac.local", 80, "", ""}},
		{"http://vllm.models.svc:8000", BaseURL{"http", "vllm.models.svc", 8000, "", ""}},
		{"http://vllm.models.svc.cluster.local:8000", BaseURL{"http", "vllm.models.svc.cluster.local", 8000, "", ""}},
		{"http://127.0.0.1:1", BaseURL{"http", "127.0.0.1", 1, "", ""}},
		{"http://127.255.0.9:65535", BaseURL{"http", "127.255.0.9", 65535, "", ""}},
		{"http://[::1]:8000", BaseURL{"http", "::1", 8000, "", ""}},
		{"http://10.0.0.1", BaseURL{"http", "10.0.0.1", 80, "", ""}},
		{"http://172.16.0.1", BaseURL{"http", "172.16.0.1", 80, "", ""}},
		{"http://172.31.255.255", BaseURL{"http", "172.31.255.255", 80, "", ""}},
		{"http://192.168.1.10", BaseURL{"http", "192.168.1.10", 80, "", ""}},
		{"http://[fd12::1]", BaseURL{"http", "fd12::1", 80, "", ""}},
		// The hosts below are listed in allow_http_hosts.
		{"http://listed.example", BaseURL{"http", "listed.example", 80, "", ""}},
		{"http://100.64.0.7", BaseURL{"http", "100.64.0.7", 80, "", ""}},
		{"http://169.254.169.254", BaseURL{"http", "169.254.169.254", 80, "", ""}},
		{"https://[fe80::1]", BaseURL{"https", "fe80::1", 443, "", ""}},
		{"http://metadata.google.internal", BaseURL{"http", "metadata.google.internal", 80, "", ""}},
	} {
		allow := []string{"Listed.Example", "100.64.0.7", "169.254.169.254", "[fe80:0::1]", "metadata.google.internal"}
		got, err := ParseBaseURL(c.raw, allow)
		if err != nil || got != c.want {
			t.Errorf("%s\ngot  %+v, %v\nwant %+v", c.raw, got, err, c.want)
		}
		if again, err := ParseBaseURL(got.String(), allow); err != nil || again != got {
			t.Errorf("%s: %s does not parse into the same: %+v, %v", c.raw, got, again, err)
		}
	}
}

func TestParseBaseURLRefuses(t *testing.T) {
	const (
		insecure  = "HTTPS required: "
		linkLocal = "is a link-local or cloud-metadata address"
		metadata  = "is a cloud-metadata host"
		noIPv4    = "is not a valid IPv4 address: write four decimal numbers"
		mapped    = "must not contain an IPv4 address in IPv6 form"
		userinfo  = "must not contain a user name or password"
		badPort   = "has a bad port: write a number from 1 to 65535"
	)
	for _, c := range []struct{ raw, want string }{
		{"", "is empty"},
		{"api.openai.com/v1", "has no scheme: write https://api.openai.com/…"},
		{"localhost:11434", "has no scheme: write http://localhost:11434"},
		{"localhost", "has no scheme: write http://localhost"},
		{"10.0.0.1/v1", "has no scheme: write http://10.0.0.1/…"},
		{"[::1]:8000", "has no scheme: write http://[::1]:8000"},
		// What is left of the URL of an operation.
		{"https://a.example/v1/chat/completions", "ends in /chat/completions, which Weir adds: write https://a.example/v1"},
		{"https://a.example/v1/chat/completions/", "which Weir adds: write https://a.example/v1"},
		{"https://a.example/v1/chat/completions?", "which Weir adds: write https://a.example/v1"},
		{"https://a.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21", "write https://a.openai.azure.com/openai/deployments/d?api-version=2024-10-21"},
		{"https://a.openai.azure.com/openai/deployments/d/embeddings?api-version=1&api-key=sk-1", "write https://a.openai.azure.com/openai/deployments/d?api-version=1&api-key=[redacted]"},
		{"https://a.example/v1/messages", "ends in /messages, which Weir adds: write https://a.example/v1"},
		{"https://a.example/v1/messages/count_tokens", "ends in /messages/count_tokens, which Weir adds: write https://a.example/v1"},
		{"https://a.example/v1/responses", "write https://a.example/v1"},
		{"https://a.example/v1/completions", "ends in /completions, which Weir adds: write https://a.example/v1"},
		{"https://a.example/v1beta/openai/embeddings/", "write https://a.example/v1beta/openai"},
		{"https://a.example/v1/models", "ends in /models, which Weir adds: write https://a.example/v1"},
		{"https://a.example/chat/completions", "write https://a.example, and versioned: false if its paths have no /v1"},
		{"https://a.example/embeddings", "write https://a.example, and versioned: false"},
		{"https://a.example/team/0123456789012345678901234567890123456789/messages", "write https://a.example/team/…, and versioned: false"},
		{"https://models.github.ai/inference/chat/completions", "which Weir adds: write https://models.github.ai/inference"},
		{"https://a.services.ai.azure.com/models/embeddings?api-version=1", "write https://a.services.ai.azure.com/models?api-version=1"},
		{"sk-proj-0123456789", "has no scheme: write https://host/path"},
		{"user:password@api.openai.com", "has no scheme: write https://host/path"},
		{"//api.openai.com/v1", "has no scheme: write https://host/path"},
		{"https:/api.openai.com", "has no scheme"},
		{"/x?u=https://h", "has no scheme"},
		{"ftp://h.example", `the scheme "ftp" is not supported`},
		{"file:///etc/passwd", `the scheme "file" is not supported`},
		{"https://", "has no host"},
		{"https:///v1", "has no host"},
		{"https://:443", "has no host"},
		{"https://?x", "has no host"},
		{"http://api.openai.com/v1", insecure + "api.openai.com is not an internal host"},
		{"http://internal.example", insecure},
		{"http://xinternal.example.com", insecure},
		{"http://ollama.internal.example.com", insecure},
		{"http://svc.cluster.local.evil.example", insecure},
		{"http://localhost.example", insecure},
		{"http://8.8.8.8", insecure},
		{"http://172.32.0.1", insecure},
		{"http://172.15.255.255", insecure},
		{"http://11.0.0.1", insecure},
		{"http://128.0.0.1", insecure},
		{"http://100.64.0.1", insecure},
		{"http://198.18.0.1", insecure},
		{"http://[2001:db8::1]", insecure},
		{"http://[64:ff9b::a00:1]", insecure},
		{"http://[2002:a00:1::]", insecure},
		{"http://169.254.169.254/latest", linkLocal},
		{"https://169.254.169.254/latest", linkLocal},
		{"https://169.254.170.2", linkLocal},
		{"https://[fe80::1]", linkLocal},
		{"https://[febf::1]", linkLocal},
		{"http://[fd00:ec2::254]", linkLocal},
		{"http://[fd20:ce::254]", linkLocal},
		{"https://100.100.100.200", linkLocal},
		{"https://168.63.129.16", linkLocal},
		{"https://[64:ff9b::a9fe:a9fe]", linkLocal},
		{"https://[2002:a9fe:a9fe::]", linkLocal},
		{"http://metadata.google.internal", metadata},
		{"https://Metadata.Google.Internal", metadata},
		{"http://metadata", metadata},
		{"http://instance-data", metadata},
		{"https://metadata.goog", metadata},
		{"http://0.0.0.0:8000", "0.0.0.0 cannot be connected to: write 127.0.0.1"},
		{"https://0.1.2.3", "cannot be connected to"},
		{"http://[::]:8000", ":: cannot be connected to"},
		{"https://224.0.0.1", "is not the address of one host"},
		{"https://255.255.255.255", "is not the address of one host"},
		{"https://[ff02::1]", "is not the address of one host"},
		{"http://[::ffff:127.0.0.1]", mapped + ": write 127.0.0.1"},
		{"https://[::ffff:a9fe:a9fe]", mapped + ": write 169.254.169.254"},
		{"http://[::127.0.0.1]", mapped},
		{"http://[::7f00:1]", mapped},
		{"http://2130706433/", noIPv4},
		{"http://0x7f.1", noIPv4},
		{"http://0x7f000001", noIPv4},
		{"http://0X7F000001", noIPv4},
		{"http://017700000001", noIPv4},
		{"http://0177.0.0.1", noIPv4},
		{"http://127.1", noIPv4},
		{"http://127.0.0.01", noIPv4},
		{"http://127.0.0.256", noIPv4},
		{"http://127.0.0.0x1", noIPv4},
		{"http://0x", noIPv4},
		{"https://example.1", noIPv4},
		{"https://1.2.3.4.5", noIPv4},
		{"https://user:pass@h.example", userinfo},
		{"https://user@h.example", userinfo},
		{"https://@h.example", userinfo},
		{"https://10.0.0.1:80@evil.example", userinfo},
		{"https://h.example/#x", "must not have a #fragment"},
		{"https://h.example#@x", "must not have a #fragment"},
		{"https://h.example:", badPort},
		{"https://h.example:0", badPort},
		{"https://h.example:65536", badPort},
		{"https://h.example:0443", badPort},
		{"https://h.example:+443", badPort},
		{"https://h.example:44a", badPort},
		{"https://[::1]:", badPort},
		{"https://h.example:1:2", "more than one colon"},
		{"https://::1", "write an IPv6 address in brackets"},
		{"https://[::1", "without its closing bracket"},
		{"https://[::1]x", "something other than a port"},
		{"https://[127.0.0.1]", "not an IPv6 address"},
		{"https://[v1.x]", "not an IPv6 address"},
		{"https://[]", "not an IPv6 address"},
		{"https://[fe80::1%25eth0]", "must not have an IPv6 zone"},
		{"https://h\x00.example", "must not contain a control character"},
		{"https://h.example/\r\nx", "must not contain a control character"},
		{"https://h.example/a b", "must not contain a space"},
		{" https://h.example", "must not contain a space"},
		{`https://h.example\@evil.example`, "must not contain a backslash"},
		{"https://h.example/${x}", "must not contain '{': write it as %7B"},
		{"https://bücher.example", "write the punycode form of a host name"},
		{"https://h.example/bücher", "%-escapes elsewhere"},
		{"https://%68.example", "must not have %-escapes in its host"},
		{"https://h.example.", "must not have a dot at the end"},
		{"http://127.0.0.1.", "must not have a dot at the end"},
		{"https://.example", "has an empty label in its host"},
		{"https://a..example", "has an empty label in its host"},
		{"https://-a.example", "begins or ends with a hyphen"},
		{"https://a-.example", "begins or ends with a hyphen"},
		{"https://a,b.example", "must not have ',' in its host"},
		{"https://*.example", "must not have '*' in its host"},
		{"https://" + strings.Repeat("a", 64) + ".example", "has a label of more than 63 bytes"},
		{"https://" + strings.Repeat("a.", 130) + "example", "has a host of more than 253 bytes"},
		{"https://h.example/" + strings.Repeat("a", 2048), "is longer than 2048 bytes"},
		{"https://h.example//v1", "must not have // in its path"},
		{"https://h.example/v1//", "must not have // in its path"},
		{"https://h.example//", "must not have // in its path"},
		{"https://h.example/a/../b", `must not have ".." in its path`},
		{"https://h.example/./b", `must not have "." in its path`},
		{"https://h.example/a/%2E%2e", `must not have "%2E%2e" in its path`},
		{"https://h.example/a/..%2fb", `must not have "..%2fb" in its path`},
		{"https://h.example/a/..;x/b", `must not have "..;x" in its path`},
		{"https://h.example/a%0d%0ab", `must not have "a%0d%0ab" in its path`},
		{"https://h.example/%zz", "has a broken %-escape in its path"},
		{"https://h.example/%", "has a broken %-escape in its path"},
		{"https://h.example/?a=%zz", "has a broken %-escape in its query"},
	} {
		got, err := ParseBaseURL(c.raw, nil)
		if err == nil {
			t.Errorf("%s: accepted as %+v, want %q", c.raw, got, c.want)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngot  %q\nwant %q", c.raw, err, c.want)
		} else if strings.Contains(err.Error(), "pass") && !strings.Contains(err.Error(), "password") {
			t.Errorf("%s: the error repeats a password: %s", c.raw, err)
		}
	}
	// A list opens http and metadata, never what cannot be a host.
	for _, raw := range []string{"http://0.0.0.0", "http://[::ffff:10.0.0.1]", "http://2130706433", "https://224.0.0.1"} {
		if got, err := ParseBaseURL(raw, []string{"0.0.0.0", "::ffff:10.0.0.1", "10.0.0.1", "2130706433", "224.0.0.1"}); err == nil {
			t.Errorf("%s: accepted as %+v because it is listed", raw, got)
		}
	}
}

func TestBaseURLForms(t *testing.T) {
	for _, c := range []struct {
		raw, authority, origin string
		tls                    bool
	}{
		{"https://h.example/v1", "h.example", "https://h.example:443", true},
		{"https://h.example:8443", "h.example:8443", "https://h.example:8443", true},
		{"https://h.example:80", "h.example:80", "https://h.example:80", true},
		{"http://h.internal", "h.internal", "http://h.internal:80", false},
		{"http://h.internal:443", "h.internal:443", "http://h.internal:443", false},
		{"http://127.0.0.1:8000", "127.0.0.1:8000", "http://127.0.0.1:8000", false},
		{"http://[::1]", "[::1]", "http://[::1]:80", false},
		{"https://[2001:db8::1]:8443", "[2001:db8::1]:8443", "https://[2001:db8::1]:8443", true},
	} {
		u, err := ParseBaseURL(c.raw, nil)
		if err != nil || u.Authority() != c.authority || u.Origin() != c.origin || u.TLS() != c.tls {
			t.Errorf("%s: %v, authority %s, origin %s, TLS %v", c.raw, err, u.Authority(), u.Origin(), u.TLS())
		}
	}
}

// A path of another version takes the place of the base URL's.
func TestBaseURLOf(t *testing.T) {
	for _, c := range []struct{ base, want string }{
		{"https://h.example", "/v2/rerank"},
		{"https://h.example/v1", "/v2/rerank"},
		{"https://h.example/api/v1/", "/api/v2/rerank"},
		{"https://h.example/v2", "/v2/rerank"},
		{"https://h.example/v1/openai", "/v1/openai/v2/rerank"},
	} {
		base, err := ParseBaseURL(c.base, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := Join(base.Of("/v2/rerank"), nil, "/v2/rerank"); got != c.want {
			t.Errorf("%s: %s, want %s", c.base, got, c.want)
		}
		if got := base.Of("/v1/rerank"); got != base {
			t.Errorf("%s is %s for a path of /v1", c.base, got)
		}
	}
}

func TestJoin(t *testing.T) {
	const chat = "/v1/chat/completions"
	for _, c := range []struct{ base, client, want string }{
		// The examples of docs/providers.md and others like them.
		{"https://api.my-service.com/v1", chat, "/v1/chat/completions"},
		{"https://ollama.internal", chat, "/v1/chat/completions"},
		{"https://dmr.internal/engines/llama.cpp", chat, "/engines/llama.cpp/v1/chat/completions"},
		{"https://generativelanguage.googleapis.com/v1beta/openai/", chat, "/v1beta/openai/chat/completions"},
		{"https://api.groq.com/openai/v1", chat, "/openai/v1/chat/completions"},
		{"https://X.openai.azure.com/openai/deployments/D?api-version=2024-10-21", chat, "/openai/deployments/D/chat/completions"},
		// The same with the slash at the end changed.
		{"https://api.my-service.com/v1/", chat, "/v1/chat/completions"},
		{"https://ollama.internal/", chat, "/v1/chat/completions"},
		{"https://dmr.internal/engines/llama.cpp/", chat, "/engines/llama.cpp/v1/chat/completions"},
		{"https://generativelanguage.googleapis.com/v1beta/openai", chat, "/v1beta/openai/chat/completions"},
		{"https://api.groq.com/openai/v1/", chat, "/openai/v1/chat/completions"},
		{"https://X.openai.azure.com/openai/deployments/D/?api-version=2024-10-21", chat, "/openai/deployments/D/chat/completions"},
		// Other base URLs in use.
		{"https://api.openai.com/v1", "/v1/responses", "/v1/responses"},
		{"https://api.anthropic.com/v1", "/v1/messages", "/v1/messages"},
		{"https://api.anthropic.com/v1", "/v1/messages/count_tokens", "/v1/messages/count_tokens"},
		{"https://openrouter.ai/api/v1", chat, "/api/v1/chat/completions"},
		{"https://api.deepseek.com", chat, "/v1/chat/completions"},
		{"https://X.openai.azure.com/openai/v1/", chat, "/openai/v1/chat/completions"},
		{"https://open.bigmodel.cn/api/paas/v4", chat, "/api/paas/v4/chat/completions"},
		{"https://api.deepinfra.com/v1/openai", chat, "/v1/openai/chat/completions"},
		{"https://gateway.ai.cloudflare.com/v1/account/gateway/openai", chat, "/v1/account/gateway/openai/chat/completions"},
		{"https://r-aiplatform.googleapis.com/v1beta1/projects/p/locations/r/endpoints/openapi", chat, "/v1beta1/projects/p/locations/r/endpoints/openapi/chat/completions"},
		{"https://gpustack.internal/v1-openai", chat, "/v1-openai/chat/completions"},
		{"https://h.example/api/v2alpha1/x", chat, "/api/v2alpha1/x/chat/completions"},
		// Only a whole segment is a version, and it begins with v and a digit.
		{"https://h.example/vllm", chat, "/vllm/v1/chat/completions"},
		{"https://h.example/v", chat, "/v/v1/chat/completions"},
		{"https://h.example/mv1", chat, "/mv1/v1/chat/completions"},
		{"https://h.example/V1", chat, "/V1/v1/chat/completions"},
		{"https://v1.example", chat, "/v1/chat/completions"},
		// openai counts with its slash only.
		{"https://h.example/openai/", chat, "/openai/chat/completions"},
		{"https://h.example/openai", chat, "/openai/v1/chat/completions"},
		{"https://h.example/my-openai/x", chat, "/my-openai/x/v1/chat/completions"},
		{"https://h.example/openai-proxy/", chat, "/openai-proxy/v1/chat/completions"},
		// Client paths.
		{"https://h.example/v1", "/v1", "/v1"},
		{"https://h.example/v1", "/v1/", "/v1/"},
		{"https://h.example/openai/v1", "/v2/rerank", "/openai/v1/v2/rerank"},
		{"https://h.example/v1", "/v1beta/models", "/v1/v1beta/models"},
		{"https://h.example", "/v1/models/meta-llama%2FLlama-3.1", "/v1/models/meta-llama%2FLlama-3.1"},
		{"https://h.example/a%20b", "/v1/models", "/a%20b/v1/models"},
		{"https://h.example", "", "/"},
		{"https://h.example", "/", "/"},
		{"https://h.example/v1", "", "/v1"},
		{"https://h.example/v1", "v1/chat", "/v1/chat"},
		{"https://h.example/v1", "/v1/chat?x=1", "/v1/chat"},
		{"https://h.example/v1", "/v1/chat#x", "/v1/chat"},
		{"https://h.example/v1", "//evil.example/v1", "/v1/evil.example/v1"},
		{"https://h.example/v1", "/v1//chat///completions", "/v1/chat/completions"},
		{"https://h.example/v1", "/v1/../../admin", "/v1/admin"},
		{"https://h.example/v1", "/../v1/chat", "/v1/chat"},
		{"https://h.example/v1", "/v1/./%2e/%2E%2e/.%2e/chat", "/v1/chat"},
		{"https://h.example/v1", "/v1/..%2f..%2fadmin/x", "/v1/x"},
		{"https://h.example/v1", `/v1/..\..\admin/x`, "/v1/x"},
		{"https://h.example/v1", "/v1/..%5cadmin/x", "/v1/x"},
		{"https://h.example/v1", "/v1/..;/admin", "/v1/admin"},
		{"https://h.example/v1", "/v1/a%0d%0ab/c\r\nd/e f/%zz/g", "/v1/g"},
		{"https://h.example/v1", "/v1/.../..a/a..", "/v1/.../..a/a.."},
	} {
		base, err := ParseBaseURL(c.base, nil)
		if err != nil {
			t.Errorf("%s: %v", c.base, err)
		} else if got := Join(base, nil, c.client); got != c.want {
			t.Errorf("Join(%s, %q) = %q, want %q", c.base, c.client, got, c.want)
		}
	}
}

// TestJoinVersioned: what a configuration says about /v1, and what is known of hosts.
func TestJoinVersioned(t *testing.T) {
	const chat = "/v1/chat/completions"
	yes, no := true, false
	for _, c := range []struct {
		base      string
		versioned *bool
		path      string
		want      string
	}{
		{"https://h.example", &no, chat, "/chat/completions"},
		{"https://h.example/api/", &no, chat, "/api/chat/completions"},
		{"https://h.example/api", &no, "/v1/messages", "/api/messages"},
		{"https://h.example/v2", &no, chat, "/v2/chat/completions"},
		{"https://h.example/v2/proxy", &yes, chat, "/v2/proxy/v1/chat/completions"},
		{"https://h.example/openai/x", &yes, chat, "/openai/x/v1/chat/completions"},
		{"https://h.example/api", &yes, chat, "/api/v1/chat/completions"},
		// Known hosts.
		{"https://models.github.ai/inference", nil, chat, "/inference/chat/completions"},
		{"https://models.github.ai/inference/", nil, "/v1/embeddings", "/inference/embeddings"},
		{"https://models.github.ai/orgs/o/inference", nil, chat, "/orgs/o/inference/chat/completions"},
		{"https://r.services.ai.azure.com/models?api-version=2024-05-01-preview", nil, chat, "/models/chat/completions"},
		{"https://r.services.ai.azure.com/openai/v1", nil, chat, "/openai/v1/chat/completions"},
		{"https://r.services.ai.azure.com/anthropic", nil, "/v1/messages", "/anthropic/v1/messages"},
		{"https://m.eastus2.inference.ai.azure.com", nil, chat, "/chat/completions"},
		{"https://m.eastus2.models.ai.azure.com/", nil, chat, "/chat/completions"},
		{"https://m.eastus2.models.ai.azure.com/v1", nil, chat, "/v1/chat/completions"},
		{"https://w.cloud.databricks.com/serving-endpoints", nil, chat, "/serving-endpoints/chat/completions"},
		{"https://adb-1.2.azuredatabricks.net/serving-endpoints/", nil, "/v1/embeddings", "/serving-endpoints/embeddings"},
		{"https://w.cloud.databricks.com/serving-endpoints/anthropic", nil, "/v1/messages", "/serving-endpoints/anthropic/v1/messages"},
		{"https://api.perplexity.ai", nil, chat, "/chat/completions"},
		{"https://api.perplexity.ai", nil, "/v1/responses", "/v1/responses"},
		{"https://api.perplexity.ai/v1", nil, "/v1/responses", "/v1/responses"},
		{"https://gateway.ai.cloudflare.com/v1/a/g/anthropic", nil, "/v1/messages", "/v1/a/g/anthropic/v1/messages"},
		{"https://gateway.ai.cloudflare.com/v1/a/g/anthropic/v1", nil, "/v1/messages", "/v1/a/g/anthropic/v1/messages"},
		{"https://gateway.ai.cloudflare.com/v1/a/g/compat", nil, chat, "/v1/a/g/compat/chat/completions"},
		// The configuration knows better, and other hosts are unknown.
		{"https://models.github.ai/inference", &yes, chat, "/inference/v1/chat/completions"},
		{"https://models.github.ai.example/inference", nil, chat, "/inference/v1/chat/completions"},
		{"https://xmodels.github.ai/inference", nil, chat, "/inference/v1/chat/completions"},
		{"https://services.ai.azure.com/models", nil, chat, "/models/v1/chat/completions"},
	} {
		base, err := ParseBaseURL(c.base, nil)
		if err != nil {
			t.Errorf("%s: %v", c.base, err)
		} else if got := Join(base, c.versioned, c.path); got != c.want {
			t.Errorf("Join(%s, %s) = %q, want %q", c.base, c.path, got, c.want)
		}
	}
}

func TestMergeQuery(t *testing.T) {
	type ps = []Param
	for _, c := range []struct {
		base       string
		configured []Param
		client     string
		want       string
	}{
		{"", nil, "", ""},
		{"api-version=2024-10-21", nil, "", "api-version=2024-10-21"},
		{"api-version=2024-10-21", nil, "beta=true", "api-version=2024-10-21&beta=true"},
		{"", nil, "beta=true", "beta=true"},
		{"", ps{{"a", "1"}}, "", "a=1"},
		{"", ps{{"a b", "1&2=3 ü+"}}, "", "a%20b=1%262%3D3%20%C3%BC%2B"},
		{"", ps{{"a", "1"}, {"a", "2"}}, "a=3", "a=1&a=2"},
		{"x=1&y=2", ps{{"z", "3"}}, "w=4", "x=1&y=2&z=3&w=4"},
		{"x=1&y=2", ps{{"x", "3"}}, "", "y=2&x=3"},
		{"x=a%2fb+c&Y=%7e", nil, "w", "x=a%2fb+c&Y=%7e&w"},
		{"x=1&", nil, "w=2", "x=1&w=2"},
		{"x=1&x=2", nil, "x=3", "x=1&x=2"},
		{"key=operator", nil, "", "key=operator"},
		{"", ps{{"key", "operator"}}, "key=client", "key=operator"},
		// The client cannot have its way with what is set, however it spells it.
		{"api-version=2024-10-21", nil, "api-version=x&b=1", "api-version=2024-10-21&b=1"},
		{"api-version=2024-10-21", nil, "api%2Dversion=x", "api-version=2024-10-21"},
		{"api-version=2024-10-21", nil, "API-Version=x", "api-version=2024-10-21"},
		{"a+b=1", nil, "a%20b=2", "a+b=1"},
		{"", ps{{"a", "1"}}, "%61=2&A=3", "a=1"},
		// Its credentials stay.
		{"", nil, "key=1&api_key=2&api-key=3&apikey=4&access_token=5&auth_token=6&token=7&ok=8", "ok=8"},
		{"", nil, "KEY=1&apiKey=2&%6bey=3&k%65y=4&subscription-key=5&x-api-key=6&x-goog-api-key=7", ""},
		{"", nil, "page_token=1&keys=2&max_tokens=3&after=4", "page_token=1&keys=2&max_tokens=3&after=4"},
		// Bytes of what passes are kept; what is ambiguous does not pass.
		{"", nil, "a=%7e%2F+b&c&d=&=e&&f=1=2", "a=%7e%2F+b&c&d=&f=1=2"},
		{"", nil, "a=%zz&b=%&%q=1&c=1", "c=1"},
		{"", nil, "a=1;key=2&b=3", "b=3"},
		{"", nil, "a=1 2&b=\x00&c=ü&d=#&e=1\r\n&f=6", "f=6"},
		{"", nil, "a=1&a=2", "a=1&a=2"},
		{"%zz=1", nil, "a=1", "%zz=1&a=1"}, // ParseBaseURL would not have it
	} {
		if got := MergeQuery(c.base, c.configured, c.client); got != c.want {
			t.Errorf("MergeQuery(%q, %v, %q)\ngot  %q\nwant %q", c.base, c.configured, c.client, got, c.want)
		}
	}
}
