package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// leaves is when a client leaves.
type leaves int

const (
	stays leaves = iota
	beforeHeaders
	midway // after the first byte of the response
)

// trickle begins a response and never ends it.
func trickle(x *recorder.Exchange) {
	x.Header().Set("Content-Length", "100")
	_, _ = x.Write([]byte("{"))
	x.Flush()
	x.Wait()
}

// outcomes are what becomes of requests at providers, and what the log says of
// it: an attempt is "provider status cause", with … where another followed.
var outcomes = []struct {
	name     string
	provider string // the kind of the provider that is asked first
	answer   recorder.Response
	stream   bool
	alone    bool // there is no second provider
	leaves   leaves
	attempts string
	request  string
}{
	{"ok", "plain", nil, false, false, stays, "plain 200", "200"},
	{"ok, streamed", "plain", nil, true, false, stays, "plain 200", "200"},
	{"ok, HTTP/2", "tls", nil, true, false, stays, "tls 200", "200"},

	{"302", "plain", recorder.Status(302, http.Header{"Location": {"/elsewhere"}}, ""), false, false, stays, "plain 302 redirect …, second 200", "200"},
	{"302 alone", "plain", recorder.Status(302, http.Header{"Location": {"/elsewhere"}}, ""), false, true, stays, "plain 302 redirect", "502 redirect"},
	{"400", "plain", recorder.Error(400), false, false, stays, "plain 400 status_4xx", "400 status_4xx"},
	{"401", "plain", recorder.Error(401), false, false, stays, "plain 401 auth …, second 200", "200"},
	{"403", "plain", recorder.Error(403), false, false, stays, "plain 403 auth …, second 200", "200"},
	{"404", "plain", recorder.Error(404), false, false, stays, "plain 404 status_4xx …, second 200", "200"},
	{"408", "plain", recorder.Error(408), false, false, stays, "plain 408 timeout …, second 200", "200"},
	{"429", "plain", recorder.Error(429), false, false, stays, "plain 429 rate_limit …, second 200", "200"},
	{"500", "plain", recorder.Error(500), true, false, stays, "plain 500 status_5xx …, second 200", "200"},
	{"504", "plain", recorder.Error(504), false, false, stays, "plain 504 timeout …, second 200", "200"},
	{"529", "plain", recorder.Error(529), false, false, stays, "plain 529 status_5xx …, second 200", "200"},
	{"401 alone", "plain", recorder.Error(401), false, true, stays, "plain 401 auth", "401 auth"},
	{"429 alone", "plain", recorder.Error(429), false, true, stays, "plain 429 rate_limit", "429 rate_limit"},
	{"500 alone", "plain", recorder.Error(500), false, true, stays, "plain 500 status_5xx", "500 status_5xx"},

	{"refused", "refused", nil, false, false, stays, "refused none connect_failure refused …, second 200", "200"},
	{"refused alone", "refused", nil, false, true, stays, "refused none connect_failure refused", "502 connect_failure refused"},
	{"no name", "unresolved", nil, true, false, stays, "unresolved none connect_failure dns …, second 200", "200"},
	{"no name alone", "unresolved", nil, false, true, stays, "unresolved none connect_failure dns", "502 connect_failure dns"},
	{"wrong certificate", "untrusted", nil, false, false, stays, "untrusted none connect_failure tls …, second 200", "200"},
	{"wrong certificate alone", "untrusted", nil, false, true, stays, "untrusted none connect_failure tls", "502 connect_failure tls"},
	{"no HTTP", "noise", nil, false, false, stays, "noise none reset …, second 200", "200"},
	{"no HTTP alone", "noise", nil, false, true, stays, "noise none reset", "502 reset"},
	{"no handshake", "deaf", nil, false, true, stays, "deaf none connect_failure timeout", "502 connect_failure timeout"},
	{"hangs up", "closing", nil, false, false, stays, "closing none connect_failure tls …, second 200", "200"},
	{"hangs up alone", "closing", nil, false, true, stays, "closing none connect_failure tls", "502 connect_failure tls"},
	{"plain text", "untls", nil, false, false, stays, "untls none connect_failure tls …, second 200", "200"},

	{"silence", "plain", recorder.Silence, false, false, stays, "plain none timeout …, second 200", "200"},
	{"silence, streamed", "plain", recorder.Silence, true, false, stays, "plain none timeout …, second 200", "200"},
	{"silence alone", "plain", recorder.Silence, false, true, stays, "plain none timeout", "504 timeout"},
	{"silence alone, streamed, HTTP/2", "tls", recorder.Silence, true, true, stays, "tls none timeout", "504 timeout"},
	{"reset", "plain", recorder.ResetBeforeHeaders, false, false, stays, "plain none reset …, second 200", "200"},
	{"reset alone", "plain", recorder.ResetBeforeHeaders, true, true, stays, "plain none reset", "502 reset"},
	{"reset alone, HTTP/2", "tls", recorder.ResetBeforeHeaders, true, true, stays, "tls none reset", "502 reset"},
	{"closed", "plain", recorder.CloseBeforeHeaders, false, false, stays, "plain none reset …, second 200", "200"},
	{"closed alone", "plain", recorder.CloseBeforeHeaders, false, true, stays, "plain none reset", "502 reset"},
	{"closed alone, HTTP/2", "tls", recorder.CloseBeforeHeaders, false, true, stays, "tls none reset", "502 reset"},

	{"cut", "plain", recorder.CutMidStream(2), true, true, stays, "plain 200 reset", "200 reset"},
	{"cut, HTTP/2", "tls", recorder.CutMidStream(2), true, true, stays, "tls 200 reset", "200 reset"},
	{"cut in the body", "plain", recorder.CutMidBody(10), false, true, stays, "plain 200 reset", "200 reset"},
	{"cut in the body, HTTP/2", "tls", recorder.CutMidBody(10), false, true, stays, "tls 200 reset", "200 reset"},
	{"an error as the first event", "plain", recorder.Events("data: {\"error\":{}}\n\n"), true, false, stays, "plain 200 error_answer …, second 200", "200"},
	{"nothing", "plain", recorder.Status(200, nil, ""), false, false, stays, "plain 200 empty_answer …, second 200", "200"},
	{"a page", "tls", recorder.Status(200, http.Header{"Content-Type": {"text/html"}}, "<html>"), false, false, stays, "tls 200 wrong_answer …, second 200", "200"},
	{"falls silent while held", "tls", recorder.StallMidStream(1), true, false, stays, "tls none timeout …, second 200", "200"},
	{"falls silent", "plain", recorder.StallMidStream(2), true, false, stays, "plain 200 timeout", "200 timeout"},
	{"falls silent, HTTP/2", "tls", recorder.StallMidStream(2), true, false, stays, "tls 200 timeout", "200 timeout"},
	{"trickles", "plain", trickle, false, true, stays, "plain 200 timeout", "200 timeout"},
	{"trickles, HTTP/2", "tls", trickle, false, true, stays, "tls 200 timeout", "200 timeout"},

	{"client leaves before the headers", "plain", recorder.Silence, true, false, beforeHeaders, "plain none client_gone", "none client_gone"},
	{"client leaves before the headers, HTTP/2", "tls", recorder.Silence, false, false, beforeHeaders, "tls none client_gone", "none client_gone"},
	{"client leaves", "plain", recorder.StallMidStream(2), true, false, midway, "plain 200 client_gone", "200 client_gone"},
	{"client leaves, HTTP/2", "tls", recorder.StallMidStream(2), true, false, midway, "tls 200 client_gone", "200 client_gone"},
}

