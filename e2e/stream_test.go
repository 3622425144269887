package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// stream is a response that is being read.
type stream struct {
	t      *testing.T
	resp   *http.Response
	lines  *bufio.Reader
	cancel context.CancelFunc
}

// newPost returns a request with a JSON body. header holds names and values in
// turn.
func newPost(ctx context.Context, t *testing.T, url string, body io.Reader, header ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return req
}

// open sends a request and returns as soon as the response's headers are there.
func open(t *testing.T, client *http.Client, url, body string, header ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), gatewaytest.Patience)
	t.Cleanup(cancel)
	resp, err := client.Do(newPost(ctx, t, url+"/v1/chat/completions", strings.NewReader(body), header...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return &stream{t, resp, bufio.NewReader(resp.Body), cancel}
}

// event reads one event, with its blank line.
func (s *stream) event() string {
	s.t.Helper()
	var event string
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			s.t.Fatalf("after %q: %v", event+line, err)
		}
		if event += line; line == "\n" {
			return event
		}
	}
}

// rest reads to the end.
func (s *stream) rest() (string, error) {
	b, err := io.ReadAll(s.lines)
	return string(b), err
}

// leaveUnanswered sends a request and leaves as soon as the provider has it. mayBegin
// allows that the response has begun by then.
func leaveUnanswered(t *testing.T, client *http.Client, url, body string, p *recorder.Provider, mayBegin bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	left := make(chan error)
	go func() {
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		left <- err
	}()
	p.WaitRequests(t, 1)
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) && !(mayBegin && err == nil) {
		t.Errorf("the request ended by itself: %v", err)
	}
}

// wait waits for something that the test has caused.
func wait(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(gatewaytest.Patience):
		t.Fatalf("timed out waiting for %s", what)
	}
}

