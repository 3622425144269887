package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestWire: what clients write in unusual forms reaches the provider, and the log has the
// client's words, without secrets.
func TestWire(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t, recorder.WithName("p"))
	const key = "key-0123456789-abcdef"
	g := gatewaytest.Start(t, fmt.Sprintf(`
access_keys: [{name: app, value: %s}]
providers:
  - {id: p, base_url: %s, models: [{id: m}, {id: 深度/chat}]}
`, key, p.URL()))
	const chat, transcriptions = "/v1/chat/completions", "/v1/audio/transcriptions"
	form := strings.ReplaceAll("--b|Content-Disposition: form-data; name=\"model\"||m|"+
		`--b|Content-Disposition: form-data; name="file"; filename="a \"b\" \\ c.wav"|Content-Type: audio/wav||x|--b--|`, "|", "\r\n")
	long := "/v1/" + strings.Repeat("x", 2000)
	for _, c := range []struct {
		name, path, body string
		headers          []string
		status           int
		sent             http.Header // to the provider
		log              string      // method, path, and the client's id
	}{
		{"no id", chat, `{"model":"m"}`, nil, 200, http.Header{"X-Client-Request-Id": nil}, "POST /v1/chat/completions "},
		{"an id", chat + "?api-version=secret", `{"model":"m"}`, []string{"X-Request-Id: client-7f3a"}, 200,
			http.Header{"X-Client-Request-Id": {"client-7f3a"}}, "POST /v1/chat/completions client-7f3a"},
		{"two ids", chat, `{"model":"m"}`, []string{"X-Request-Id: a", "X-Client-Request-Id: b", "X-Weir-Client-Request-Id: c"}, 200,
			http.Header{"X-Client-Request-Id": {"b"}}, "POST /v1/chat/completions a"},
		{"hostile ids", chat, `{"model":"m"}`, []string{"X-Request-Id: ${jndi:ldap://x}", "X-Client-Request-Id: \x80<script>"}, 200,
			http.Header{"X-Client-Request-Id": nil}, "POST /v1/chat/completions "},
		{"a long id", chat, `{"model":"m"}`, []string{"X-Request-Id: " + strings.Repeat("a", 3000)}, 200,
			http.Header{"X-Client-Request-Id": nil}, "POST /v1/chat/completions "},
		{"the key as an id", chat, `{"model":"m"}`, []string{"X-Request-Id: " + key}, 200,
			http.Header{"X-Client-Request-Id": nil}, "POST /v1/chat/completions "},
		{"a charset", chat, `{"model":"m"}`, []string{`Content-Type: Application/JSON; charset="UTF8"`}, 200,
			http.Header{"Content-Type": {"application/json"}}, "POST /v1/chat/completions "},
		{"another charset", chat, `{"model":"m"}`, []string{"Content-Type: application/json; charset=latin1"}, 400, nil, "POST /v1/chat/completions "},
		{"quotes in a file name", transcriptions, form, []string{"Content-Type: multipart/form-data; boundary=b"}, 200,
			http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}, "POST /v1/audio/transcriptions "},
		{"unknown path", "/v1/nothing?key=" + key, `{}`, []string{"X-Request-Id: a"}, 404, nil, "POST /v1/nothing a"},
		{"long path", long, `{}`, nil, 404, nil, "POST " + long[:256] + " "},
		{"the key in the path", "/v1/" + key + "/x", `{}`, nil, 404, nil, "POST /v1/[redacted]/x "},
		{"the key in the path, encoded", "/v1/%6b" + key[1:] + "/x", `{}`, nil, 404, nil, "POST [redacted] "},
		{"no key", chat, `{"model":"m"}`, []string{"Authorization: ", "X-Request-Id: b"}, 401, nil, "POST /v1/chat/completions b"},
		{"too large", chat, `{"model":"m"}`, []string{"X-Large: " + strings.Repeat("x", 100_000)}, 431, nil, "  "}, // Envoy does not read on
	} {
		t.Run(c.name, func(t *testing.T) {
			p.Reset()
			seen := len(requestLines(t, g.Stdout()))
			headers := []string{"Authorization", "Bearer " + key}
			for _, h := range c.headers {
				name, value, _ := strings.Cut(h, ": ")
				headers = append(headers, name, value)
			}
			a := g.Post(c.path, c.body, headers...)
			if a.Status != c.status {
				t.Fatalf("response %d %s", a.Status, a.Body)
			}
			if c.status == 200 {
				got := p.Last(t)
				for name, want := range c.sent {
					if fmt.Sprint(got.Header[name]) != fmt.Sprint(want) {
						t.Errorf("the provider received %s: %q, want %q", name, got.Header[name], want)
					}
				}
				for name := range got.Header {
					if strings.HasPrefix(name, "X-Weir") {
						t.Errorf("the provider received %s: %q", name, got.Header[name])
					}
				}
				if string(got.Body) != c.body {
					t.Errorf("the provider received %q", got.Body)
				}
			}
			var lines []logLine
			gatewaytest.Eventually(t, "the line of the request", func() bool {
				lines = requestLines(t, g.Stdout())
				return len(lines) > seen
			})
			if l := lines[len(lines)-1]; l.Method+" "+l.Path+" "+l.ClientID != c.log {
				t.Errorf("logged %q %q %q, want %q", l.Method, l.Path, l.ClientID, c.log)
			}
		})
	}
	t.Run("headers of the response", func(t *testing.T) {
		p.Script(recorder.Status(200, http.Header{"Openai-Organization": {"组织"}, "X-Ratelimit-Reset": {"\xe9\xff"}, "Content-Type": {"application/json"}},
			`{"choices":[{"message":{"content":"hello"}}]}`))
		a := g.Post(chat, `{"model":"深度/chat"}`, "Authorization", "Bearer "+key)
		if a.Status != 200 || !strings.Contains(a.Body, "hello") {
			t.Fatalf("response %d %s", a.Status, a.Body)
		}
		if got := a.Header.Get("X-Weir-Model"); got != "%E6%B7%B1%E5%BA%A6/chat" {
			t.Errorf("x-weir-model: %q", got)
		}
		if got := a.Header.Get("Openai-Organization"); got != "组织" {
			t.Errorf("openai-organization: %q", got)
		}
	})
	if strings.Contains(g.Stdout()+g.Log(), key) {
		t.Error("a log has the key")
	}
}

// requestLines returns the lines of requests.
func requestLines(t *testing.T, text string) (out []logLine) {
	for _, l := range parseLog(t, text) {
		if l.Kind == "request" {
			out = append(out, l)
		}
	}
	return out
}
