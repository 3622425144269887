package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// ending is how streams of an API go, with the event that each ends in and the
// one that Weir puts in its place.
type ending struct {
	name, path, extra string
	events            []string // whole, the last one is the terminal event
	err               string
}

const cutMessage = "the provider closed the stream before sending its last event"

var endings = []ending{
	{
		"chat", "/v1/chat/completions", ``,
		[]string{
			roleOnly,
			`data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"data: [DONE]"},"finish_reason":null}]}` + "\n\n",
			`data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n",
			"data: [DONE]\n\n",
		},
		`data: {"error":{"message":"` + cutMessage + `","type":"api_error","code":"stream_truncated","param":null}}` + "\n\n",
	},
	{
		"responses", "/v1/responses", ``,
		[]string{
			"event: response.created\n" + `data: {"type":"response.created","sequence_number":0,"response":{"object":"response","output":[]}}` + "\n\n",
			"event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","sequence_number":1,"delta":"event: response.completed"}` + "\n\n",
			"event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","sequence_number":2,"delta":"!"}` + "\n\n",
			"event: response.completed\n" + `data: {"type":"response.completed","sequence_number":3,"response":{"object":"response","output":[{"type":"message"}]}}` + "\n\n",
		},
		"event: error\n" + `data: {"type":"error","code":"stream_truncated","message":"` + cutMessage + `","param":null,"sequence_number":3}` + "\n\n",
	},
	{
		"messages", "/v1/messages", `,"max_tokens":9`,
		[]string{
			"event: message_start\n" + `data: {"type":"message_start","message":{"type":"message","role":"assistant","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}` + "\n\n",
			"event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"event: message_stop"}}` + "\n\n",
			"event: message_delta\n" + `data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}` + "\n\n",
			"event: message_stop\n" + `data: {"type":"message_stop"}` + "\n\n",
		},
		"event: error\n" + `data: {"type":"error","error":{"type":"api_error","message":"` + cutMessage + `"}}` + "\n\n",
	},
}

// way is how a stream may come, and what strict_stream_end adds to it.
type way struct {
	name   string
	events []string
	added  string
}

func (e *ending) ways() []way {
	whole, end := strings.Join(e.events, ""), len(e.events)-1
	last := e.events[end]
	before := strings.Join(e.events[:end], "")
	// The content is longer than what is looked at of an event, and than what is held.
	large := strings.Replace(whole, `!`, strings.Repeat("!", 2<<20), 1)
	large = strings.Replace(large, `"data: [DONE]"`, `"`+strings.Repeat("data: [DONE]", 200_000)+`"`, 1)
	large = strings.Replace(large, `"event: message_stop"`, `"`+strings.Repeat("event: message_stop", 120_000)+`"`, 1)
	return []way{
		{"whole", e.events, ""},
		{"whole, in one piece", []string{whole}, ""},
		{"whole, byte by byte", bytewise(whole), ""},
		{"whole, CRLF", []string{strings.ReplaceAll(whole, "\n", "\r\n")}, ""},
		{"whole, CR", []string{strings.ReplaceAll(whole, "\n", "\r")}, ""},
		{"whole, no space", []string{strings.ReplaceAll(strings.ReplaceAll(whole, "data: {", "data:{"), "data: [DONE]\n", "data:[DONE]\n")}, ""},
		{"the end twice", []string{whole, last}, ""},
		{"more after the end", []string{whole, ": bye\n\n", e.events[1]}, ""},
		{"whole, without the last empty line", []string{strings.TrimSuffix(whole, "\n")}, ""},
		{"2 MB", []string{large}, ""},
		{"cut", e.events[:end], e.err},
		{"cut, byte by byte", bytewise(before), e.err},
		{"cut, CRLF", []string{strings.ReplaceAll(before, "\n", "\r\n")}, e.err},
		{"cut, 2 MB", []string{strings.TrimSuffix(large, last)}, e.err},
		{"cut before the last line end", []string{strings.TrimSuffix(before, "\n")}, "\n\n" + e.err},
		{"cut in an event", []string{before, last[:9]}, "\n\n" + e.err},
		{"comment after the cut", []string{before, ": bye\n\n"}, e.err},
		{"error event", []string{before, e.err}, ""},
	}
}

// plainEncodings say that nothing was encoded.
var plainEncodings = []string{"identity", "Identity , IDENTITY", " ,"}

// bytewise sends a text in pieces of one byte each.
func bytewise(s string) []string { return strings.Split(s, "") }

// With strict_stream_end, a stream that ends as HTTP has it, but not as its API
// has it, ends in an error event.
func TestStrictStreamEnd(t *testing.T) {
	t.Parallel()
	first := recorder.Start(t, recorder.WithName("first"))
	second := recorder.Start(t, recorder.WithName("second"), recorder.WithTLS())
	const config = `
on_http_request:
  - type: ai-gateway
    config:
      strict_stream_end: true
      providers:
        - {id: first, base_url: %s, supported_api_surfaces: [{format: openai}, {format: anthropic}]}
        - {id: second, base_url: %s, tls: {ca_file: %s}, supported_api_surfaces: [{format: openai}, {format: anthropic}]}
`
	g := gatewaytest.Start(t, fmt.Sprintf(config, first.URL(), second.URL(), second.CA().File(t)))

	var answered []http.Header
	var cut []bool
	var names []string
	for _, e := range endings {
		for _, c := range e.ways() {
			for _, via := range []struct {
				name, models   string
				firstFails     bool
				provider       *recorder.Provider
				streamAttempts string
			}{
				{"one attempt", `"model":"first:m"`, false, first, "1"},
				{"first of two", `"model":"first:m","models":["second:m"]`, false, first, "1"},
				{"last of two", `"model":"first:m","models":["second:m"]`, true, second, "2"},
			} {
				t.Run(e.name+", "+c.name+", "+via.name, func(t *testing.T) {
					first.Reset()
					second.Reset()
					if via.firstFails {
						first.Script(recorder.Error(503))
					}
					via.provider.Script(recorder.Events(c.events...))
					a := g.Post(e.path, `{`+via.models+e.extra+`,"stream":true,"messages":[]}`)
					want := strings.Join(c.events, "") + c.added
					if a.Status != 200 || a.Err != nil || a.Header.Get("X-Weir-Attempts") != via.streamAttempts || a.Body != want {
						from := max(0, min(len(a.Body), len(want))-300)
						t.Errorf("response %d, %v, %v: %d bytes that end in\n%q\nwant %d bytes that end in\n%q", a.Status, a.Header, a.Err, len(a.Body), a.Body[min(from, len(a.Body)):], len(want), want[min(from, len(want)):])
						return
					}
					answered, cut, names = append(answered, a.Header), append(cut, c.added != ""), append(names, t.Name())
				})
			}
		}
	}
	for _, encoding := range plainEncodings {
		t.Run("encoded as "+encoding, func(t *testing.T) {
			first.Reset()
			e := &endings[0]
			before := strings.Join(e.events[:len(e.events)-1], "")
			first.Script(recorder.Status(200, http.Header{"Content-Type": {"text/event-stream; charset=utf-8; charset=utf-8"}, "Content-Encoding": {encoding}}, before))
			a := g.Post(e.path, `{"model":"first:m","models":["second:m"],"stream":true}`)
			if a.Status != 200 || a.Err != nil || a.Body != before+e.err {
				t.Errorf("response %d, %v, %q", a.Status, a.Err, a.Body)
			}
			answered, cut, names = append(answered, a.Header), append(cut, true), append(names, t.Name())
		})
	}
	t.Run("access log", func(t *testing.T) {
		for i, h := range answered {
			if l := loggedAs(t, g, h).request; l.Truncated != cut[i] || (l.Cause == "truncated") != cut[i] {
				t.Errorf("%s: truncated %t, cause %q", names[i], l.Truncated, l.Cause)
			}
		}
	})
	t.Run("no stream", func(t *testing.T) {
		first.Reset()
		for _, e := range endings {
			if a := g.Post(e.path, `{"model":"first:m"`+e.extra+`,"messages":[]}`); a.Status != 200 || !strings.HasSuffix(a.Body, "}") || strings.Contains(a.Body, "truncated") {
				t.Errorf("response %d %s", a.Status, a.Body)
			}
		}
	})
	t.Run("an API without such an event", func(t *testing.T) {
		first.Reset()
		const sound = "event: speech.audio.delta\ndata: {\"type\":\"speech.audio.delta\",\"audio\":\"AA==\"}\n\n"
		first.Script(recorder.Events(sound))
		if a := g.Post("/v1/audio/speech", `{"model":"first:m","stream":true,"stream_format":"sse"}`); a.Status != 200 || a.Body != sound {
			t.Errorf("response %d %s", a.Status, a.Body)
		}
	})
}

// With telemetry.stream_end, a stream that ends without the last event of its
// API is marked, and passes as it came.
func TestStreamEnd(t *testing.T) {
	t.Parallel()
	one := recorder.Start(t, recorder.WithName("one"))
	two := recorder.Start(t, recorder.WithName("two"), recorder.WithTLS())
	failing := recorder.Start(t, recorder.WithName("failing"))
	g := gatewaytest.Start(t, fmt.Sprintf(`
telemetry: {stream_end: true}
providers:
  - {id: one, base_url: %s, supported_api_surfaces: [{format: openai}, {format: anthropic}]}
  - {id: two, base_url: %s, tls: {ca_file: %s}, supported_api_surfaces: [{format: openai}, {format: anthropic}]}
  - {id: failing, base_url: %s, supported_api_surfaces: [{format: openai}, {format: anthropic}]}
`, one.URL(), two.URL(), two.CA().File(t), failing.URL()))
	type expected struct {
		name   string
		header http.Header
		cut    bool
	}
	var all []expected
	total := 0
	send := func(t *testing.T, p *recorder.Provider, path, body string, answer recorder.Response, want string, cut bool) {
		t.Helper()
		p.Reset()
		p.Script(answer)
		a := g.Post(path, body)
		if a.Status != 200 || a.Err != nil || a.Body != want {
			t.Errorf("response %d, %v, %v: %d bytes, want %d", a.Status, a.Header, a.Err, len(a.Body), len(want))
			return
		}
		if cut {
			total++
		}
		all = append(all, expected{t.Name(), a.Header, cut})
	}
	for _, e := range endings {
		for _, c := range e.ways() {
			for _, via := range []struct {
				name, models string
				provider     *recorder.Provider
				packed       bool
			}{
				{"HTTP/1.1", `"model":"one:m"`, one, false},
				{"HTTP/2", `"model":"two:m"`, two, false},
				{"gzip", `"model":"one:m"`, one, true},
				{"failover", `"model":"failing:m","models":["one:m"]`, one, false},
			} {
				t.Run(e.name+", "+c.name+", "+via.name, func(t *testing.T) {
					failing.Reset()
					failing.Script(recorder.Error(503))
					want := strings.Join(c.events, "")
					answer := recorder.Events(c.events...)
					if via.packed {
						answer = recorder.Status(200, http.Header{"Content-Type": {"Text/Event-Stream"}, "Content-Encoding": {"gzip"}}, pack(want))
					}
					send(t, via.provider, e.path, `{`+via.models+e.extra+`,"stream":true,"messages":[]}`, answer, want, c.added != "")
				})
			}
		}
	}
	events := http.Header{"Content-Type": {"text/event-stream"}}
	for _, c := range []struct {
		name, path, body string
		answer           recorder.Response
		want             string
	}{
		{"unreadable", "/v1/chat/completions", `{"model":"one:m","stream":true}`, recorder.Status(200, http.Header{"Content-Type": {"text/event-stream"}, "Content-Encoding": {"br"}}, "???"), "???"},
		{"no events", "/v1/chat/completions", `{"model":"one:m","stream":true}`, recorder.Status(200, nil, "{}"), "{}"},
		{"no stream was asked for", "/v1/chat/completions", `{"model":"one:m"}`, recorder.Status(200, events, "data: {}\n\n"), "data: {}\n\n"},
		{"another API", "/v1/audio/speech", `{"model":"one:m","stream":true}`, recorder.Status(200, events, "data: {}\n\n"), "data: {}\n\n"},
		{"types later in the data", "/v1/responses", `{"model":"one:m","stream":true}`, recorder.Status(200, events, "data: {\"response\":{}, \"type\" : \"response.incomplete\"}\n\n"), "data: {\"response\":{}, \"type\" : \"response.incomplete\"}\n\n"},
	} {
		t.Run(c.name, func(t *testing.T) { send(t, one, c.path, c.body, c.answer, c.want, false) })
	}
	for _, encoding := range plainEncodings {
		t.Run("encoded as "+encoding, func(t *testing.T) {
			encoded := http.Header{"Content-Type": {"text/event-stream"}, "Content-Encoding": {encoding}}
			send(t, one, "/v1/chat/completions", `{"model":"one:m","stream":true}`, recorder.Status(200, encoded, "data: {}\n\n"), "data: {}\n\n", true)
		})
	}
	t.Run("nothing", func(t *testing.T) {
		send(t, one, "/v1/chat/completions", `{"model":"one:m","stream":true}`, recorder.Status(200, events, ""), "", true)
	})
	for n := range 2 {
		t.Run(fmt.Sprint("trailers, without ", n, " events"), func(t *testing.T) {
			events := endings[0].events[:len(endings[0].events)-n]
			send(t, two, "/v1/chat/completions", `{"model":"two:m","stream":true}`, func(x *recorder.Exchange) {
				recorder.Events(events...)(x)
				x.Header().Set(http.TrailerPrefix+"X-Took", "1")
			}, strings.Join(events, ""), n > 0)
		})
	}
	t.Run("reset", func(t *testing.T) {
		one.Reset()
		one.Script(thenReset("text/event-stream", endings[0].events[1]))
		if a := g.Post("/v1/chat/completions", `{"model":"one:m","stream":true}`); a.Err == nil {
			t.Errorf("response %d %q", a.Status, a.Body)
		} else {
			all = append(all, expected{t.Name(), a.Header, false})
		}
	})
	for _, e := range all {
		want := ""
		if e.cut {
			want = "truncated"
		}
		l := loggedAs(t, g, e.header).request
		if l.Truncated != e.cut || l.Cause != want && !strings.HasSuffix(e.name, "/reset") {
			t.Errorf("%s: truncated %t, cause %q, want %q", e.name, l.Truncated, l.Cause, want)
		}
	}
	if got := scrape(t, g).sum("weir_streams_truncated_total", `operation="chat"`); got != float64(total) {
		t.Errorf("%g streams are counted, want %d", got, total)
	}
}

// A stream that Weir follows for its silence is marked, and not changed.
func TestStreamEndOfFollowedStreams(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	g := gatewaytest.Start(t, fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: 1m
      stream_idle_timeout: 10s
      providers: [{id: p, base_url: %s, supported_api_surfaces: [{format: openai}, {format: anthropic}]}]
`, p.URL()))
	type expected struct {
		api       string
		header    http.Header
		truncated bool
	}
	var all []expected
	for _, e := range endings {
		for n := range 2 {
			events := e.events[:len(e.events)-n]
			p.Script(recorder.Events(events...))
			a := g.Post(e.path, `{"model":"p:m"`+e.extra+`,"stream":true,"messages":[]}`)
			if want := strings.Join(events, ""); a.Status != 200 || a.Body != want || a.Err != nil {
				t.Errorf("response %d, %v: %q, want %q", a.Status, a.Err, a.Body, want)
			}
			all = append(all, expected{e.name, a.Header, n > 0})
		}
	}
	for _, e := range all {
		if l := loggedAs(t, g, e.header).request; l.Truncated != e.truncated {
			t.Errorf("%s: truncated %t, want %t", e.api, l.Truncated, e.truncated)
		}
	}
}
