package e2e

import (
	"fmt"
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

const cutMessage = "the provider ended the stream before the answer was complete"

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

// bytewise sends a text in pieces of one byte each.
func bytewise(s string) []string { return strings.Split(s, "") }

// With strict_stream_end, a stream that ends as HTTP has it, but not as its API
// has it, ends in an error event.
func TestStrictStreamEnd(t *testing.T) {
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

	type sent struct {
		name   string
		events []string
		added  string
	}
	for _, e := range endings {
		whole, end := strings.Join(e.events, ""), len(e.events)-1
		last := e.events[end]
		before := strings.Join(e.events[:end], "")
		// The content is longer than what is looked at of an event, and than what is held.
		large := strings.Replace(whole, `!`, strings.Repeat("!", 2<<20), 1)
		large = strings.Replace(large, `"data: [DONE]"`, `"`+strings.Repeat("data: [DONE]", 200_000)+`"`, 1)
		large = strings.Replace(large, `"event: message_stop"`, `"`+strings.Repeat("event: message_stop", 120_000)+`"`, 1)
		cases := []sent{
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
		for _, c := range cases {
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
						t.Fatalf("answer %d, %v, %v: %d bytes that end in\n%q\nwant %d bytes that end in\n%q", a.Status, a.Header, a.Err, len(a.Body), a.Body[min(from, len(a.Body)):], len(want), want[min(from, len(want)):])
					}
				})
			}
		}
	}
	t.Run("no stream", func(t *testing.T) {
		first.Reset()
		for _, e := range endings {
			if a := g.Post(e.path, `{"model":"first:m"`+e.extra+`,"messages":[]}`); a.Status != 200 || !strings.HasSuffix(a.Body, "}") || strings.Contains(a.Body, "truncated") {
				t.Errorf("answer %d %s", a.Status, a.Body)
			}
		}
	})
	t.Run("an API without such an event", func(t *testing.T) {
		first.Reset()
		const sound = "event: speech.audio.delta\ndata: {\"type\":\"speech.audio.delta\",\"audio\":\"AA==\"}\n\n"
		first.Script(recorder.Events(sound))
		if a := g.Post("/v1/audio/speech", `{"model":"first:m","stream":true,"stream_format":"sse"}`); a.Status != 200 || a.Body != sound {
			t.Errorf("answer %d %s", a.Status, a.Body)
		}
	})
}
