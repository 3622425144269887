package faults

import (
	"strings"
	"time"
)

// limits: the clocks.
func limits() group {
	attempt := clocks.attempt
	trickle := slowly(strings.Repeat(" ", 300), 100*time.Millisecond)
	breath := pause(1500 * time.Millisecond)
	whatever := headers("200 OK", "content-type: application/json", "content-length: 1000")
	return group{title: "Timeouts", on: usual, faults: []fault{
		{what: "half of a response, then a byte each 100 ms: `per_request_timeout` ends it", in: unaries, behaviours: first(whatever, content, clientHas, trickle),
			want: cutShort("timeout").some().within(attempt, 4*time.Second)},
		{what: "the same; A is the only provider", in: in(chat), behaviours: only(whatever, content, clientHas, trickle),
			want: cutShort("timeout").some().within(attempt, 4*time.Second)},
		{what: "half of a response, then silence: `per_request_timeout` ends it", in: unaries, behaviours: first(whatever, content, clientHas, silence),
			want: cutShort("timeout").within(attempt, 4*time.Second)},
		{what: "spaces, a byte each 100 ms", in: in(chat), behaviours: first(whatever, trickle), want: second("timeout").within(attempt, 4*time.Second)},
		{what: "a stream pauses for 1.5 s, longer than `per_request_timeout`", in: streams, behaviours: first(head, opening, content, clientHas, breath, rest, last, end),
			want: asItCame().within(1500*time.Millisecond, 5*time.Second)},
		{what: "a stream lasts 4.5 s, longer than `total_timeout`", in: streams,
			behaviours: first(head, opening, content, clientHas, breath, data(": wait\n\n"), breath, data(": wait\n\n"), breath, rest, last, end),
			want:       asItCame().within(4500*time.Millisecond, 9*time.Second)},
		{what: "silence in a stream: `stream_idle_timeout` ends it", in: streams, behaviours: first(head, opening, content, clientHas, silence),
			want: cutShort("timeout").within(clocks.idle, idled)},
		{what: "silence in a stream; A is the only provider", in: streams, behaviours: only(head, opening, content, clientHas, silence),
			want: cutShort("timeout").within(clocks.idle, idled)},
		{what: "silence in a stream; the client uses HTTP/2", in: in(chatStream), http2: true, behaviours: first(head, opening, content, clientHas, silence),
			want: cutShort("timeout").within(clocks.idle, idled)},
		{what: "HTTP/2: silence in a stream", in: in(chatStream), behaviours: []behaviour{overHTTP2(head, opening, content, clientHas, silence), answers},
			want: cutShort("timeout").within(clocks.idle, idled)},
		{what: "the last byte of a response never arrives", in: in(chat), behaviours: first(headers("200 OK", "content-type: application/json", "content-length: 1000"), data(chat.content[0]+strings.Repeat(" ", 999-len(chat.content[0]))), clientHas, silence),
			want: cutShort("timeout").within(attempt, 4*time.Second)},
		{what: "silence for 300 ms before the headers, less than `per_request_timeout`", in: both, behaviours: first(pause(300*time.Millisecond), answer),
			want: asItCame().within(300*time.Millisecond, 4*time.Second)},
		{what: "silence; B pauses for 300 ms, then responds", in: both, behaviours: []behaviour{does(silence), does(pause(300*time.Millisecond), answer)},
			want: second("timeout").within(1300*time.Millisecond, 5*time.Second)},
	}}
}

// idled is how late the end of a silent stream may come.
const idled = 4500 * time.Millisecond

// shortIdle: a stream's silence is bounded more strictly than an attempt.
func shortIdle() group {
	breath, bit := pause(1500*time.Millisecond), pause(400*time.Millisecond)
	return group{title: "Timeouts: `stream_idle_timeout: 1s`, `per_request_timeout: 3s`, `total_timeout: 7s`", on: restless, faults: []fault{
		{what: "silence in a stream: `stream_idle_timeout` ends it", in: streams, behaviours: first(head, opening, content, clientHas, silence),
			want: cutShort("timeout").within(time.Second, 2800*time.Millisecond)},
		{what: "silence in a stream; A is the only provider", in: streams, behaviours: only(head, opening, content, clientHas, silence),
			want: cutShort("timeout").within(time.Second, 2800*time.Millisecond)},
		{what: "silence for 1.5 s before the status line", in: both, behaviours: first(breath, answer), want: asItCame().within(1500*time.Millisecond, 5*time.Second)},
		{what: "silence for 1.5 s after the headers", in: streams, behaviours: first(head, breath, opening, content, rest, last, end), want: asItCame().within(1500*time.Millisecond, 5*time.Second)},
		{what: "silence for 1.5 s after events without content", in: streams, behaviours: first(head, opening, breath, content, rest, last, end), want: asItCame().within(1500*time.Millisecond, 5*time.Second)},
		{what: "silence for 1.5 s in the middle of a response that is not a stream", in: unaries, behaviours: first(head, content, clientHas, breath, rest), want: asItCame().within(1500*time.Millisecond, 5*time.Second)},
		{what: "silence after the headers", in: streams, behaviours: first(head, silence), want: second("timeout").within(3*time.Second, 6*time.Second)},
		{what: "a pause of 400 ms, four times", in: streams, behaviours: first(head, opening, content, clientHas, bit, data(": wait\n\n"), bit, data(": wait\n\n"), bit, rest, bit, last, end),
			want: asItCame().within(1600*time.Millisecond, 5*time.Second)},
	}}
}

// leaving: the client goes away.
func leaving() group {
	wait := pause(100 * time.Millisecond) // for the gateway to have what was sent
	gone := want{left: true, log: "A *client_gone"}
	leaves := func(what string, modes []*mode, steps ...step) fault {
		return fault{what: what, in: modes, behaviours: first(steps...), want: gone}
	}
	return group{title: "The client leaves", about: "A's connection ends too, and no other provider is tried.", on: usual, faults: []fault{
		leaves("before the status line", every, wait, clientLeaves, silence),
		leaves("after half of the headers", both, raw("HTTP/1.1 200 OK\r\ncontent-type: te"), wait, clientLeaves, silence),
		leaves("after the headers", both, head, wait, clientLeaves, silence),
		leaves("while events without content are held", streams, head, opening, wait, clientLeaves, silence),
		leaves("while comments are held that keep arriving", in(chatStream), head, slowly(": wait\n\n", 10*time.Millisecond), clientLeaves, slowly(strings.Repeat(": wait\n\n", 100), 10*time.Millisecond)),
		leaves("in the middle of a stream", streams, head, opening, content, clientHas, clientLeaves, silence),
		leaves("in the middle of a stream that goes on", streams, head, opening, content, clientHas, clientLeaves, slowly(strings.Repeat(": go on\n\n", 100), 10*time.Millisecond)),
		leaves("in the middle of a response", unaries, head, content, clientHas, clientLeaves, silence),
		{what: "in the middle of a stream; the client uses HTTP/2", in: in(chatStream), http2: true, behaviours: first(head, opening, content, clientHas, clientLeaves, silence), want: gone},
		{what: "HTTP/2: in the middle of a stream", in: in(chatStream), behaviours: []behaviour{overHTTP2(head, opening, content, clientHas, clientLeaves, silence), answers}, want: gone},
		{what: "while B is tried, after A's 500", in: both, behaviours: []behaviour{does(status(500)), does(wait, clientLeaves, silence), answers},
			want: want{left: true, log: "A 500 status_5xx, B client_gone"}},
	}}
}
