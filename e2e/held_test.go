package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// A response may be complete in Envoy before Weir has said what becomes of it.
// Envoy 1.40 crashes if it then wants to pause the provider: see RATIONALE.md,
// "Why is a response held only between HTTP/1.1 connections?".
func TestResponseCompleteBeforeWeirReplies(t *testing.T) {
	t.Parallel()
	const size = 24 << 20
	text := strings.Repeat("x", 16<<10)
	chunk := "data: {\"choices\":[{\"delta\":{\"content\":\"" + text + "\"}}]}\n\n"
	const end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
	whole := strings.Repeat(chunk, size/len(chunk)) + end
	for _, mode := range []string{"response_gate: on", "strict_stream_end: true"} {
		t.Run(mode, func(t *testing.T) {
			one := recorder.Start(t, recorder.WithTLS())
			two := recorder.Start(t, recorder.WithTLS())
			other := recorder.Start(t)
			g := gatewaytest.Start(t, fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      %s
      providers:
        - {id: one, base_url: %s, tls: {ca_file: %s}}
        - {id: two, base_url: %s, http2: true, tls: {ca_file: %s}}
        - {id: other, base_url: %s}
`, mode, one.URL(), one.CA().File(t), two.URL(), two.CA().File(t), other.URL()))
			for id, p := range map[string]*recorder.Provider{"one": one, "two": two} {
				for _, overHTTP2 := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s, client over HTTP/2 %t", id, overHTTP2), func(t *testing.T) {
						p.Reset()
						stopped, sent := make(chan struct{}), make(chan struct{})
						p.Script(func(x *recorder.Exchange) {
							<-stopped
							defer close(sent)
							x.Header().Set("Content-Type", "text/event-stream")
							_, _ = io.WriteString(x, whole)
							x.Header().Set(http.TrailerPrefix+"X-Took", "1")
						})
						answered := make(chan gatewaytest.Response, 1)
						client := clientOf(t, overHTTP2)
						go func() {
							answered <- post(t, client, g.URL+"/v1/chat/completions", []byte(`{"models":["`+id+`:m","other:m"],"stream":true}`), true)
						}()
						p.WaitRequests(t, 1)
						resume := g.Pause(t)
						close(stopped)
						gatewaytest.Eventually(t, "all that Envoy takes has arrived", func() bool {
							select {
							case <-sent:
								return g.EnvoyStat("^cluster.weir/"+id+"/.*upstream_rq_active") == 0
							default:
								return g.EnvoyStat("^cluster.weir/"+id+"/.*upstream_flow_control_paused_reading_total") > 0
							}
						})
						resume()
						if a := <-answered; a.Status != 200 || a.Err != nil || a.Body != whole {
							t.Errorf("response %d, %v, %d bytes of %d", a.Status, a.Err, len(a.Body), len(whole))
						}
						wantOneEnvoy(t, g)
					})
				}
			}
		})
	}
}

// The same, where what pauses the provider is another response to the same
// client: one that it does not read.
func TestResponseCompleteBesideOneThatIsNotRead(t *testing.T) {
	one := recorder.Start(t, recorder.WithTLS())
	two := recorder.Start(t, recorder.WithTLS())
	endless := recorder.Start(t)
	endless.Respond(func(w http.ResponseWriter, r *http.Request, _ []byte) {
		w.Header().Set("Content-Type", "text/event-stream")
		event := "data: {\"choices\":[{\"delta\":{\"content\":\"" + strings.Repeat("x", 16<<10) + "\"}}]}\n\n"
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, event); err != nil {
				return
			}
		}
	})
	g := gatewaytest.Start(t, fmt.Sprintf(`
envoy: {concurrency: 1}
providers:
  - {id: one, base_url: %s, tls: {ca_file: %s}}
  - {id: two, base_url: %s, http2: true, tls: {ca_file: %s}}
  - {id: endless, base_url: %s}
`, one.URL(), one.CA().File(t), two.URL(), two.CA().File(t), endless.URL()))
	type given struct {
		id     string
		p      *recorder.Provider
		answer recorder.Response
	}
	for name, c := range map[string]given{
		"HTTP/1.1":            {"one", one, recorder.Default},
		"HTTP/2":              {"two", two, recorder.Default},
		"HTTP/1.1, a failure": {"one", one, recorder.Error(400)},
		"HTTP/2, a failure":   {"two", two, recorder.Error(400)},
	} {
		id, p := c.id, c.p
		t.Run(name, func(t *testing.T) {
			conn := g.Dial()
			_ = conn.(*net.TCPConn).SetReadBuffer(4096)
			_, _ = io.WriteString(conn, h2.ClientPreface)
			f := h2.NewFramer(conn, conn)
			_ = f.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 1<<31 - 1})
			_ = f.WriteWindowUpdate(0, 1<<31-1-65535)
			ask := func(stream uint32, body string) {
				headers(f, stream, []string{":method", "POST", ":scheme", "http", ":path", "/v1/chat/completions", ":authority", "h", "content-type", "application/json"}, false)
				_ = f.WriteData(stream, true, []byte(body))
			}
			paused := func() int {
				return g.EnvoyStat("^cluster.weir/endless/.*upstream_flow_control_paused_reading_total")
			}
			before := paused()
			ask(1, `{"model":"endless:m","stream":true}`)
			gatewaytest.Eventually(t, "the response that is not read has stopped", func() bool { return paused() > before })

			p.Reset()
			stopped, sent := make(chan struct{}), make(chan struct{})
			p.Script(func(x *recorder.Exchange) {
				<-stopped
				defer close(sent)
				c.answer(x)
			})
			ask(3, `{"models":["`+id+`:m","endless:m"]}`)
			p.WaitRequests(t, 1)
			resume := g.Pause(t)
			close(stopped)
			<-sent
			if id == "one" { // of two, Envoy reads nothing before the client does
				gatewaytest.Eventually(t, "the response is complete", func() bool {
					return g.EnvoyStat("^cluster.weir/one/.*upstream_rq_active") == 0
				})
			}
			resume()
			if a := g.Post("/v1/chat/completions", `{"models":["`+id+`:m","endless:m"]}`); a.Status != 200 || a.Header.Get("X-Weir-Provider") != id {
				t.Errorf("another client: response %d %s", a.Status, a.Body)
			}
			wantOneEnvoy(t, g)
			_ = conn.Close()
		})
	}
}

func wantOneEnvoy(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	if n := scrape(t, g)["weir_envoy_restarts_total"]; n != 0 {
		t.Errorf("Envoy died %g times", n)
	}
}
