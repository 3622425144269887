package e2e

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// load sends requests without pause until it ends, and reports each that does not get
// the response that it must get.
type load struct {
	t     *testing.T
	url   string
	stop  chan struct{}
	group sync.WaitGroup
	sent  atomic.Int64
}

func newLoad(t *testing.T, url string) *load {
	l := &load{t: t, url: url, stop: make(chan struct{})}
	t.Cleanup(l.end)
	return l
}

// end waits for the responses to what was sent.
func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.group.Wait()
}

// ask sends one request after another on a connection that is kept.
func (l *load) ask(method, path, body string, right func(answer string) bool) {
	l.group.Go(func() {
		transport := &http.Transport{DisableCompression: true}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: gatewaytest.Patience}
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			req, err := http.NewRequestWithContext(l.t.Context(), method, l.url+path, strings.NewReader(body))
			if err != nil {
				l.t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			if err != nil {
				l.t.Errorf("%s %s: %v", path, body, err)
				return
			}
			answer, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			l.sent.Add(1)
			if err != nil || resp.StatusCode != http.StatusOK || !right(string(answer)) {
				l.t.Errorf("%s %s: %s, %v, %s", path, body, resp.Status, err, answer)
				return
			}
		}
	})
}

// chat asks for one completion after another, and each must be of one of these
// providers.
func (l *load) chat(body, model string, from ...*recorder.Provider) {
	l.ask(http.MethodPost, "/v1/chat/completions", body, func(answer string) bool {
		text, whole := content(answer)
		return whole && slices.ContainsFunc(from, func(p *recorder.Provider) bool { return text == p.ResponseText(model) })
	})
}

// content is the text of a chat completion, or of a stream of them, and whether
// it came to its end.
func content(answer string) (text string, whole bool) {
	type completion struct {
		Choices []struct{ Message, Delta struct{ Content string } }
	}
	var c completion
	if json.Unmarshal([]byte(answer), &c) == nil && len(c.Choices) == 1 {
		return c.Choices[0].Message.Content, true
	}
	for line := range strings.Lines(answer) {
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		var c completion
		switch {
		case !ok:
		case data == "[DONE]":
			return text, true
		case json.Unmarshal([]byte(data), &c) != nil:
			return text, false
		case len(c.Choices) == 1:
			text += c.Choices[0].Delta.Content
		}
	}
	return text, false
}

// background sends a request and returns what waits for its response.
func background(t *testing.T, g *gatewaytest.Gateway, body string) func() gatewaytest.Response {
	t.Helper()
	done := make(chan gatewaytest.Response, 1)
	go func() {
		defer close(done) // Post may end the goroutine
		done <- g.Post("/v1/chat/completions", body)
	}()
	return func() gatewaytest.Response {
		t.Helper()
		select {
		case a := <-done:
			return a
		case <-time.After(gatewaytest.Patience):
			t.Fatalf("no response to %s", body)
			return gatewaytest.Response{}
		}
	}
}

func port(t *testing.T, p *recorder.Provider) string {
	t.Helper()
	_, port, err := net.SplitHostPort(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