// The log names the cause of every failure as it was.
func TestCauses(t *testing.T) {
	t.Parallel()
	ca := recorder.NewCA(t)
	second := recorder.Start(t, recorder.WithName("second"))
	noise := recorder.StartRaw(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		_, _ = io.WriteString(c, "this is no HTTP\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	deaf := recorder.StartRaw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	closing := recorder.StartRaw(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
	urls := map[string]string{
		"closing":    "https://" + closing,
		"untls":      strings.Replace(second.URL(), "http:", "https:", 1),
		"untrusted":  recorder.Start(t, recorder.WithTLS()).URL(),
		"refused":    "http://" + recorder.ClosedAddr(t),
		"unresolved": "http://does-not-resolve.internal:8123",
		"noise":      "http://" + noise,
		"deaf":       "https://" + deaf,
	}
	config := fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: 2s
      stream_idle_timeout: 2500ms
      providers:
        - {id: second, base_url: %s}`, second.URL())
	providers := make([]*recorder.Provider, len(outcomes))
	for i, c := range outcomes {
		p := recorder.Start(t)
		url := urls[c.provider]
		switch c.provider {
		case "plain":
			url = p.URL()
		case "tls":
			p = recorder.Start(t, recorder.WithTLS(), recorder.WithCA(ca))
			url = p.URL() + ", tls: {ca_file: " + ca.File(t) + "}"
		}
		if providers[i] = p; c.answer != nil {
			p.Script(c.answer)
		}
		config += fmt.Sprintf("\n        - {id: %s-%d, base_url: %s}", c.provider, i, url)
	}
	g := gatewaytest.Start(t, config)
	asked := func(i int) string { return fmt.Sprintf("%s-%d:m", outcomes[i].provider, i) }
	var sent sync.WaitGroup
	for i, c := range outcomes {
		body := fmt.Sprintf(`{"model":"%s","stream":%t`, asked(i), c.stream)
		if !c.alone {
			body += `,"models":["second:m"]`
		}
		sent.Go(func() { c.leaves.post(t, g.URL, body+"}", providers[i]) })
	}
	sent.Wait()
	for i, c := range outcomes {
		t.Run(c.name, func(t *testing.T) {
			l := waitLogged(t, g.Stdout, "the lines of "+c.name, 1, func(l *logLine) bool { return l.Asked == asked(i) })[0]
			if got := strings.NewReplacer(fmt.Sprintf("-%d/m", i), "", "/m", "").Replace(l.attemptList()); got != c.attempts {
				t.Errorf("attempts: %s\nwant:     %s", got, c.attempts)
			}
			if got := l.request.String(); got != c.request {
				t.Errorf("request: %s, want %s", got, c.request)
			}
			if gone := c.leaves != stays; l.request.ClientGone != gone {
				t.Errorf("client_gone: %t", !gone)
			}
			if l.request.Tokens != nil && l.request.Cause != "" && !l.request.Estimated {
				t.Errorf("tokens %s of an incomplete response", l.request.Tokens)
			}
			for i, a := range l.attempts {
				if a.Attempt != i+1 || a.RequestID != l.request.RequestID || a.Time < l.request.Time || a.Duration > l.request.Duration {
					t.Errorf("attempt %+v\nof %+v", a, l.request)
				}
				if a.Status != nil && a.FirstByte == nil { // the bytes of a held response have no status
					t.Errorf("attempt %+v: a response without its first byte", a)
				}
			}
		})
	}
}

// post sends a request of a client that leaves, or stays to the end.
func (l leaves) post(t *testing.T, url, body string, p *recorder.Provider) {
	ctx, cancel := context.WithTimeout(t.Context(), gatewaytest.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	client := http1(t)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if l == beforeHeaders {
		go func() {
			p.WaitRequests(t, 1)
			cancel()
		}()
	}
	resp, err := client.Do(req)
	if err != nil {
		if l != beforeHeaders {
			t.Error(err)
		}
		return
	}
	defer resp.Body.Close()
	if l == midway {
		_, _ = resp.Body.Read(make([]byte, 1))
	} else {
		_, _ = io.Copy(io.Discard, resp.Body) // what is cut fails; the log is what counts
	}
}