// Streams pass at their provider's pace, and end when either side ends them.
func TestStreams(t *testing.T) {
	one := recorder.Start(t, recorder.WithName("one"))
	two := recorder.Start(t, recorder.WithName("two"), recorder.WithTLS())
	spare := recorder.Start(t, recorder.WithName("spare"))
	failing := recorder.Start(t, recorder.WithName("failing"), recorder.WithTLS())
	pooled := recorder.Start(t, recorder.WithName("pooled"))
	pooledTLS := recorder.Start(t, recorder.WithName("pooled-tls"), recorder.WithTLS())
	g := gatewaytest.Start(t, fmt.Sprintf(`
on_http_request: [{type: ai-gateway, config: {outlier_detection: {disabled: true}, providers: [
  {id: one, base_url: "%s"},
  {id: two, base_url: "%s", tls: {ca_file: %s}},
  {id: spare, base_url: "%s"},
  {id: failing, base_url: "%s", tls: {ca_file: %s}},
  {id: pooled, base_url: "%s"},
  {id: pooled-tls, base_url: "%s", tls: {ca_file: %s}}]}}]
`, one.URL(), two.URL(), two.CA().File(t), spare.URL(), failing.URL(), failing.CA().File(t), pooled.URL(), pooledTLS.URL(), pooledTLS.CA().File(t)))

	for _, c := range []struct {
		name     string
		provider *recorder.Provider
		client   func(*testing.T) *http.Client
	}{
		{"HTTP/1.1 to HTTP/1.1", one, http1},
		{"HTTP/1.1 to HTTP/2", two, http1},
		{"HTTP/2 to HTTP/1.1", one, http2},
		{"HTTP/2 to HTTP/2", two, http2},
	} {
		p := c.provider
		ask := `{"model":"` + p.Name + `:m","models":["spare:m"],"stream":true}`
		reset := func() {
			p.Reset()
			spare.Reset()
		}
		noOther := func(t *testing.T) {
			t.Helper()
			if n, m := len(p.Requests()), len(spare.Requests()); n != 1 || m != 0 {
				t.Errorf("the provider received %d requests, the next one %d", n, m)
			}
		}

		// While the client reads an event, the provider still holds the next.
		t.Run("each event at once, "+c.name, func(t *testing.T) {
			reset()
			gate := make(chan struct{})
			p.Script(recorder.Gated(gate))
			go func() { // until there is content, the response is held
				gate <- struct{}{}
				gate <- struct{}{}
			}()
			s := open(t, c.client(t), g.URL, ask)
			if s.resp.StatusCode != 200 || s.resp.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" || s.resp.Header.Get("X-Weir-Provider") != p.Name {
				t.Errorf("%d %v", s.resp.StatusCode, s.resp.Header)
			}
			r := p.WaitRequests(t, 1)[0]
			events := []string{s.event(), s.event()}
			for open := true; open; {
				select {
				case gate <- struct{}{}:
					events = append(events, s.event())
				case <-r.Done:
					open = false
				}
			}
			if rest, err := s.rest(); rest != "" || err != nil {
				t.Errorf("after the last event: %q, %v", rest, err)
			}
			if n := len(events); n < 5 || events[n-1] != "data: [DONE]\n\n" {
				t.Errorf("%d events: %q", n, events)
			}
			noOther(t)
		})

		for _, cut := range []struct {
			name string
			end  func(*recorder.Exchange)
		}{{"reset", (*recorder.Exchange).ResetConn}, {"early end", (*recorder.Exchange).Abort}} {
			t.Run(cut.name+", "+c.name, func(t *testing.T) {
				reset()
				read := make(chan struct{})
				p.Script(func(x *recorder.Exchange) {
					x.SendEvents(3)
					<-read
					cut.end(x)
				})
				s := open(t, c.client(t), g.URL, ask)
				for range 3 {
					s.event()
				}
				close(read)
				if rest, err := s.rest(); rest != "" || err == nil {
					t.Errorf("after the cut: %q, %v: the client must not take it for the end", rest, err)
				}
				noOther(t)
			})
		}

		for _, w := range []struct {
			name   string
			answer recorder.Response
			events int // that the client waits for; -1: not even for headers
			silent bool
		}{
			{"before the headers", recorder.Silence, -1, true},
			{"while the headers are held", recorder.StallMidStream(0), -1, false},
			{"while an event is held", recorder.StallMidStream(1), -1, false},
			{"after the content began", recorder.StallMidStream(2), 2, false},
		} {
			t.Run("the client leaves "+w.name+", "+c.name, func(t *testing.T) {
				reset()
				p.Script(w.answer)
				client := c.client(t)
				if w.events < 0 {
					// Headers are held between HTTP/1.1 connections only.
					begins := !w.silent && c.name != "HTTP/1.1 to HTTP/1.1"
					leaveUnanswered(t, client, g.URL+"/v1/chat/completions", ask, p, begins)
				} else {
					s := open(t, client, g.URL, ask)
					for range w.events {
						s.event()
					}
					s.cancel()
				}
				// No timeout of this gateway is shorter than minutes.
				wait(t, p.Last(t).Closed, "the end of the provider's request")
				noOther(t)
			})
		}
	}

	t.Run("bytes", func(t *testing.T) {
		one.Reset()
		events := []string{": a comment\n\n", "data: {\"cut\":", " true}\n\n", "event: ping\r\ndata: \xff\r\n\r\n", "id: 1\nretry: 5\n\n", "data: [DONE]"}
		one.Script(recorder.Events(events...))
		a := g.Post("/v1/chat/completions", `{"model":"one:m","stream":true}`)
		if want := strings.Join(events, ""); a.Body != want || a.Err != nil {
			t.Errorf("got %q, %v\nwant %q", a.Body, a.Err, want)
		}
	})
	for _, kind := range []string{"application/json", "text/event-stream"} {
		t.Run("gzip, "+kind, func(t *testing.T) {
			one.Reset()
			const plain = "data: {}\n\n"
			one.Script(recorder.Status(200, http.Header{"Content-Encoding": {"gzip"}, "Content-Type": {kind}}, pack(plain)))
			a := g.Post("/v1/chat/completions", `{"model":"one:m","stream":true}`, "Accept-Encoding", "gzip, br;q=0.5")
			if a.Body != plain || a.Header.Get("Content-Encoding") != "" || a.Header.Get("Content-Type") != kind {
				t.Errorf("got %q, %v", a.Body, a.Header)
			}
			if got := one.Last(t).Header["Accept-Encoding"]; len(got) != 1 || got[0] != "identity" {
				t.Errorf("the provider received Accept-Encoding %q", got)
			}
		})
	}
	t.Run("20 MB", func(t *testing.T) {
		two.Reset()
		two.Script(recorder.BigStream(320, 64<<10))
		a := g.Post("/v1/chat/completions", `{"model":"two:m","stream":true}`)
		if n := strings.Count(a.Body, "x"); a.Err != nil || n < 320*(64<<10-1) || !strings.HasSuffix(a.Body, "data: [DONE]\n\n") {
			t.Errorf("%d bytes with %d of text, %v", len(a.Body), n, a.Err)
		}
	})
	// A connection of a client stays with one of Envoy's workers, which has its
	// own connections to the providers. The one that fails speaks HTTP/2: Envoy
	// does not wait for the end of a response that it will not use, which ends a
	// connection of HTTP/1.1.
	client := http1(t)
	for _, p := range []*recorder.Provider{pooled, pooledTLS} {
		t.Run("connections are kept, "+p.Name, func(t *testing.T) {
			for i := range 20 {
				failing.Script(recorder.Status(503, nil, "busy"))
				a := post(t, client, g.URL+"/v1/chat/completions", fmt.Appendf(nil, `{"model":"failing:m","models":["%s:m"],"stream":%t}`, p.Name, i%2 == 0), true)
				if a.Status != 200 || a.Header.Get("X-Weir-Attempts") != "2" {
					t.Fatalf("response %d after %s attempts", a.Status, a.Header.Get("X-Weir-Attempts"))
				}
			}
			if n, m := p.Conns(), failing.Conns(); n != 1 || m != 1 {
				t.Errorf("20 requests took %d connections to the provider and %d to the one that failed", n, m)
			}
		})
	}
}

