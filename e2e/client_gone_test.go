package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// then sends some bytes of a type, and waits until the peer is gone.
func then(contentType, body string) recorder.Response {
	return func(x *recorder.Exchange) {
		x.Header().Set("Content-Type", contentType)
		x.WriteHeader(200)
		_, _ = io.WriteString(x, body)
		x.Flush()
		x.Wait()
	}
}

const (
	counted = `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":11,"completion_tokens":1,"total_tokens":12}}` + "\n\n" +
		`data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"b"}}],"usage":{"prompt_tokens":11,"completion_tokens":2,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":4}}}` + "\n\n"
	uncounted = `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}],"usage":null}` + "\n\n"
	begun     = "event: message_start\n" + `data: {"type":"message_start","message":{"type":"message","role":"assistant","content":[],"usage":{"input_tokens":3,"cache_read_input_tokens":5,"cache_creation_input_tokens":7,"output_tokens":1}}}` + "\n\n" +
		"event: ping\n" + `data: {"type":"ping"}` + "\n\n" +
		"event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}` + "\n\n"
	created = "event: response.created\n" + `data: {"type":"response.created","response":{"output":[],"usage":null}}` + "\n\n" +
		"event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","delta":"a"}` + "\n\n"
	vectors = `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,`
	done    = "data: [DONE]\n\n"
	stopped = "event: message_delta\n" + `data: {"type":"message_delta","delta":{},"usage":{"input_tokens":0,"output_tokens":7}}` + "\n\n" +
		"event: message_stop\n" + `data: {"type":"message_stop"}` + "\n\n"
	completed = "event: response.completed\n" + `data: {"type":"response.completed","response":{"output":[],"usage":{"input_tokens":11,"output_tokens":7,"total_tokens":18}}}` + "\n\n"
)

// When a client leaves, the provider's request ends, no further one is made,
// and what was known until then is in the log.
func TestClientGone(t *testing.T) {
	plain := recorder.Start(t, recorder.WithName("plain"))
	tls := recorder.Start(t, recorder.WithName("tls"), recorder.WithTLS())
	spare := recorder.Start(t, recorder.WithName("spare"))
	g := gatewaytest.Start(t, fmt.Sprintf(`
telemetry: {stream_end: true}
providers:
  - {id: plain, base_url: %s, supported_api_surfaces: [{format: openai}, {format: anthropic}]}
  - {id: tls, base_url: %s, tls: {ca_file: %s}, supported_api_surfaces: [{format: openai}, {format: anthropic}]}
  - {id: spare, base_url: %s, supported_api_surfaces: [{format: openai}, {format: anthropic}]}
