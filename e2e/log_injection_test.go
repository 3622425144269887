package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"unicode"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestLogInjection: nothing that a client or a provider sends makes a line of
// its own in a log, moves a terminal's cursor, or makes a line long.
func TestLogInjection(t *testing.T) {
	t.Parallel()
	const marker = "INJECTED"
	provider := recorder.Start(t)
	// Responses that are not HTTP, with the same in them.
	answers := []string{"HTTP/1.1 200 \x1b[2J" + marker + "\r\nX-\x1b: " + marker + "\r\n\r\n", "\x1b[2J" + marker + "\r\n\r\n"}
	var next atomic.Int64
	raw := recorder.StartRaw(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = io.WriteString(conn, answers[int(next.Add(1)-1)%len(answers)])
		_ = conn.Close()
	})
	g := gatewaytest.Start(t, fmt.Sprintf(`
envoy: {log_level: debug}
on_http_request:
  - type: ai-gateway
    config:
      model_selection: {strategy: ["ai.models.filter(m, m.id == string(req.body['x']) && int(string(req.body['x'])) > 0)", ai.models]}
      providers: [{id: p, base_url: %q, models: [{id: m}]}, {id: raw, base_url: "http://%s"}]
`, provider.URL(), strings.TrimPrefix(raw, "http://")), gatewaytest.Args("--log-level", "debug"))

	evil := "\u001b[2J\r\n" + `{"time":"2026-01-01T00:00:00Z","level":"ERROR","msg":"` + marker + `"}` + "\n\u202e\u2028\u0085\u009b" + marker
	long := strings.Repeat(marker, 4000)
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	for _, s := range []string{evil, long} {
		g.Post("/v1/chat/completions", `{"model":`+quoted(s)+`}`)
		g.Post("/v1/chat/completions", `{"model":`+quoted("p:"+s)+`}`)
		g.Post("/v1/chat/completions", `{"models":[`+quoted(s)+`,`+quoted("p:"+s)+`]}`)
		g.Post("/v1/chat/completions", `{"x":`+quoted(s)+`}`)
		g.Post("/v1/chat/completions", `{"model":"p:m"`+s)
		g.Post("/v1/audio/transcriptions", "--b\r\nContent-Disposition: form-data; name=model; "+s+"\r\n\r\nx\r\n--b--\r\n", "Content-Type", "multipart/form-data; boundary=b")
	}
	for _, raw := range []string{
		"GET /v1/\x1b[2J" + marker + " HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /v1/models/%1b%5b2J%0a" + marker + strings.Repeat("x", 3000) + " HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nX-Request-Id: \x1b[2J" + marker + "\r\nContent-Length: 2\r\n\r\n{}",
		"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nX-Request-Id: " + strings.Repeat(marker, 500) + "\r\nContent-Length: 2\r\n\r\n{}",
		"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: " + strings.Repeat(marker, 500) + "\r\nContent-Length: 2\r\n\r\n{}",
		"POST /v1/chat/completions HTTP/1.1\r\nHost: " + strings.Repeat(marker, 500) + "\r\nContent-Length: 2\r\n\r\n{}",
		"\x1b[2J" + marker + "\r\n\r\n",
	} {
		conn := g.Dial()
		_, _ = io.WriteString(conn, raw+"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
	for range answers {
		g.Post("/v1/chat/completions", `{"model":"raw:m"}`)
	}
	gatewaytest.Eventually(t, "all requests to be counted", func() bool {
		return scrape(t, g).sum("weir_requests_total") >= 20
	})
	if a := g.Post("/v1/chat/completions", `{"model":"p:m"}`); a.Status != 200 {
		t.Errorf("status %d %s", a.Status, a.Body)
	} else {
		loggedAs(t, g, a.Header)
	}
	const maxLine = 20 << 10 // Envoy says its configuration at debug; what is kept of a line is 8 KiB before it is escaped
	for what, text := range map[string]string{"access log": g.Stdout(), "log": g.Log()} {
		for line := range strings.Lines(text) {
			if len(line) > maxLine {
				t.Errorf("the %s has a line of %d bytes: %.300s", what, len(line), line)
			}
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Errorf("the %s has a line that is not its own: %.300q", what, line)
			}
			if fields["msg"] == marker {
				t.Errorf("the %s has a line of a client's: %.300q", what, line)
			}
			for _, r := range strings.TrimSuffix(line, "\n") {
				if !unicode.IsPrint(r) {
					t.Errorf("the %s holds %U: %.300q", what, r, line)
					break
				}
			}
		}
	}
}
