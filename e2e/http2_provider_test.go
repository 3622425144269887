package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// A provider is spoken to over HTTP/1.1, whatever it offers, unless its http2 is
// set.
func TestProtocolToProviders(t *testing.T) {
	both := recorder.Start(t, recorder.WithTLS())
	old := recorder.Start(t, recorder.WithTLS(), recorder.WithProtocols("http/1.1"))
	clear := recorder.Start(t, recorder.WithProtocols("h2", "http/1.1"))
	config := "providers:\n"
	for id, p := range map[string]*recorder.Provider{"both": both, "old": old, "clear": clear} {
		trust := ""
		if p.CA() != nil {
			trust = ", tls: {ca_file: " + p.CA().File(t) + "}"
		}
		config += fmt.Sprintf("  - {id: %s, base_url: %s%s}\n  - {id: %s-2, base_url: %s%s, http2: true}\n", id, p.URL(), trust, id, p.URL(), trust)
	}
	g := gatewaytest.Start(t, config)
	for _, c := range []struct {
		id    string
		p     *recorder.Provider
		proto string
	}{
		{"both", both, "HTTP/1.1"},
		{"both-2", both, "HTTP/2.0"},
		{"old", old, "HTTP/1.1"},
		{"old-2", old, "HTTP/1.1"},
		{"clear", clear, "HTTP/1.1"},
		{"clear-2", clear, "HTTP/2.0"},
	} {
		t.Run(c.id, func(t *testing.T) {
			if a := g.Post("/v1/chat/completions", `{"model":"`+c.id+`:m"}`); a.Status != 200 {
				t.Fatalf("response %d %s", a.Status, a.Body)
			}
			if got := c.p.Last(t).Proto; got != c.proto {
				t.Errorf("received %s, want %s", got, c.proto)
			}
		})
	}
}

// framed is a provider that speaks HTTP/2 frame by frame, by prior knowledge.
type framed struct {
	requests atomic.Int32
	conns    atomic.Int32
	mu       sync.Mutex
	bodies   []string
}

// call is one request to it.
type call struct {
	*h2.Framer
	n    int // requests before this one
	conn int // connections before this one's
	id   uint32
}

// start serves each request with answer, which returns false to read no more
// from the connection.
func (p *framed) start(t *testing.T, streams uint32, answer func(s call) bool) string {
	t.Helper()
	return recorder.StartRaw(t, func(c net.Conn) {
		if _, err := io.ReadFull(c, make([]byte, len(h2.ClientPreface))); err != nil {
			return
		}
		f := h2.NewFramer(c, c)
		conn := int(p.conns.Add(1)) - 1
		_ = f.WriteSettings(h2.Setting{ID: h2.SettingMaxConcurrentStreams, Val: streams})
		bodies := map[uint32]string{}
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *h2.SettingsFrame:
				if !frame.IsAck() {
					_ = f.WriteSettingsAck()
				}
			case *h2.PingFrame:
				if !frame.IsAck() {
					_ = f.WritePing(true, frame.Data)
				}
			case *h2.DataFrame:
				bodies[frame.StreamID] += string(frame.Data())
				if !frame.StreamEnded() {
					continue
				}
				p.mu.Lock()
				p.bodies = append(p.bodies, bodies[frame.StreamID])
				p.mu.Unlock()
				if !answer(call{f, int(p.requests.Add(1)) - 1, conn, frame.StreamID}) {
					<-t.Context().Done()
					return
				}
			}
		}
	})
}

// answer sends a response in pieces, each a DATA frame.
func (s call) answer(kind string, pieces ...string) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	_ = enc.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	_ = enc.WriteField(hpack.HeaderField{Name: "content-type", Value: kind})
	_ = s.WriteHeaders(h2.HeadersFrameParam{StreamID: s.id, BlockFragment: block.Bytes(), EndHeaders: true})
	for i, piece := range pieces {
		_ = s.WriteData(s.id, i == len(pieces)-1, []byte(piece))
	}
}