func TestStreamTimeouts(t *testing.T) {
	t.Parallel()
	const (
		attempt = 1500 * time.Millisecond
		idle    = 2 * time.Second
		total   = 5 * time.Second
	)
	var providers []*recorder.Provider
	config := ""
	for _, name := range []string{"first", "second", "third"} {
		p := recorder.Start(t, recorder.WithName(name))
		providers = append(providers, p)
		config += fmt.Sprintf("\n        - {id: %s, base_url: %s}", name, p.URL())
	}
	first, second, third := providers[0], providers[1], providers[2]
	reset := func() {
		for _, p := range providers {
			p.Reset()
		}
	}
	g := gatewaytest.Start(t, fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: %s
      stream_idle_timeout: %s
      total_timeout: %s
      outlier_detection: {disabled: true}
      providers:%s
`, attempt, idle, total, config))
	const ask = `{"model":"first:m","models":["second:m","third:m"],"stream":true}`

	t.Run("a stream may last longer than total_timeout", func(t *testing.T) {
		reset()
		const pause = 100 * time.Millisecond
		first.Script(recorder.SlowEvents(int(total/pause), pause))
		start := time.Now()
		s := open(t, http1(t), g.URL, ask)
		text, err := s.rest()
		if err != nil || !strings.HasSuffix(text, "data: [DONE]\n\n") {
			t.Errorf("the stream ended with %v after %v: %q", err, time.Since(start), text)
		}
		if took := time.Since(start); took < total {
			t.Errorf("the stream took %v only", took)
		}
	})
	for _, c := range []struct {
		name   string
		client func(*testing.T) *http.Client
		ask    string
		events int
	}{
		{"silence after the headers of the last attempt, HTTP/2", http2, `{"model":"first:m","stream":true}`, 0},
		{"silence after two events, HTTP/1.1", http1, ask, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			reset()
			first.Script(recorder.StallMidStream(c.events))
			start := time.Now()
			s := open(t, c.client(t), g.URL, c.ask)
			for range c.events {
				s.event()
			}
			if rest, err := s.rest(); rest != "" || err == nil {
				t.Errorf("after the silence: %q, %v", rest, err)
			}
			if took := time.Since(start); took < idle {
				t.Errorf("the stream was ended after %v of silence", took)
			}
			wait(t, first.Last(t).Closed, "the end of the provider's request")
			if n := len(second.Requests()); n != 0 {
				t.Errorf("the second provider received %d requests", n)
			}
		})
	}
	for silent := 1; silent <= 2; silent++ {
		t.Run(fmt.Sprint(silent, " silent before the headers"), func(t *testing.T) {
			reset()
			for _, p := range providers[:silent] {
				p.Script(recorder.Silence)
			}
			s := open(t, http1(t), g.URL, ask)
			text, err := s.rest()
			if err != nil || s.resp.Header.Get("X-Weir-Attempts") != fmt.Sprint(silent+1) || !strings.HasSuffix(text, "data: [DONE]\n\n") {
				t.Errorf("%d after %s attempts: %v, %q", s.resp.StatusCode, s.resp.Header.Get("X-Weir-Attempts"), err, text)
			}
			for _, p := range providers[:silent] {
				wait(t, p.Last(t).Closed, "the end of the request to "+p.Name)
			}
		})
	}
	t.Run("total_timeout, not streamed", func(t *testing.T) {
		reset()
		first.Script(recorder.Silence)
		second.Script(recorder.Silence)
		third.Script(func(x *recorder.Exchange) {
			x.Header().Set("Content-Length", "100")
			x.WriteHeader(200)
			x.Flush()
			x.Wait()
		})
		start := time.Now()
		a := g.Post("/v1/chat/completions", strings.Replace(ask, "true", "false", 1))
		if a.Status != 200 || a.Err == nil {
			t.Errorf("response %d, %v: a body that stops must not look whole", a.Status, a.Err)
		}
		if took := time.Since(start); took < 2*attempt || took > total+gatewaytest.Patience/2 {
			t.Errorf("ended after %v", took)
		}
		wait(t, third.Last(t).Closed, "the end of the third provider's request")
	})
}

// TestAttemptTimeoutOfResponse: per_request_timeout covers the whole of a response
// that is no stream.
func TestAttemptTimeoutOfResponse(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	g := gatewaytest.Start(t, fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: 3s
      total_timeout: 10m
      providers: [{id: p, base_url: %s}]
`, p.URL()))
	p.Script(func(x *recorder.Exchange) {
		x.Header().Set("Content-Length", "100")
		_, _ = x.Write([]byte("{"))
		x.Flush()
		x.Wait()
	})
	a := g.Post("/v1/chat/completions", `{"model":"p:m"}`)
	if a.Status != 200 || a.Err == nil {
		t.Errorf("response %d, %v: a body that stops must not look whole", a.Status, a.Err)
	}
	wait(t, p.Last(t).Closed, "the end of the provider's request")
}
