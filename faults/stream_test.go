package faults

import (
	"fmt"
	"strings"
	"time"
)

// cuts: what happens once the client has a part of the response cannot be made
// undone, and must not look whole.
func cuts() group {
	return group{title: "Responses that are cut off", about: "The client has a part of A's response: no other provider is tried, and the client sees that the response is incomplete. A client that\nuses HTTP/1.1 sees it 1 s after the cut: Envoy keeps the connection for that long before it closes it.", on: usual, faults: []fault{
		{what: "RST in the middle", in: every, behaviours: first(head, opening, content, clientHas, reset), want: cutShort("reset")},
		{what: "FIN in the middle", in: every, behaviours: first(head, opening, content, clientHas, fin), want: cutShort("reset")},
		{what: "FIN in the middle of a chunk", in: streams, behaviours: first(head, opening, content, partial(": half"), clientHas, fin), want: cutShort("reset")},
		{what: "FIN in the middle of an event", in: streams, behaviours: first(head, opening, content, data("data: {"), clientHas, fin), want: cutShort("reset")},
		{what: "FIN after `[DONE]`, without the last chunk", in: in(chatStream), behaviours: first(head, opening, content, rest, last, clientHas, fin), want: cutShort("reset")},
		{what: "a chunk whose size is not a number", in: streams, behaviours: first(head, opening, content, clientHas, raw("zz\r\n: x\r\n")), want: cutShort("*")},
		{what: "HTTP/2: resets the stream in the middle", in: every, behaviours: []behaviour{overHTTP2(head, opening, content, clientHas, reset), answers}, want: cutShort("reset")},
		{what: "RST in the middle; the client uses HTTP/2", in: both, http2: true, behaviours: first(head, opening, content, clientHas, reset), want: cutShort("reset")},
		{what: "half close in the middle", in: both, behaviours: first(head, opening, content, clientHas, halfClose), want: cutShort("reset")},
		{what: "RST in the middle of B's response, after A's 500", in: streams, behaviours: []behaviour{does(status(500)), does(head, opening, content, clientHas, reset), answers},
			want: want{from: "B", cut: true, log: "A 500 status_5xx, B 200 reset"}},
	}}
}

// tails are the events with which the gateway ends a stream that broke off.
var tails = map[*mode]string{
	chatStream:      "data: " + truncated.body(chat) + "\n\n",
	messagesStream:  "event: error\ndata: " + truncated.body(messages) + "\n\n",
	responsesStream: "event: error\n" + `data: {"type":"error","code":"stream_truncated","message":"the provider closed the stream before sending its last event","param":null,"sequence_number":%d}` + "\n\n",
}

var truncated = refusal{502, "stream_truncated", "api_error", "the provider closed the stream before sending its last event"}

// strictEnds: `strict_stream_end`.
func strictEnds() group {
	faults := []fault{
		{what: "its API's last event", in: streams, behaviours: first(answer), want: asItCame()},
		{what: "a response that is not a stream", in: unaries, behaviours: first(answer), want: asItCame()},
		{what: "an error after content", in: streams, behaviours: first(head, opening, content, broken, end), want: asItCame()},
		{what: "RST in the middle", in: streams, behaviours: first(head, opening, content, clientHas, reset), want: cutShort("reset")},
		{what: "500", in: streams, behaviours: first(status(500)), want: second("500 status_5xx")},
	}
	for _, m := range streams {
		ended := func(between string, number int) want {
			w := asItCame()
			w.tail = between + tails[m]
			if m == responsesStream {
				w.tail = between + fmt.Sprintf(tails[m], number)
			}
			return w
		}
		faults = append(faults,
			fault{what: "no last event", in: in(m), behaviours: first(head, opening, content, rest, end), want: ended("", 4)},
			fault{what: "no last event, `content-encoding: identity`", in: in(m), want: ended("", 4),
				behaviours: first(headers("200 OK", "content-type: "+eventStream, "content-encoding: identity", "transfer-encoding: chunked"), opening, content, rest, end)},
			fault{what: "HTTP/2: no last event, and trailers", in: in(m), behaviours: []behaviour{overHTTP2(head, opening, content, rest, trailers), answers}, want: want{from: "A", cut: true, log: "A 200"}},
			fault{what: "the end in the middle of an event", in: in(m), behaviours: first(head, opening, content, halfEvent, end), want: ended("\n\n", 3)},
			fault{what: "no last event; A is the only provider", in: in(m), behaviours: only(head, opening, content, rest, end), want: ended("", 4)})
	}
	return group{title: "With `strict_stream_end: true`", on: strict, faults: faults}
}