func (s call) ok() bool {
	s.answer("application/json", `{"id":"c","choices":[{"message":{"content":"pong"}}]}`)
	return true
}

// What a provider over HTTP/2 says it has not processed is sent again, and
// nothing else.
func TestUnprocessedRequestsAreSentAgain(t *testing.T) {
	refuse := func(code h2.ErrCode, times int) func(call) bool {
		return func(s call) bool {
			if s.n >= times {
				return s.ok()
			}
			_ = s.WriteRSTStream(s.id, code)
			return true
		}
	}
	goAway := func(s call) bool {
		if s.conn > 0 {
			return s.ok()
		}
		_ = s.WriteGoAway(0, h2.ErrCodeNo, nil)
		return true
	}
	const alone, chain = `{"model":"p:m","n":1}`, `{"models":["p:m","other:m"],"n":1}`
	for _, c := range []struct {
		name     string
		answer   func(call) bool
		body     string
		status   int
		provider string
		attempts string
		received int32
	}{
		{"refused, alone", refuse(h2.ErrCodeRefusedStream, 1), alone, 200, "p", "2", 2},
		{"refused three times, alone", refuse(h2.ErrCodeRefusedStream, 3), alone, 200, "p", "4", 4},
		{"always refused, alone", refuse(h2.ErrCodeRefusedStream, 100), alone, 502, "p", "6", 6},
		{"GOAWAY before it, alone", goAway, alone, 200, "p", "2", 2},
		{"refused, with another", refuse(h2.ErrCodeRefusedStream, 1), chain, 200, "other", "2", 1},
		{"GOAWAY before it, with another", goAway, chain, 200, "other", "2", 1},
		// What may have been processed is not sent to the same provider again.
		{"cancelled, alone", refuse(h2.ErrCodeCancel, 1), alone, 502, "p", "1", 1},
		{"an internal error, alone", refuse(h2.ErrCodeInternal, 1), alone, 502, "p", "1", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := &framed{}
			other := recorder.Start(t)
			g := gatewaytest.Start(t, fmt.Sprintf("providers:\n  - {id: p, base_url: http://%s, http2: true, api_keys: [{value: key-of-p}]}\n  - {id: other, base_url: %s}\n", p.start(t, 100, c.answer), other.URL()),
				gatewaytest.Secrets("key-of-p"))
			a := g.Post("/v1/chat/completions", c.body)
			if a.Status != c.status || a.Header.Get("X-Weir-Attempts") != c.attempts {
				t.Errorf("response %d %s after %s attempts, want %d after %s", a.Status, a.Body, a.Header.Get("X-Weir-Attempts"), c.status, c.attempts)
			}
			if got := a.Header.Get("X-Weir-Provider"); c.status == 200 && (got != c.provider || a.Header.Get("X-Weir-Model") != "m") {
				t.Errorf("the response is of %s, model %s", got, a.Header.Get("X-Weir-Model"))
			}
			if got := p.requests.Load(); got != c.received {
				t.Errorf("p received %d requests, want %d", got, c.received)
			}
			for _, body := range p.bodies {
				if want := strings.NewReplacer(`"p:m"`, `"m"`, `"models":["p:m","other:m"]`, `"model":"m"`).Replace(c.body); body != want {
					t.Errorf("p received %s, want %s", body, want)
				}
			}
			l := loggedAs(t, g, a.Header)
			if c.status == 200 && (l.request.Provider != c.provider || l.request.Model != "m") {
				t.Errorf("logged: provider %q, model %q", l.request.Provider, l.request.Model)
			}
		})
	}
}

