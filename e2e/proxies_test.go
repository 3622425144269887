package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestProxies: whose address is the client's, for expressions and for the log.
// A provider sees none of it.
func TestProxies(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t, recorder.WithName("p"))
	type ask struct {
		from, begin string   // the connection's address, and what it begins with
		xff         []string // X-Forwarded-For
		want        string   // the client's address; empty: the connection is closed
	}
	const v1 = "PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + "\xcb\x00\x71\x08" + "\xc0\x00\x02\x01" + "\x12\x67\x01\xbb"
	v2local := "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	for _, test := range []struct {
		name, config string
		asks         []ask
	}{
		{"none", "", []ask{
			{"127.0.0.1", "", nil, "127.0.0.1"},
			{"127.0.0.1", "", []string{"203.0.113.7"}, "127.0.0.1"},
			{"127.0.0.2", "", []string{"10.0.0.1, 203.0.113.7"}, "127.0.0.2"},
		}},
		{"hops", "xff_num_trusted_hops: 2", []ask{
			{"127.0.0.1", "", []string{"6.6.6.6, 203.0.113.7, 10.0.0.2"}, "203.0.113.7"},
			{"127.0.0.1", "", []string{"6.6.6.6", "203.0.113.7", "10.0.0.2"}, "203.0.113.7"},
			{"127.0.0.2", "", []string{"203.0.113.7, 10.0.0.2"}, "203.0.113.7"},
			{"127.0.0.1", "", []string{"2001:db8::7, 10.0.0.2"}, "2001:db8::7"},
			// Not by all of the proxies.
			{"127.0.0.2", "", []string{"6.6.6.6"}, "127.0.0.2"},
			{"127.0.0.2", "", nil, "127.0.0.2"},
			{"127.0.0.2", "", []string{"nobody, 10.0.0.2"}, "127.0.0.2"},
		}},
		{"networks", `trusted_proxies: [127.0.0.1, 10.0.0.0/8, "fd00::/8"]`, []ask{
			{"127.0.0.1", "", []string{"203.0.113.7"}, "203.0.113.7"},
			{"127.0.0.1", "", []string{"6.6.6.6, 203.0.113.7, 10.0.0.2"}, "203.0.113.7"},
			{"127.0.0.1", "", []string{"6.6.6.6, 2001:db8::7, fd00::2"}, "2001:db8::7"},
			{"127.0.0.1", "", []string{"6.6.6.6", "203.0.113.7", "10.0.0.2"}, "203.0.113.7"},
			{"127.0.0.1", "", []string{"6.6.6.6, 192.168.1.1"}, "192.168.1.1"},
			{"127.0.0.1", "", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
			{"127.0.0.1", "", []string{"6.6.6.6, nobody"}, "127.0.0.1"},
			{"127.0.0.1", "", []string{"203.0.113.7:4711"}, "127.0.0.1"}, // Envoy reads no ports
			{"127.0.0.1", "", nil, "127.0.0.1"},
			// A peer that is no proxy cannot name another address.
			{"127.0.0.2", "", []string{"203.0.113.7"}, "127.0.0.2"},
			{"127.0.0.2", "", []string{"203.0.113.7, 10.0.0.2"}, "127.0.0.2"},
		}},
		{"PROXY", "trusted_proxies: [127.0.0.1]\nproxy_protocol: true", []ask{
			{"127.0.0.1", v1, nil, "203.0.113.7"},
			{"127.0.0.1", v2, nil, "203.0.113.8"},
			{"127.0.0.1", v2local, nil, "127.0.0.1"}, // a health check
			{"127.0.0.1", v1, []string{"6.6.6.6"}, "203.0.113.7"},
			{"127.0.0.1", "PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", nil, "2001:db8::7"},
			{"127.0.0.1", "", nil, ""},
			{"127.0.0.1", "PROXY TCP4 nobody 192.0.2.1 4711 443\r\n", nil, ""},
			{"127.0.0.2", v1, nil, ""},
			{"127.0.0.2", "", nil, ""},
			{"127.0.0.2", "PROXY TCP4 127.0.0.1 127.0.0.1 4711 443\r\n", nil, ""},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := gatewaytest.Start(t, test.config+fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      headers: {X-Client: "${conn.client_ip}"}
      providers: [{id: p, base_url: %q, models: [{id: m}]}]
`, p.URL()))
			var answered []gatewaytest.Response
			var wanted []string
			for _, a := range test.asks {
				dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(a.from)}, Timeout: gatewaytest.Patience}
				conn, err := dialer.Dial("tcp", g.Address())
				if err != nil {
					t.Fatal(err)
				}
				_ = conn.SetDeadline(time.Now().Add(gatewaytest.Patience))
				send := a.begin + "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Forwarded-Proto: ftp\r\nContent-Type: application/json\r\n"
				for _, xff := range a.xff {
					send += "X-Forwarded-For: " + xff + "\r\n"
				}
				body := `{"model":"p:m"}`
				_, _ = fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", send, len(body), body)
				if a.want == "" {
					if got, _ := io.ReadAll(conn); len(got) > 0 {
						t.Errorf("%+v: response %.300q", a, got)
					}
					_ = conn.Close()
					continue
				}
				answer := readAnswer(t, bufio.NewReader(conn))
				_ = conn.Close()
				if answer.Status != 200 {
					t.Errorf("%+v: response %d %s", a, answer.Status, answer.Body)
					continue
				}
				r := p.WaitRequests(t, 1)[0]
				p.Reset()
				if got := r.Header.Get("X-Client"); got != a.want {
					t.Errorf("%+v: conn.client_ip %q, want %q", a, got, a.want)
				}
				answered = append(answered, answer)
				wanted = append(wanted, a.want)
				for name := range r.Header {
					if name = strings.ToLower(name); strings.HasPrefix(name, "x-forwarded-") || strings.HasPrefix(name, "x-envoy-") {
						t.Errorf("%+v: p received %s", a, name)
					}
				}
			}
			for i, answer := range answered { // they are logged together
				if got := loggedAs(t, g, answer.Header).request.ClientIP; got != wanted[i] {
					t.Errorf("client_ip %q in the log, want %q", got, wanted[i])
				}
			}
			if r := p.Requests(); len(r) > 0 {
				t.Errorf("p received %d requests more", len(r))
			}
		})
	}
}
