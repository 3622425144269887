package e2e

import (
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// notReturned are headers of a provider that speak for an origin, or carry a
// credential or ask for one.
var notReturned = []string{
	"Set-Cookie", "Set-Cookie2", "Strict-Transport-Security", "Alt-Svc", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials",
	"Access-Control-Expose-Headers", "Clear-Site-Data", "Nel", "Report-To", "Reporting-Endpoints", "Content-Location", "Link", "Refresh",
	"Proxy-Authenticate", "Proxy-Authentication-Info", "Authentication-Info", "Authorization", "X-Api-Key", "Public-Key-Pins", "Expect-Ct",
	"Content-Security-Policy", "Content-Security-Policy-Report-Only", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Permissions-Policy",
	"Referrer-Policy", "X-Frame-Options", "Service-Worker-Allowed", "Sourcemap", "X-Accel-Redirect", "Accept-Ch", "Origin-Agent-Cluster",
	"X-Envoy-Ratelimited", "X-Envoy-Upstream-Service-Time", "X-Weir-Cause", "X-Weir-Provider-Key", "X-Request-Headers", "X-Echo", "Your-Key",
}

// wantReturned are headers of a provider that clients and operators use.
var wantReturned = map[string]string{
	"X-Request-Id": "req_1", "Request-Id": "req_2", "Openai-Processing-Ms": "12", "Openai-Organization": "org", "Openai-Version": "2020-10-01",
	"X-Ratelimit-Limit-Requests": "60", "X-Ratelimit-Remaining-Tokens": "9", "Anthropic-Ratelimit-Tokens-Reset": "2026-01-01T00:00:00Z",
	"Retry-After": "7", "Retry-After-Ms": "7000", "X-Should-Retry": "false", "Cf-Ray": "1-FRA", "Apim-Request-Id": "a", "X-Ms-Region": "East US", "X-Groq-Region": "x",
}

const secretOfP = "sk-Provider/Secret+0123456789="

// TestReturned: what a provider sends back beside its response.
func TestReturned(t *testing.T) {
	p := recorder.Start(t, recorder.WithName("p"))
	g := gatewaytest.Start(t, fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      failover_on: [429]
      providers:
        - {id: p, base_url: %[1]s, api_keys: [{value: %[2]q}]}
        - {id: some, base_url: %[1]s, api_keys: [{value: %[2]q}], forward: {response_headers: [x-echo, x-of-*]}}
        - {id: every, base_url: %[1]s, api_keys: [{value: %[2]q}], forward: {response_headers: all}}
`, p.URL(), secretOfP), gatewaytest.Secrets(secretOfP))
	headers := func(status int) recorder.Response {
		h := http.Header{"X-Of-Provider": {"yes"}}
		for _, name := range append(notReturned, "Www-Authenticate") {
			h.Set(name, "evil")
		}
		for name, value := range wantReturned {
			h.Set(name, value)
		}
		h.Set("X-Key", "Bearer "+secretOfP)
		return recorder.Status(status, h, `{"choices":[{"message":{"content":"hello"}}]}`)
	}
	for provider, also := range map[string][]string{"p": nil, "some": {"X-Echo", "X-Of-Provider"}, "every": {"X-Echo", "X-Of-Provider", "Your-Key", "X-Request-Headers"}} {
		for _, status := range []int{200, 400, 401, 403, 404, 429, 500} {
			t.Run(fmt.Sprint(provider, status), func(t *testing.T) {
				p.Script(headers(status))
				a := g.Post("/v1/chat/completions", `{"model":"`+provider+`:m"}`)
				if a.Status != status || !strings.Contains(a.Body, "hello") {
					t.Fatalf("response %d %s %v", a.Status, a.Body, a.Header)
				}
				passes := map[string]bool{}
				for _, name := range also {
					passes[name] = true
				}
				for _, name := range append(notReturned, "X-Of-Provider") {
					if got := a.Header.Get(name); (got != "") != passes[name] {
						t.Errorf("the client received %s: %q", name, got)
					}
				}
				for name, want := range wantReturned {
					if got := a.Header.Get(name); got != want {
						t.Errorf("the client received %s: %q, want %q", name, got, want)
					}
				}
				challenge := ""
				if status == 401 {
					challenge = "Bearer"
				}
				if got := a.Header.Get("Www-Authenticate"); got != challenge {
					t.Errorf("WWW-Authenticate: %q, want %q", got, challenge)
				}
				for name, values := range a.Header {
					if strings.Contains(strings.Join(values, " "), "Provider/Secret") {
						t.Errorf("the client received %s: %q", name, values)
					}
				}
			})
		}
	}
	t.Run("the key in a header that passes", func(t *testing.T) {
		p.Script(recorder.Status(403, http.Header{"X-Request-Id": {"for " + secretOfP}, "Openai-Key": {"Bearer " + secretOfP}, "Request-Id": {"mine"}}, "no"))
		a := g.Post("/v1/chat/completions", `{"model":"p:m"}`)
		if a.Status != 403 || strings.Contains(fmt.Sprint(a.Header), "Secret") || a.Header.Get("Request-Id") != "mine" {
			t.Errorf("response %d %v", a.Status, a.Header)
		}
	})
}

// TestKeyInFailures: a provider that repeats the key which it refuses.
func TestKeyInFailures(t *testing.T) {
	p := recorder.Start(t, recorder.WithName("p"))
	h2 := recorder.Start(t, recorder.WithName("h2"), recorder.WithTLS())
	g := gatewaytest.Start(t, fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      failover_on: [503]
      providers:
        - {id: p, base_url: %[1]s, api_keys: [{value: %[2]q}]}
        - {id: h2, base_url: %[3]s, api_keys: [{value: %[2]q}], http2: true, tls: {ca_file: %[4]s}}
        - {id: extra, base_url: %[1]s, headers: {x-extra-token: "Token %[2]s"}}
        - {id: named, base_url: "http://localhost:%[5]s", api_keys: [{value: %[2]q}]}
        - {id: claude, supported_api_surfaces: [{format: anthropic}], base_url: %[1]s, api_keys: [{value: %[2]q}]}
`, p.URL(), secretOfP, h2.URL(), h2.CA().File(t), port(t, p)), gatewaytest.Secrets(secretOfP))
	escaped := strings.ReplaceAll(secretOfP, "/", `\/`)
	large := strings.Repeat("x", 300_000)
	for name, body := range map[string]string{
		"nothing":         `{"error":{"message":"Incorrect API key provided: sk-Pr***789"}}`,
		"raw":             `{"error":{"message":"Incorrect API key provided: KEY. You can find …"}}`,
		"escaped":         `{"error":{"message":"bad key ` + escaped + `"}}`,
		"in a URL":        `no: /v1?key=` + url.QueryEscape(secretOfP),
		"Basic":           `Authorization: Basic ` + base64.StdEncoding.EncodeToString([]byte("user:"+secretOfP)),
		"twice":           "KEY KEY",
		"nothing else":    "KEY",
		"in the middle":   large + "KEY" + large,
		"at the end":      large + "KEY",
		"empty":           "",
		"the beginning":   "half of it: " + secretOfP[:12],
		"a stream's form": "data: {\"error\":\"KEY\"}\n\n",
	} {
		body = strings.ReplaceAll(body, "KEY", secretOfP)
		want := strings.NewReplacer(secretOfP, "[redacted]", escaped, "[redacted]", url.QueryEscape(secretOfP), "[redacted]").Replace(body)
		for _, status := range []int{400, 401, 403, 404, 500, 503} {
			for model, provider := range map[string]*recorder.Provider{"p": p, "h2": h2, "extra": p, "named": p} {
				t.Run(fmt.Sprint(name, " ", status, " ", model), func(t *testing.T) {
					provider.Script(recorder.Status(status, nil, body))
					a := g.Post("/v1/chat/completions", `{"model":"`+model+`:m"}`)
					if a.Status != status || a.Err != nil || name != "Basic" && a.Body != want {
						t.Errorf("response %d %v\n%.300s\nwant\n%.300s", a.Status, a.Err, a.Body, want)
					}
					if name == "Basic" && !strings.Contains(a.Body, "[redacted]") || strings.Contains(a.Body, secretOfP) {
						t.Errorf("response %.300s", a.Body)
					}
				})
			}
		}
	}
	t.Run("in single bytes", func(t *testing.T) {
		p.Script(func(x *recorder.Exchange) {
			x.WriteHeader(401)
			for _, c := range "a " + secretOfP + " b" {
				_, _ = io.WriteString(x, string(c))
				x.Flush()
			}
		})
		a := g.Post("/v1/chat/completions", `{"model":"p:m"}`)
		if a.Status != 401 || a.Body != "a [redacted] b" || a.Err != nil {
			t.Errorf("response %d %q %v", a.Status, a.Body, a.Err)
		}
	})
	t.Run("in a failure that is tried again", func(t *testing.T) {
		p.Script(recorder.Status(503, nil, secretOfP))
		h2.Script(recorder.Status(401, nil, "for "+secretOfP))
		a := g.Post("/v1/chat/completions", `{"models":["p:m","h2:m"]}`)
		if a.Status != 401 || a.Body != "for [redacted]" || a.Header.Get("X-Weir-Attempts") != "2" {
			t.Errorf("response %d %q %v", a.Status, a.Body, a.Header)
		}
	})
	for encoding, want := range map[string]string{"gzip": "the key is [redacted].", "deflate": "the key is [redacted].", "br": "the provider compressed this error as", "gzip, br": "the provider compressed this error as"} {
		t.Run("compressed as "+encoding, func(t *testing.T) {
			p.Script(func(x *recorder.Exchange) {
				x.Header().Set("Content-Encoding", encoding)
				x.WriteHeader(401)
				var z io.WriteCloser = gzip.NewWriter(x)
				if encoding == "deflate" {
					z = zlib.NewWriter(x)
				}
				_, _ = io.WriteString(z, "the key is "+secretOfP+".")
				_ = z.Close()
			})
			a := g.Post("/v1/chat/completions", `{"model":"p:m"}`)
			if a.Status != 401 || a.Header.Get("Content-Encoding") != "" || !strings.Contains(a.Body, want) {
				t.Errorf("response %d %q %v", a.Status, a.Body, a.Header)
			}
		})
	}
	t.Run("compressed, in the shape of the request's API", func(t *testing.T) {
		p.Script(func(x *recorder.Exchange) {
			x.Header().Set("Content-Encoding", "br")
			x.WriteHeader(401)
			_, _ = io.WriteString(x, secretOfP)
		})
		a := g.Post("/v1/messages", `{"model":"claude:m","max_tokens":1,"messages":[]}`)
		if a.Status != 401 || !strings.HasPrefix(a.Body, `{"type":"error"`) {
			t.Errorf("response %d %q %v", a.Status, a.Body, a.Header)
		}
	})
	t.Run("cut", func(t *testing.T) {
		p.Script(func(x *recorder.Exchange) {
			x.Header().Set("Content-Length", "1000")
			x.WriteHeader(500)
			_, _ = io.WriteString(x, "the key is "+secretOfP[:20])
			x.Flush()
			x.Abort()
		})
		a := g.Post("/v1/chat/completions", `{"model":"p:m"}`)
		if strings.Contains(a.Body, "sk-") || (a.Status != 500 || a.Err == nil) && a.Status != 502 {
			t.Errorf("response %d %q %v", a.Status, a.Body, a.Err)
		}
	})
}

