package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestClientTimeouts: connections on which nothing happens end.
func TestClientTimeouts(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t, recorder.WithName("p"))
	g := gatewaytest.Start(t, fmt.Sprintf("limits: {client_headers_timeout: 1s, client_body_timeout: 1500ms, client_idle_timeout: 1200ms}\n"+
		"providers: [{id: p, base_url: %q}]\n", p.URL()))
	const head = "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n"
	tooSlow := errorBody("", "timeout", "the request did not arrive in time")
	var all sync.WaitGroup
	defer all.Wait()
	for name, c := range map[string]struct {
		send  string
		after string // again and again
		want  string
	}{
		"silent":               {"", "", ""},
		"the first bytes":      {"POS", "", ""},
		"half of a TLS hello":  {"\x16\x03\x01\x02\x00\x01\x00", "", ""},
		"headers":              {head + "X-A:", "a", tooSlow},
		"a trickling body":     {head + "\r\n", "a", tooSlow},
		"a silent body":        {head + "\r\n", "", tooSlow},
		"idle after a request": {"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n", "", `"object":"list"`},
	} {
		all.Go(func() {
			conn := g.Dial()
			_, _ = io.WriteString(conn, c.send)
			done := make(chan struct{})
			defer close(done)
			if c.after != "" {
				all.Go(func() {
					for {
						select {
						case <-done:
							return
						case <-time.After(20 * time.Millisecond):
							if _, err := io.WriteString(conn, c.after); err != nil {
								return
							}
						}
					}
				})
			}
			if got := ended(t, conn); c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("%s: %q", name, got)
			}
		})
	}
	all.Go(func() { // HTTP/2 without a stream
		conn := g.Dial()
		_, _ = io.WriteString(conn, h2.ClientPreface)
		f := h2.NewFramer(conn, conn)
		_ = f.WriteSettings()
		_ = f.WriteSettingsAck()
		goneAway := false
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				if !goneAway {
					t.Errorf("HTTP/2 ends without GOAWAY: %v", err)
				}
				return
			}
			if _, ok := frame.(*h2.GoAwayFrame); ok {
				goneAway = true
			}
		}
	})
}

// TestHandshakeTimeout: so do connections whose TLS handshake does not end.
func TestHandshakeTimeout(t *testing.T) {
	t.Parallel()
	ca := recorder.NewCA(t)
	dir := t.TempDir()
	pair := newPair(t, ca)
	write(t, filepath.Join(dir, "tls.crt"), pair.cert)
	write(t, filepath.Join(dir, "tls.key"), pair.key)
	g := gatewaytest.Start(t, fmt.Sprintf("limits: {client_headers_timeout: 2s}\ntls: {cert_file: %s/tls.crt, key_file: %s/tls.key}\n", dir, dir))
	var slow sync.WaitGroup
	for name, send := range map[string]string{"nothing": "", "half a hello": clientHello()[:40], "a hello": clientHello()} {
		conn := g.Dial()
		slow.Go(func() {
			_, _ = io.WriteString(conn, send)
			if got := ended(t, conn); name != "a hello" && got != "" {
				t.Errorf("%s: %q", name, got)
			}
		})
	}
	slow.Wait()
	conn := tls.Client(g.Dial(), &tls.Config{RootCAs: ca.Pool(), ServerName: "gateway.internal"})
	if err := conn.Handshake(); err != nil {
		t.Error(err)
	}
}

// TestConnectionAge: a connection that is old ends between requests, and no
// request is lost, over HTTP/1.1 and HTTP/2; one that runs is not cut.
func TestConnectionAge(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t, recorder.WithName("p"))
	g := gatewaytest.Start(t, fmt.Sprintf("limits: {max_client_connection_age: 500ms}\nproviders: [{id: p, base_url: %q}]\n", p.URL()))
	gate := make(chan struct{})
	p.Script(recorder.Gated(gate))
	stream, err := http.Post(g.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"p:m","stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()

	for name, c := range map[string]*http.Client{"HTTP/1.1": http1(t), "HTTP/2": http2(t)} {
		connections := 0
		c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			connections++
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		}
		// A request that the client must not send again by itself.
		sent := 0
		gatewaytest.Eventually(t, "three connections", func() bool {
			body := io.MultiReader(strings.NewReader(`{"model":"p:m"}`))
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+"/v1/chat/completions", body)
			req.Header.Set("Content-Type", "application/json")
			resp, err := c.Do(req)
			if err != nil {
				t.Fatalf("%s: request %d: %v", name, sent, err)
			}
			b, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || !strings.Contains(string(b), p.ResponseText("m")) {
				t.Fatalf("%s: request %d: %q, %v", name, sent, b, err)
			}
			sent++
			return connections >= 3
		})
		if sent < 5 {
			t.Errorf("%s: %d requests on %d connections", name, sent, connections)
		}
	}
	close(gate)
	lines, last := bufio.NewScanner(stream.Body), ""
	for lines.Scan() {
		if lines.Text() != "" {
			last = lines.Text()
		}
	}
	if lines.Err() != nil || last != "data: [DONE]" {
		t.Errorf("the stream that was running ends with %q, %v", last, lines.Err())
	}
}
