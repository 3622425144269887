package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// The limits of headers are those that are configured, to the header and to the
// byte, over both protocols.
func TestRequestHeaderLimits(t *testing.T) {
	p := recorder.Start(t)
	g := gatewaytest.Start(t, fmt.Sprintf("providers: [{id: p, base_url: %s}]\nlimits: {max_request_headers: 30, max_request_header_bytes: 8192}\n", p.URL()))
	const body = `{"model":"p:m"}`
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		// What counts beside the headers that are added: names and values.
		own := []string{":method", "POST", ":path", path, ":authority", "h", ":scheme", "http", "content-type", "application/json", "content-length", "15"}
		used := len(strings.Join(own, ""))
		for _, c := range []struct {
			name    string
			n, size int // of the headers that are added
			refused bool
		}{
			{"30 headers", 28, 1, false},
			{"31 headers", 29, 1, true},
			{"8192 bytes", 1, 8192 - used, false},
			{"8193 bytes", 1, 8193 - used, true},
		} {
			var added []string
			for i := range c.n {
				name := fmt.Sprintf("x-%02d", i)
				value := strings.Repeat("v", max(1, c.size-len(name)))
				added = append(added, name, value)
			}
			check := func(t *testing.T, status int, answer string) {
				t.Helper()
				want := errorBody(path, "request_too_large", "the request headers are larger than 8 KiB, or more than 30")
				switch {
				case c.refused && (status != 431 || answer != want):
					t.Errorf("response %d %s\nwant 431 %s", status, answer, want)
				case !c.refused && path == "/v1/chat/completions" && status != 200, !c.refused && status == 431:
					t.Errorf("response %d %s", status, answer)
				}
			}
			t.Run("HTTP/1.1 "+path+" "+c.name, func(t *testing.T) {
				conn := g.Dial()
				_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 15\r\n", path)
				for i := 0; i < len(added); i += 2 {
					_, _ = fmt.Fprintf(conn, "%s: %s\r\n", added[i], added[i+1])
				}
				_, _ = io.WriteString(conn, "\r\n"+body)
				a := answers(t, conn, 1)[0]
				check(t, a.Status, a.Body)
			})
			t.Run("HTTP/2 "+path+" "+c.name, func(t *testing.T) {
				status, answer, err := speak(g.Dial(), []frames{{headers: append(append([]string{}, own...), added...)}, {data: body, end: true}}, "")
				if err != nil {
					t.Fatal(err)
				}
				check(t, status, answer)
			})
		}
	}
}

// A body whose length is over the limit is refused before it is sent.
func TestDeclaredLengthOverLimit(t *testing.T) {
	p := recorder.Start(t)
	g := gatewaytest.Start(t, fmt.Sprintf("max_body_bytes: 1048576\nproviders: [{id: p, base_url: %s}]\n", p.URL()))
	const message = "the request body is larger than 1048576 bytes"
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		for _, length := range []string{"1048577", "33554432", "9223372036854775807"} {
			for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
				t.Run(fmt.Sprintf("HTTP/1.1 %s %s %q", path, length, expect), func(t *testing.T) {
					conn := g.Dial()
					_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %s\r\n%s\r\n", path, length, expect)
					n := 1
					if expect != "" {
						n = 2 // Envoy says 100 before it asks anybody
					}
					wantRefusal(t, answers(t, conn, n)[n-1], path, "request_too_large", message)
				})
			}
			t.Run("HTTP/2 "+path+" "+length, func(t *testing.T) {
				conn := g.Dial()
				f := begin(conn)
				headers(f, 1, []string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "h", "content-type", "application/json", "content-length", length}, false)
				status, answer := 0, ""
				for ended := false; !ended; {
					frame, err := f.ReadFrame()
					if err != nil {
						t.Fatal(err)
					}
					switch frame := frame.(type) {
					case *h2.MetaHeadersFrame:
						_, _ = fmt.Sscan(frame.PseudoValue("status"), &status)
					case *h2.DataFrame:
						answer += string(frame.Data())
						ended = frame.StreamEnded()
					case *h2.RSTStreamFrame:
						t.Fatal(frame)
					}
				}
				if want := errorBody(path, "request_too_large", message); status != http.StatusRequestEntityTooLarge || answer != want {
					t.Errorf("response %d %s\nwant 413 %s", status, answer, want)
				}
			})
		}
	}
	if n := len(p.Requests()); n > 0 {
		t.Errorf("p received %d requests", n)
	}
}
