package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// thenSilence sends a stream's beginning, and nothing more.
func thenSilence(events ...string) recorder.Response {
	return func(x *recorder.Exchange) {
		recorder.Events(events...)(x)
		x.Flush()
		x.Wait()
	}
}

// thenReset sends bytes and resets the connection.
func thenReset(contentType, body string) recorder.Response {
	return func(x *recorder.Exchange) {
		x.Header().Set("Content-Type", contentType)
		x.WriteHeader(200)
		_, _ = x.Write([]byte(body))
		x.Flush()
		x.ResetConn()
	}
}

const roleOnly = `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n"

// A failure disguised as success never reaches the client as long as another attempt may
// follow. These are the cases that the fault wall (package faults) does not have.
func TestGate(t *testing.T) {
	t.Parallel()
	first := recorder.Start(t, recorder.WithName("first"))
	second := recorder.Start(t, recorder.WithName("second"))
	g := gatewaytest.Start(t, fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      outlier_detection: {disabled: true}
      providers:
        - {id: first, base_url: %s, supported_api_surfaces: [{format: openai}, {format: anthropic}]}
        - {id: second, base_url: %s, supported_api_surfaces: [{format: openai}, {format: anthropic}]}
`, first.URL(), second.URL()))
	var causes []string
	var answered []http.Header
	for _, c := range []struct {
		name, path, extra string
		answer            recorder.Response
		cause             string
	}{
		{"chat: error event after role", "/v1/chat/completions", `,"stream":true`, recorder.Events(": hello\n\n", roleOnly, "data: {\"error\":\"no\"}\n\n"), "error_answer"},
		{"responses: failed", "/v1/responses", `,"stream":true`, recorder.Events("data: {\"type\":\"response.failed\",\"response\":{\"error\":{}}}\n\n"), "error_answer"},
		{"unary, cut", "/v1/chat/completions", ``, thenReset("application/json", `{"id":"x","obj`), "reset"},
	} {
		t.Run(c.name, func(t *testing.T) {
			first.Reset()
			second.Reset()
			first.Script(c.answer)
			a := g.Post(c.path, `{"model":"first:m","models":["second:m2"]`+c.extra+`,"messages":[]}`)
			if a.Status != 200 || a.Header.Get("X-Weir-Provider") != "second" || a.Header.Get("X-Weir-Attempts") != "2" || a.Header.Get("X-Weir-Cause") != "" {
				t.Fatalf("response %d %v %s", a.Status, a.Header, a.Body)
			}
			direct := g.Post(c.path, `{"model":"second:m2"`+c.extra+`,"messages":[]}`)
			if a.Body == "" || len(a.Body) != len(direct.Body) {
				t.Errorf("got %s\nwant a response like %s", a.Body, direct.Body)
			}
			if n := len(second.Requests()); n != 2 {
				t.Errorf("the second provider received %d requests", n)
			}
			causes = append(causes, c.cause)
			answered = append(answered, a.Header)
		})
	}
	t.Run("access log", func(t *testing.T) {
		for i, h := range answered {
			if l := loggedAs(t, g, h); len(l.attempts) != 2 || l.attempts[0].Cause != causes[i] || l.attempts[1].Cause != "" {
				t.Errorf("attempts %s, want cause %s", l.attemptList(), causes[i])
			}
		}
	})
	t.Run("the last attempt is not judged", func(t *testing.T) {
		const failed = "data: {\"error\":{\"message\":\"overloaded\"}}\n\n"
		for _, models := range []string{`"model":"first:m"`, `"model":"first:m","models":["second:m"]`} {
			first.Reset()
			second.Reset()
			first.Script(recorder.Events(failed))
			second.Script(recorder.Events(failed))
			if a := g.Post("/v1/chat/completions", `{`+models+`,"stream":true}`); a.Status != 200 || a.Body != failed {
				t.Errorf("response %d %q", a.Status, a.Body)
			}
		}
	})
	t.Run("a redirect is never shown", func(t *testing.T) {
		for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
			first.Reset()
			second.Reset()
			first.Script(recorder.Status(301, http.Header{"Location": {second.URL() + "/elsewhere"}, "Set-Cookie": {"a=b"}}, "moved"))
			a := g.Post(path, `{"model":"first:m"}`)
			if a.Status != 502 || a.Header.Get("Location") != "" || a.Header.Get("Set-Cookie") != "" || !strings.Contains(a.Body, "redirects") {
				t.Errorf("response %d %v %s", a.Status, a.Header, a.Body)
			}
			if l := loggedAs(t, g, a.Header); len(l.attempts) != 1 || l.attempts[0].Cause != "redirect" {
				t.Errorf("attempts %s", l.attemptList())
			}
			if n := len(second.Requests()); n != 0 {
				t.Errorf("%d requests elsewhere", n)
			}
		}
	})
	t.Run("held bytes arrive unchanged", func(t *testing.T) {
		comments := strings.Repeat(": "+strings.Repeat("x", 1000)+"\n\n", 70)
		content := "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\r\n\r\n"
		for _, events := range [][]string{
			{roleOnly, content, "data: [DONE]\n\n"},
			{comments, content, "data: [DONE]\n\n"},
			strings.Split(roleOnly+content+"data: [DONE]\n\n", ""),
		} {
			first.Reset()
			first.Script(recorder.Events(events...))
			want := strings.Join(events, "")
			if a := g.Post("/v1/chat/completions", `{"model":"first:m","models":["second:m"],"stream":true}`); a.Status != 200 || a.Body != want {
				t.Errorf("response %d, %d bytes, want %d", a.Status, len(a.Body), len(want))
			}
		}
	})
}

// The timeouts mean what they say.
func TestTotalTimeoutOfStreams(t *testing.T) {
	t.Parallel()
	silent := recorder.Start(t)
	silent.Script(slices.Repeat([]recorder.Response{recorder.Silence}, 20)...)
	held := recorder.Start(t)
	held.Script(slices.Repeat([]recorder.Response{thenSilence(roleOnly)}, 20)...)
	g := gatewaytest.Start(t, fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: 2s
      total_timeout: 5800ms
      outlier_detection: {disabled: true}
      providers:
        - {id: s, base_url: %s}
        - {id: h, base_url: %s}
`, silent.URL(), held.URL()))
	for _, c := range []struct{ name, id, stream string }{{"silent", "s", "true"}, {"silent, unary", "s", "false"}, {"held", "h", "true"}} {
		id, stream := c.id, c.stream
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			a := g.Post("/v1/chat/completions", fmt.Sprintf(`{"model":"%[1]s:a","models":["%[1]s:b","%[1]s:c","%[1]s:d","%[1]s:e","%[1]s:f"],"stream":%s}`, id, stream))
			if took := time.Since(start); took < 5700*time.Millisecond || took > 11*time.Second { // six attempts would take 12 s
				t.Errorf("response after %v", took)
			}
			if a.Status != 504 || !strings.Contains(a.Body, `"code":"timeout"`) {
				t.Errorf("response %d %s", a.Status, a.Body)
			}
			if got := a.Header.Get("X-Weir-Attempts"); got != "3" {
				t.Errorf("%s attempts", got)
			}
		})
	}
}