// A burst over the streams that a provider allows loses no request.
func TestBurstOverStreamLimit(t *testing.T) {
	for _, c := range []struct{ limit, burst int }{{20, 60}, {1, 20}} {
		t.Run(fmt.Sprint(c.limit), func(t *testing.T) {
			p := recorder.Start(t, recorder.WithTLS(), recorder.WithMaxStreams(c.limit))
			g := gatewaytest.Start(t, fmt.Sprintf("envoy: {concurrency: 1}\nproviders:\n  - {id: p, base_url: %s, http2: true, tls: {ca_file: %s}}\n", p.URL(), p.CA().File(t)))
			for range 2 {
				var all sync.WaitGroup
				for range c.burst {
					all.Go(func() {
						if a := g.Post("/v1/chat/completions", `{"model":"p:m"}`); a.Status != 200 {
							t.Errorf("response %d %s", a.Status, a.Body)
						}
					})
				}
				all.Wait()
			}
		})
	}
}

// Empty DATA frames, with which some providers flush, end no connection.
func TestEmptyDataFrames(t *testing.T) {
	p := &framed{}
	pieces := []string{"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"}
	for range 50 {
		pieces = append(pieces, "")
	}
	pieces = append(pieces, "data: [DONE]\n\n")
	g := gatewaytest.Start(t, fmt.Sprintf("providers:\n  - {id: p, base_url: http://%s, http2: true}\n", p.start(t, 100, func(s call) bool {
		s.answer("text/event-stream", pieces...)
		return true
	})))
	for range 3 {
		if a := g.Post("/v1/chat/completions", `{"model":"p:m","stream":true}`); a.Status != 200 || a.Err != nil || a.Body != strings.Join(pieces, "") {
			t.Errorf("response %d %v %s", a.Status, a.Err, a.Body)
		}
	}
	if n := p.conns.Load(); n > 2 { // one for each worker
		t.Errorf("%d connections", n)
	}
}

// A connection whose other end is gone without a word is given up.
func TestDeadHTTP2Connection(t *testing.T) {
	t.Parallel()
	p := &framed{}
	g := gatewaytest.Start(t, fmt.Sprintf("envoy: {concurrency: 1}\non_http_request:\n  - type: ai-gateway\n    config:\n      per_request_timeout: 1s\n      providers:\n        - {id: p, base_url: http://%s, http2: true, idle_timeout: 1m}\n", p.start(t, 100, func(s call) bool {
		return s.ok() && s.conn > 0 // the first connection falls silent
	})))
	ask := func() int { return g.Post("/v1/chat/completions", `{"model":"p:m"}`).Status }
	if status := ask(); status != 200 {
		t.Fatalf("response %d", status)
	}
	// The next request meets the silence, and the connection's end.
	gatewaytest.Eventually(t, "a new connection", func() bool { return ask() == 200 })
	if n := p.conns.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// Responses that their clients do not read hold up no other of the provider.
func TestUnreadResponsesBesideOthers(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2 %t", http2), func(t *testing.T) {
			p := recorder.Start(t, recorder.WithTLS())
			g := gatewaytest.Start(t, fmt.Sprintf("envoy: {concurrency: 1}\nproviders:\n  - {id: p, base_url: %s, http2: %t, tls: {ca_file: %s}}\n", p.URL(), http2, p.CA().File(t)))
			const readers = 4
			endless := func(x *recorder.Exchange) {
				x.Header().Set("Content-Type", "text/event-stream")
				for event := "data: {\"choices\":[{\"delta\":{\"content\":\"" + strings.Repeat("x", 16<<10) + "\"}}]}\n\n"; x.HTTP.Context().Err() == nil; {
					if _, err := io.WriteString(x, event); err != nil {
						return
					}
				}
			}
			body := `{"model":"p:m","stream":true}`
			for range readers {
				p.Script(endless)
				conn := g.Dial()
				_ = conn.(*net.TCPConn).SetReadBuffer(4096)
				_, _ = fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", len(body), body)
			}
			gatewaytest.Eventually(t, "all of them wait for their clients", func() bool {
				return g.EnvoyStat("^cluster.weir/p/.*upstream_flow_control_paused_reading_total") >= readers
			})
			for range 10 {
				if a := g.Post("/v1/chat/completions", `{"model":"p:m"}`); a.Status != 200 {
					t.Errorf("response %d %s", a.Status, a.Body)
				}
			}
		})
	}
}