// oddities are what a client has to make sense of by itself.
func oddities() group {
	slow := 20 * time.Millisecond
	odd := func(what string, modes []*mode, steps ...step) fault {
		return fault{what: what, in: modes, behaviours: first(steps...), want: asItCame()}
	}
	long := `{"content":"` + strings.Repeat("long ", 2<<20/5) + `"}`
	return group{title: "Unusual responses that pass", about: "B is in the plan, and is not tried.", on: usual, faults: []fault{
		odd("no last event", streams, head, opening, content, rest, end),
		odd("an error after content", streams, head, opening, content, broken, end),
		odd("`response.failed` after content", in(responsesStream), head, opening, content, refused, end),
		odd("an event that is not JSON", streams, head, opening, content, data("data: {\"broken\n\n"), rest, last, end),
		odd("bytes that are not UTF-8", streams, head, opening, content, data("data: \xff\xfe\n\n"), rest, last, end),
		odd("the last event twice", streams, head, opening, content, rest, last, last, end),
		odd("events after the last event", streams, head, opening, content, rest, last, content, end),
		odd("comments between events", streams, head, opening, content, data(": wait\n\n"), rest, data(":\n\n"), last, end),
		odd("line ends of CRLF", streams, head, func(x *exchange) {
			for _, e := range x.mode.answer() {
				data(strings.ReplaceAll(e, "\n", "\r\n"))(x)
			}
		}, end),
		odd("line ends of CR", in(chatStream), head, func(x *exchange) {
			for _, e := range x.mode.answer() {
				data(strings.ReplaceAll(e, "\n", "\r"))(x)
			}
		}, end),
		odd("events that are cut anywhere, in packets of their own", streams, head, func(x *exchange) {
			all := x.fill(strings.Join(x.mode.answer(), ""))
			for i := 0; i < len(all); i += 97 {
				data(all[i:min(i+97, len(all))])(x)
				pause(slow)(x)
			}
		}, end),
		odd("all events in one packet", streams, head, func(x *exchange) { data(strings.Join(x.mode.answer(), ""))(x) }, end),
		odd("one byte at a time", every, head, func(x *exchange) { slowly(strings.Join(x.mode.answer(), ""), 0)(x) }, end),
		odd("an event of 2 MB", in(chatStream), head, opening, data(chunk(long, "null")), rest, last, end),
		odd("a document of 2 MB", in(chat), headers("200 OK", "content-type: application/json", "transfer-encoding: chunked"),
			data(chat.content...), data(`tent":"`+strings.Repeat("long ", 2<<20/5)+`"}}]}`), end),
		odd("no blank line after the last event", in(chatStream), head, opening, content, rest, data("data: [DONE]"), end),
		odd("a null character", in(chatStream), head, opening, content, data("data: \x00\n\n"), rest, last, end),
		odd("no usage", in(chat), whole(document, `{"object":"chat.completion","choices":[{"message":{"content":"I am @"}}]}`)),
		odd("a stream with a length", in(chatStream), func(x *exchange) { whole(eventStream, strings.Join(x.mode.answer(), ""))(x) }),
		odd("a stream in a content type without parameters, in capitals", in(chatStream), headers("200 OK", "Content-Type: TEXT/EVENT-STREAM", "Transfer-Encoding: chunked"),
			opening, content, rest, last, end),
		odd("an unusual status text", both, func(x *exchange) {
			headers("200 Everything is fine", "content-type: "+x.mode.kind, "transfer-encoding: chunked")(x)
		}, opening, content, rest, last, end),
	}}
}
