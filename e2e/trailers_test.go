package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// withTrailers sends a response that ends in HTTP/2 trailers.
func withTrailers(contentType string, pieces ...string) recorder.Response {
	return func(x *recorder.Exchange) {
		x.Header().Set("Content-Type", contentType)
		x.Flush()
		for _, piece := range pieces {
			_, _ = io.WriteString(x, piece)
			x.Flush()
		}
		x.Header().Set(http.TrailerPrefix+"X-Process-Time", "1")
		x.Header().Set(http.TrailerPrefix+"X-Echo", "key-of-the-provider-0123")
		x.Header().Set(http.TrailerPrefix+"Set-Cookie", "a=b")
	}
}

// A response that ends in trailers reaches its client with them, whatever Weir
// has to do with it; and a stream without its last event does not look whole.
func TestResponseTrailers(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t, recorder.WithTLS())
	other := recorder.Start(t)
	const (
		events = "text/event-stream"
		held   = `{"models":["p:m","other:m"],"stream":true}`
		direct = `{"model":"p:m","stream":true}`
	)
	whole, large := endings[0].events, endings[0].ways()[9].events
	cut := whole[:len(whole)-1]
	for _, s := range []struct {
		name, config   string
		other          string // of the configuration of the other provider
		broken, marked bool   // a stream without its last event
	}{
		{"gate alone", "", "", false, false},
		{"strict_stream_end", "strict_stream_end: true", ", forward: {response_headers: all}", true, true},
		{"stream_idle_timeout", "per_request_timeout: 1m\n      stream_idle_timeout: 50s", "", false, true},
	} {
		t.Run(s.name, func(t *testing.T) {
			g := gatewaytest.Start(t, fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      %s
      providers:
        - {id: p, base_url: %s, http2: true, tls: {ca_file: %s}}
        - {id: other, base_url: %s%s}
`, s.config, p.URL(), p.CA().File(t), other.URL(), s.other))
			client := http2(t)
			// Envoy holds log entries for a while, so they are looked at together.
			type expected struct {
				name      string
				header    http.Header
				truncated bool
			}
			var all []expected
			for name, late := range map[string]bool{"empty": false, "empty, trailers later": true} {
				t.Run(name, func(t *testing.T) {
					received := make(chan struct{})
					p.Reset()
					p.Script(func(x *recorder.Exchange) {
						if late {
							x.Header().Set("Content-Type", events)
							x.Flush()
							select {
							case <-received:
							case <-x.HTTP.Context().Done():
							}
						}
						withTrailers(events)(x)
					})
					resp, err := client.Post(g.URL+"/v1/chat/completions", "application/json", strings.NewReader(direct))
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					close(received)
					body, err := io.ReadAll(resp.Body)
					switch {
					case !s.broken && resp.StatusCode == 200 && err == nil && len(body) == 0:
					case s.broken && resp.StatusCode == 200 && err != nil && len(body) == 0: // the client had the headers already
					case s.broken && !late && resp.StatusCode == 502 && err == nil && strings.Contains(string(body), "stream_truncated"):
					default:
						t.Errorf("response %d %v %s, %v", resp.StatusCode, resp.Header, body, err)
					}
					all = append(all, expected{t.Name(), resp.Header, s.marked})
				})
			}
			for _, c := range []struct {
				name, body, kind string
				pieces           []string
				cut              bool
			}{
				{"whole", held, events, whole, false},
				{"whole, in one piece", held, events, []string{strings.Join(whole, "")}, false},
				{"whole, 2 MB", held, events, large, false},
				{"whole, one attempt", direct, events, whole, false},
				{"cut", held, events, cut, true},
				{"cut, in one piece", held, events, []string{strings.Join(cut, "")}, true},
				{"cut, one attempt", direct, events, cut, true},
				{"a document", `{"models":["p:m","other:m"]}`, "application/json", []string{`{"id":"1",`, `"choices":[]}`}, false},
			} {
				t.Run(c.name, func(t *testing.T) {
					p.Reset()
					p.Script(withTrailers(c.kind, c.pieces...))
					resp, err := client.Post(g.URL+"/v1/chat/completions", "application/json", strings.NewReader(c.body))
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					body, err := io.ReadAll(resp.Body)
					if resp.StatusCode != 200 || string(body) != strings.Join(c.pieces, "") || resp.Header.Get("X-Weir-Provider") != "p" {
						t.Errorf("response %d %v, %d bytes", resp.StatusCode, resp.Header, len(body))
					}
					if broken := c.cut && s.broken; (err != nil) != broken || (resp.Trailer.Get("X-Process-Time") != "1") != broken {
						t.Errorf("the end: %v, trailers %v", err, resp.Trailer)
					}
					if resp.Trailer.Get("X-Echo")+resp.Trailer.Get("Set-Cookie") != "" {
						t.Errorf("trailers %v", resp.Trailer)
					}
					all = append(all, expected{t.Name(), resp.Header, c.cut && s.marked})
				})
			}
			t.Run("access log", func(t *testing.T) {
				for _, e := range all {
					if l := loggedAs(t, g, e.header); l.request.Truncated != e.truncated {
						t.Errorf("%s: truncated %t, cause %q, code %q, attempts %s", e.name, l.request.Truncated, l.request.Cause, l.request.Code, l.attemptList())
					}
				}
			})
		})
	}
}
