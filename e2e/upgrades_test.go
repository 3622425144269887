package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
)

// upgrades: a server may answer a request as if it had no Upgrade header.
// Nothing of the offer reaches a provider.
func (h *hostile) upgrades(t *testing.T) {
	const begin = "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n"
	for _, test := range []struct{ name, header string }{
		{"Apache HttpClient 5.4", "Accept-Encoding: gzip, x-gzip, deflate\r\nUpgrade: TLS/1.2\r\nConnection: Upgrade\r\nUser-Agent: Apache-HttpClient/5.4.1 (Java/21.0.5)\r\n"},
		{"Apache HttpClient with keep-alive", "Connection: keep-alive\r\nUpgrade: TLS/1.2\r\nConnection: Upgrade\r\n"},
		{"Java's HttpClient", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"},
		{"TLS/1.3", "Connection: upgrade\r\nUpgrade: TLS/1.3\r\n"},
		{"several", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: TLS/1.3, h2c, weir/1\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"},
		{"several headers", "Connection: x-hop, upgrade\r\nX-Hop: 1\r\nUpgrade: weir\r\nUpgrade: TLS/1.2\r\n"},
		{"unknown", "Connection: Upgrade\r\nUpgrade: HTTP/9.9\r\n"},
		{"almost WebSocket", "Connection: Upgrade\r\nUpgrade: websockets\r\n"},
		{"empty", "Connection: Upgrade\r\nUpgrade:\r\n"},
		{"without Connection", "Upgrade: TLS/1.2\r\n"},
		{"without Upgrade", "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn := h.Dial()
			stream := bufio.NewReader(conn)
			// Twice: the connection is still open.
			for range 2 {
				body := `{"model":"p:m"}`
				if _, err := fmt.Fprintf(conn, "%s%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", begin, test.header, len(body), body); err != nil {
					t.Fatal(err)
				}
				a := readAnswer(t, stream)
				r := h.wantSent(t, a, "/v1/chat/completions", `{"model":"m"}`)
				for _, line := range r.RawHeader {
					name, _, _ := strings.Cut(strings.ToLower(line), ":")
					switch name {
					case "connection", "upgrade", "http2-settings", "x-hop":
						t.Errorf("p received %s", line)
					}
				}
			}
		})
	}

	const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
	const message = `the gateway does not support WebSocket: send this request as an HTTP POST, with "stream": true for a stream of events`
	for _, test := range []struct{ name, path, send string }{
		{"realtime", "/v1/realtime", "GET /v1/realtime?model=m HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + key + "\r\n"},
		// As Codex does, with its key and the protocol it wants.
		{"responses", "/v1/responses", "GET /v1/responses HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer client-secret\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Protocol: realtime\r\n" + key + "\r\n"},
		{"messages", "/v1/messages", "GET /v1/messages HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + key + "\r\n"},
		{"beside others", "/v1/responses", "GET /v1/responses HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket\r\n" + key + "\r\n"},
		{"by POST", "/v1/chat/completions", begin + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 15\r\n\r\n" + `{"model":"p:m"}`},
	} {
		t.Run("WebSocket, "+test.name, func(t *testing.T) {
			conn := h.Dial()
			if _, err := io.WriteString(conn, test.send); err != nil {
				t.Fatal(err)
			}
			a := readAnswer(t, bufio.NewReader(conn))
			wantRefusal(t, a, test.path, "upgrade_not_supported", message)
			if a.Header.Get("Upgrade") != "HTTP/1.1" || !strings.EqualFold(a.Header.Get("Connection"), "upgrade") {
				t.Errorf("Upgrade: %q, Connection: %q", a.Header.Get("Upgrade"), a.Header.Get("Connection"))
			}
			h.nothingSent(t)
		})
	}
}

// readAnswer reads one response of HTTP/1.1.
func readAnswer(t *testing.T, stream *bufio.Reader) gatewaytest.Response {
	t.Helper()
	resp, err := http.ReadResponse(stream, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return gatewaytest.Response{Status: resp.StatusCode, Header: resp.Header, Body: string(b), Err: err}
}
