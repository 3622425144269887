package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// A large answer over HTTP/2 that ends in trailers may be complete in Envoy
// before Weir has said what becomes of it. Then all of it goes to the client at
// once.
func TestLargeAnswerThatIsHeld(t *testing.T) {
	p := recorder.Start(t, recorder.WithTLS())
	other := recorder.Start(t)
	config := fmt.Sprintf("providers:\n  - {id: p, base_url: %s, http2: true, tls: {ca_file: %s}}\n  - {id: other, base_url: %s}\n", p.URL(), p.CA().File(t), other.URL())
	const ask = `{"models":["p:m","other:m"],"stream":true}`
	rest := "data: {\"choices\":[{\"delta\":{\"content\":\"" + strings.Repeat("word ", 1<<20) + "\"}}]}\n\ndata: [DONE]\n\n"
	for _, c := range []struct {
		name  string
		after func(*gatewaytest.Served)
	}{
		{"Weir is late", func(g *gatewaytest.Served) { _ = g.Cmd.Process.Signal(syscall.SIGCONT) }},
		{"Weir dies", func(g *gatewaytest.Served) { g.Kill() }},
	} {
		for _, client := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(c.name+", "+client, func(t *testing.T) {
				g := gatewaytest.Serve(t, config)
				atProvider := func() int { return envoyStat(t, g.Gateway, "^cluster.weir/p/.*http2.streams_active") }
				stopped := make(chan struct{})
				stop := sync.OnceFunc(func() { close(stopped) })
				defer stop()
				p.Reset()
				p.Script(func(x *recorder.Exchange) {
					x.Header().Set("Content-Type", "text/event-stream")
					_, _ = io.WriteString(x, roleOnly)
					x.Flush()
					<-stopped
					_, _ = io.WriteString(x, rest)
					x.Header().Set(http.TrailerPrefix+"X-Took", "1")
				})
				var a gatewaytest.Answer
				var answered sync.WaitGroup
				answered.Go(func() {
					a = post(t, clientOf(t, client == "HTTP/2"), g.URL+"/v1/chat/completions", []byte(ask), true)
				})
				p.WaitRequests(t, 1)
				gatewaytest.Eventually(t, "the answer is held", func() bool {
					return envoyStat(t, g.Gateway, "^cluster.weir.upstream_rq_active") == 2 && atProvider() == 1 // discovery, and the gate
				})
				_ = g.Cmd.Process.Signal(syscall.SIGSTOP)
				stop()
				gatewaytest.Eventually(t, "the answer is complete", func() bool {
					return atProvider() == 0
				})
				c.after(g)
				answered.Wait()
				if a.Status != 200 || a.Err != nil || a.Body != roleOnly+rest || a.Header.Get("X-Weir-Provider") != "p" {
					t.Errorf("answer %d, %v, %d bytes of %d", a.Status, a.Err, len(a.Body), len(roleOnly+rest))
				}
			})
		}
	}
}
