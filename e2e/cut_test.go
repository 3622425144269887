package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestCut: when Envoy closes a connection of HTTP/1.1. A response that breaks off
// ends at once; a client that has something left to read gets to read it.
func TestCut(t *testing.T) {
	p := recorder.Start(t, recorder.WithName("p"))
	const maxBody = 1 << 20
	const key = "key-of-a-client-0123456789"
	g := gatewaytest.Start(t, fmt.Sprintf(`
max_body_bytes: %d
access_keys: [{name: k, value: %s}]
providers: [{id: p, base_url: %q, models: [{id: m}]}]
limits: {client_buffer_bytes: 16777216}
`, maxBody, key, p.URL()))
	head := func(key, more string) string {
		return "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nAuthorization: Bearer " + key + "\r\n" + more
	}
	request := func(body string) string {
		return head(key, fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body))
	}
	send := func(t *testing.T, conn net.Conn, text string) {
		t.Helper()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
	waited := func() int {
		t.Helper()
		return g.EnvoyStat("^http.weir.downstream_cx_delayed_close_timeout$")
	}

	const whole, stream = `{"model":"p:m"}`, `{"model":"p:m","stream":true}`
	t.Run("cut", func(t *testing.T) {
		before := waited()
		for _, test := range []struct {
			name, body string
			answer     recorder.Response
		}{
			{"stream", stream, recorder.CutMidStream(2)},
			{"whole", whole, recorder.CutMidBody(5)},
			{"large", whole, recorder.Status(200, http.Header{"Content-Length": {"9000000"}}, `{"id":"`+strings.Repeat("a", 8<<20))},
		} {
			t.Run(test.name, func(t *testing.T) {
				conn := g.Dial()
				stream := bufio.NewReader(conn)
				// Responses that end well leave the connection open.
				for _, body := range []string{whole, test.body} {
					send(t, conn, request(body))
					resp, err := http.ReadResponse(stream, nil)
					if err != nil {
						t.Fatal(err)
					}
					b, err := io.ReadAll(resp.Body)
					if err != nil || resp.StatusCode != 200 || resp.Close {
						t.Errorf("a response that ends well: %d %v %.300q, closes: %v", resp.StatusCode, err, b, resp.Close)
					}
				}
				p.Reset()
				p.Script(test.answer)
				send(t, conn, request(test.body))
				resp, err := http.ReadResponse(stream, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadAll(resp.Body); err == nil {
					t.Error("the response that breaks off looks complete")
				}
				if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
					t.Errorf("after the response: %v, %.300q", err, rest)
				}
			})
		}
		// Envoy has not waited for the clients, which see the end by it.
		if now := waited(); now != before {
			t.Errorf("Envoy waited %d times before it closed a connection", now-before)
		}
	})
	p.Reset()

	t.Run("refused early, read late", func(t *testing.T) {
		gatewaytest.Eventually(t, "no connections", func() bool { return g.EnvoyStat("^http.weir.downstream_cx_active$") == 0 })
		part := strings.Repeat("a", 256<<10)
		chunk := fmt.Sprintf("%x\r\n%s\r\n", len(part), part)
		tests := []struct {
			name, head, body string
			times            int // that the body is sent
			code             string
		}{
			{"413, by its length", head(key, fmt.Sprintf("Content-Length: %d\r\n\r\n", 40*maxBody)), part, 100, "request_too_large"},
			{"413, in chunks", head(key, "Transfer-Encoding: chunked\r\n\r\n"), chunk, 100, "request_too_large"},
			{"401", head("another-key", fmt.Sprintf("Content-Length: %d\r\n\r\n", maxBody)), part, 3, "invalid_api_key"},
			{"401, in chunks", head("another-key", "Transfer-Encoding: chunked\r\n\r\n"), chunk, 3, "invalid_api_key"},
		}
		conns := make([]net.Conn, len(tests))
		for i, test := range tests {
			conns[i] = g.Dial()
			go func() { // until there is no room for more
				_, err := io.WriteString(conns[i], test.head)
				for range test.times {
					if err == nil {
						_, err = io.WriteString(conns[i], test.body)
					}
				}
			}()
		}
		// The clients read when the gateway has given up on all of them.
		gatewaytest.Eventually(t, "requests", func() bool { return g.EnvoyStat("^http.weir.downstream_rq_4xx$") >= len(tests) })
		gatewaytest.Eventually(t, "the ends of connections", func() bool { return g.EnvoyStat("^http.weir.downstream_cx_active$") == 0 })
		for i, test := range tests {
			a := readAnswer(t, bufio.NewReader(conns[i]))
			if a.Status != specified[test.code].status || a.Err != nil || !strings.Contains(a.Body, `"code":"`+test.code+`"`) || !strings.HasSuffix(a.Body, "}}") {
				t.Errorf("%s: response %d %v %s", test.name, a.Status, a.Err, a.Body)
			}
		}
		if r := p.Requests(); len(r) > 0 {
			t.Errorf("p received %d requests", len(r))
		}
	})
}