`, plain.URL(), tls.URL(), tls.CA().File(t), spare.URL()))

	// Envoy holds log entries for a while, so they are looked at together.
	var checks []func(*testing.T)
	var names []string
	const events = "text/event-stream"
	for i, c := range []struct {
		name, path, extra string
		answer            recorder.Response
		read              string // what the client reads before it leaves; empty: not even the headers
		want              string // of the attempt
		request           string
		tokens            string
	}{
		{"before the headers", "/v1/chat/completions", `,"stream":true`, recorder.Silence, "", "none client_gone", "none client_gone", "unknown"},
		{"while the headers are held", "/v1/chat/completions", `,"stream":true`, then(events, ""), "", "none client_gone", "none client_gone", "unknown"},
		{"while an event is held", "/v1/chat/completions", `,"stream":true`, then(events, roleOnly), "", "none client_gone", "none client_gone", "unknown"},
		{"while what is held told tokens", "/v1/messages", `,"stream":true,"max_tokens":9`, then(events, strings.Split(begun, "event: content")[0]), "", "none client_gone", "none client_gone", "unknown"},
		{"midway, chat", "/v1/chat/completions", `,"stream":true,"stream_options":{"include_usage":true}`, then(events, uncounted), uncounted, "200 client_gone", "200 client_gone", "1+1=2 cached 0 reasoning 0, estimated"},
		{"midway, chat that counts", "/v1/chat/completions", `,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}`, then(events, counted), counted, "200 client_gone", "200 client_gone", "11+2=13 cached 4 reasoning 0"},
		{"midway, messages", "/v1/messages", `,"stream":true,"max_tokens":9`, then(events, begun), begun, "200 client_gone", "200 client_gone", "15+1=16 cached 5 reasoning 0, estimated"},
		{"midway, responses", "/v1/responses", `,"stream":true`, then(events, created), created, "200 client_gone", "200 client_gone", "1+1=2 cached 0 reasoning 0, estimated"},
		{"unary, before the headers", "/v1/chat/completions", ``, recorder.Silence, "", "none client_gone", "none client_gone", "unknown"},
		{"unary, midway", "/v1/embeddings", ``, then("application/json", vectors), vectors, "200 client_gone", "200 client_gone", "1+?=1 cached 0 reasoning 0, estimated"},
		// Many clients leave at the last event, before the end of the response.
		{"at the end, chat", "/v1/chat/completions", `,"stream":true`, then(events, counted+done), counted + done, "200", "200", "11+2=13 cached 4 reasoning 0"},
		{"at the end, chat without usage", "/v1/chat/completions", `,"stream":true`, then(events, uncounted+done), uncounted + done, "200", "200", "1+1=2 cached 0 reasoning 0, estimated"},
		{"at the end, completions", "/v1/completions", `,"stream":true`, then(events, counted+done), counted + done, "200", "200", "11+2=13 cached 4 reasoning 0"},
		{"at the end, messages", "/v1/messages", `,"stream":true,"max_tokens":9`, then(events, begun+stopped), begun + stopped, "200", "200", "15+7=22 cached 5 reasoning 0"},
		{"at the end, responses", "/v1/responses", `,"stream":true`, then(events, created+completed), created + completed, "200", "200", "11+7=18 cached 0 reasoning 0"},
	} {
		for _, via := range []struct {
			name     string
			client   func(*testing.T) *http.Client
			provider *recorder.Provider
			listed   string
		}{
			{"HTTP/1.1", http1, plain, `,"models":["spare:m"]`},
			{"HTTP/2", http2, tls, `,"models":["spare:m"]`},
			{"alone", http1, plain, ``},
		} {
			if via.name != "HTTP/1.1" && strings.Contains(c.name, "held") {
				continue // neither the last attempt is, nor anything over HTTP/2
			}
			t.Run(c.name+", "+via.name, func(t *testing.T) {
				p := via.provider
				p.Reset()
				spare.Reset()
				p.Script(c.answer)
				model := fmt.Sprintf("%s:%d-%s", p.Name, i, via.name)
				url, body := g.URL+c.path, `{"model":"`+model+`"`+via.listed+c.extra+`}`
				if c.read == "" {
					leaveUnanswered(t, via.client(t), url, body, p, false)
				} else {
					ctx, leave := context.WithTimeout(t.Context(), gatewaytest.Patience)
					defer leave()
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("Content-Type", "application/json")
					resp, err := via.client(t).Do(req)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					got := make([]byte, len(c.read))
					if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != c.read {
						t.Fatalf("read %q, %v", got, err)
					}
					leave()
				}
				wait(t, p.Last(t).Closed, "the end of the provider's request")
				if n, m := len(p.Requests()), len(spare.Requests()); n != 1 || m != 0 {
					t.Errorf("the provider received %d requests, the next one %d", n, m)
				}
				checks = append(checks, func(t *testing.T) {
					l := waitLogged(t, g.Stdout, "the lines of "+model, 1, func(l *logLine) bool { return l.Asked == model })[0]
					r, attempts := l.request, l.attempts
					if r.String() != c.request || r.ClientGone != strings.Contains(c.request, "client_gone") || r.Truncated || r.Attempts != 1 || r.Provider != p.Name {
						t.Errorf("request %s, client_gone %t, truncated %t, %d attempts, of %s; want %s", &r, r.ClientGone, r.Truncated, r.Attempts, r.Provider, c.request)
					}
					if len(attempts) != 1 || attempts[0].String() != c.want || !attempts[0].Final {
						t.Errorf("attempts %s, want %s", l.attemptList(), c.want)
					}
					if r.BytesOut != len(c.read) || r.Duration <= 0 || c.read != "" && r.FirstByte == nil || (r.LastByte != nil) != (c.request == "200") {
						t.Errorf("%d bytes out, want %d; took %g ms, first byte %s, last byte %s", r.BytesOut, len(c.read), r.Duration, ms(r.FirstByte), ms(r.LastByte))
					}
					if got := r.usage(); got != c.tokens {
						t.Errorf("tokens %s, want %s", got, c.tokens)
					}
				})
				names = append(names, t.Name())
			})
		}
	}
	t.Run("the provider breaks off", func(t *testing.T) {
		plain.Reset()
		plain.Script(thenReset(events, begun))
		a := g.Post("/v1/messages", `{"model":"plain:m","stream":true,"max_tokens":9}`)
		r := loggedAs(t, g, a.Header).request
		if a.Err == nil || r.String() != "200 reset" || r.ClientGone || r.Truncated || r.usage() != "15+1=16 cached 5 reasoning 0, estimated" {
			t.Errorf("%v; logged %s, client_gone %t, truncated %t, tokens %s", a.Err, &r, r.ClientGone, r.Truncated, r.Tokens)
		}
	})
	for i, check := range checks {
		t.Run("log: "+names[i], check)
	}
}

func ms(n *float64) string {
	if n == nil {
		return "unknown"
	}
	return fmt.Sprint(*n)
}
