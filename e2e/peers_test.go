package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestConnectionsPerAddress: an address that has as many connections as it may
// gets no more, silent ones count, others are served, and each end makes room.
func TestConnectionsPerAddress(t *testing.T) {
	t.Parallel()
	for _, serve := range []bool{false, true} {
		t.Run(fmt.Sprintf("serve %t", serve), func(t *testing.T) {
			p := recorder.Start(t, recorder.WithName("p"))
			config := fmt.Sprintf("limits: {max_client_connections_per_address: 3}\nproviders: [{id: p, base_url: %q}]\n", p.URL())
			var g *gatewaytest.Gateway
			if serve {
				g = gatewaytest.Serve(t, config).Gateway
			} else {
				g = gatewaytest.Start(t, config)
			}
			from := func(ip string) net.Conn {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
				conn, err := d.Dial("tcp", g.Address())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				_ = conn.SetDeadline(time.Now().Add(gatewaytest.Patience))
				return conn
			}
			const get = "GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n"
			served := func(conn net.Conn) bool {
				_, _ = io.WriteString(conn, get)
				b := make([]byte, len("HTTP/1.1 200"))
				n, _ := io.ReadFull(conn, b)
				return string(b[:n]) == "HTTP/1.1 200"
			}
			first := from("127.0.0.2")
			if !served(first) {
				t.Fatal("the first connection is not served")
			}
			silent := []net.Conn{from("127.0.0.2"), from("127.0.0.2")}
			// Which of a few at once are let in is not said; not more than three are.
			fourth := from("127.0.0.2")
			open := 0
			for _, conn := range append(silent, fourth) {
				if served(conn) {
					open++
				}
			}
			if open != 2 {
				t.Errorf("%d of 3 more connections are served", open)
			}
			if !served(from("127.0.0.3")) {
				t.Error("another address is not served")
			}
			if b := g.Admin("/healthz"); !strings.Contains(b, "\"limit\": \"client_connections_per_address\",\n      \"value\": 3,") || !strings.Contains(b, `"status": "ok"`) {
				t.Errorf("/healthz %s", b)
			}
			_ = first.Close()
			gatewaytest.Eventually(t, "room for another", func() bool {
				conn := from("127.0.0.2")
				defer conn.Close()
				return served(conn)
			})
		})
	}
}