// TestStatusHeaders: what RFC 9110 asks for beside some statuses.
func TestStatusHeaders(t *testing.T) {
	p := recorder.Start(t)
	g := gatewaytest.Start(t, fmt.Sprintf(`
access_keys: [{name: team, value: key-of-the-team-0123}]
providers: [{id: p, base_url: %s}]
`, p.URL()))
	const key = "Bearer key-of-the-team-0123"
	for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1/models"} {
		for name, header := range map[string][]string{"no key": nil, "another": {"Authorization", "Bearer another"}, "Basic": {"Authorization", "Basic dTpw"}} {
			method := "POST"
			if path == "/v1/models" {
				method = "GET"
			}
			a := g.Send(method, path, strings.NewReader(`{"model":"p:m"}`), header...)
			if a.Status != 401 || a.Header.Get("Www-Authenticate") != "Bearer" {
				t.Errorf("%s with %s: response %d %v", path, name, a.Status, a.Header)
			}
		}
	}
	a := g.Post("/v1/chat/completions", `{"model":"p:m"}`, "Authorization", key, "Content-Encoding", "gzip")
	if a.Status != 415 || a.Header.Get("Accept-Encoding") != "identity" || a.Header.Get("Www-Authenticate") != "" {
		t.Errorf("response %d %v", a.Status, a.Header)
	}
	conn := g.Dial()
	_, _ = io.WriteString(conn, "GET /v1/responses HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if a := answers(t, conn, 1)[0]; a.Status != 426 || a.Header.Get("Upgrade") != "HTTP/1.1" {
		t.Errorf("response %d %v", a.Status, a.Header)
	}
	if a := g.Post("/v1/chat/completions", `{"model":"p:m"}`, "Authorization", key); a.Status != 200 || a.Header.Get("Www-Authenticate") != "" || a.Header.Get("Accept-Encoding") != "" {
		t.Errorf("response %d %v", a.Status, a.Header)
	}
}
