package faults

import (
	"strings"
	"time"
)

const gateText = "While the plan has another attempt, a response is held until it has content: a stream until the first event with content, any other\n" +
	"response until the first choice, output item or content block with content, or the first bytes of any other list. Anything else is\n" +
	"a failed attempt."

// nonAnswers: status 200, and no response.
func nonAnswers() group {
	stalled := second("timeout").within(time.Second, 4*time.Second)
	held := 50 * time.Millisecond // a cut must not overtake what was sent before
	return group{title: "Failures disguised as success", about: gateText, on: usual, faults: []fault{
		{what: "an error is the first event", in: streams, behaviours: first(head, broken, end), want: second("200 error_answer")},
		{what: "an error after events without content", in: streams, behaviours: first(head, opening, broken, end), want: second("200 error_answer")},
		{what: "an error is the first event, and the stream stays open", in: streams, behaviours: first(head, broken, silence), want: second("200 error_answer")},
		{what: "`response.failed` after events without content", in: in(responsesStream), behaviours: first(head, opening, refused, end), want: second("200 error_answer")},
		{what: "an error in pieces", in: streams, behaviours: first(head, inPieces(func(m *mode) string { return m.broken }), end), want: second("200 error_answer")},
		{what: "an error object", in: unaries, behaviours: first(wholeBroken), want: second("200 error_answer")},
		{what: "an error after fields without content", in: in(chat), behaviours: first(whole(document, `{"id":"1","object":"chat.completion","model":"m","error":{"message":"@ is overloaded"}}`)), want: second("200 error_answer")},
		{what: "a response that failed", in: in(responses), behaviours: first(whole(document, `{"id":"1","object":"response","status":"failed","error":{"code":"server_error","message":"no"},"output":[]}`)), want: second("200 error_answer")},
		{what: "an end with `finish_reason: error`", in: in(chatStream), behaviours: first(head, opening, data(chunk(`{}`, `"error"`)), last, end), want: second("200 error_answer")},
		{what: "a choice with `finish_reason: error`", in: in(chat), behaviours: first(whole(document, `{"choices":[{"finish_reason":"error","message":{"role":"assistant","content":"I"}}]}`)), want: second("200 error_answer")},
		{what: "an error in a choice", in: in(chat), behaviours: first(whole(document, `{"choices":[{"index":0,"message":{"role":"assistant","content":""},"error":{"code":502}}]}`)), want: second("200 error_answer")},
		{what: "an error that is a text", in: every, behaviours: first(whole(document, `{"error":"@ is overloaded"}`)), want: second("200 error_answer")},
		{what: "`detail`", in: every, behaviours: first(whole(document, `{"detail":"@ is overloaded"}`)), want: second("200 error_answer")},
		{what: "a list of errors", in: every, behaviours: first(whole(document, `{"errors":[{"message":"@ is overloaded"}]}`)), want: second("200 error_answer")},
		{what: "`success: false`", in: every, behaviours: first(whole(document, `{"result":null,"success":false}`)), want: second("200 error_answer")},
		{what: "`code` and `message`", in: every, behaviours: first(whole(document, `{"code":"Throttling","message":"@ is overloaded","request_id":"1"}`)), want: second("200 error_answer")},
		{what: "an event with `code` and `message`", in: in(chatStream), behaviours: first(head, data(`data: {"code":"Throttling","message":"@ is overloaded","request_id":"1"}`+"\n\n"), end), want: second("200 error_answer")},
		{what: "an error in a list", in: every, behaviours: first(whole(document, `[{"error":{"code":503,"message":"@ is overloaded"}}]`)), want: second("200 error_answer")},
		{what: "an error object byte by byte", in: in(chat), behaviours: first(headers("200 OK", "content-type: application/json", "transfer-encoding: chunked"), slowly(chat.broken, 0), end), want: second("200 error_answer")},
		{what: "an error object for a stream", in: streams, behaviours: first(whole(document, chat.broken)), want: second("200 error_answer")},
		// What comes over HTTP/2 is not held: see RATIONALE.md, "Why is a response held
		// only between HTTP/1.1 connections?".
		{what: "HTTP/2: an error is the first event", in: streams, behaviours: []behaviour{overHTTP2(head, broken), answers}, want: asItCame(), but: "a response over HTTP/2 is not held"},

		{what: "only `[DONE]`", in: in(chatStream), behaviours: first(head, data("data: [DONE]\n\n"), end), want: second("200 empty_answer")},
		{what: "events without content, then the end", in: streams, behaviours: first(head, opening, end), want: second("200 empty_answer")},
		{what: "the model stops without content", in: in(chatStream), behaviours: first(head, opening, data(chunk(`{}`, `"stop"`)), last, end), want: second("200 empty_answer")},
		{what: "the model stops without content", in: in(messagesStream),
			behaviours: first(head, opening, data(event("content_block_stop", `"index":0`), event("message_delta", `"delta":{"stop_reason":"end_turn"}`)), last, end), want: second("200 empty_answer")},
		{what: "the response completes without content", in: in(responsesStream), behaviours: first(head, opening, last, end), want: second("200 empty_answer")},
		{what: "comments, then the end", in: streams, behaviours: first(head, data(": wait\n\n", ": wait\n\n"), end), want: second("200 empty_answer")},
		{what: "an empty body", in: unaries, behaviours: first(whole(document, "")), want: second("200 empty_answer")},
		{what: "no choices, no output, no content", in: in(chat, responses, messages), behaviours: first(empty), want: second("200 empty_answer")},
		{what: "`choices: null`", in: in(chat), behaviours: first(whole(document, `{"id":"1","choices":null}`)), want: second("200 empty_answer")},
		{what: "a choice without content", in: in(chat), behaviours: first(whole(document, `{"choices":[{"message":{"role":"assistant","content":null},"finish_reason":"stop"}]}`)), want: second("200 empty_answer")},
		{what: "the response of another API", in: in(chat, responses, messages), behaviours: first(whole(document, `{"result":{"response":"I am @"}}`)), want: second("200 wrong_answer")},
		{what: "an empty stream", in: streams, behaviours: first(head, end), want: second("200 empty_answer")},
		{what: "204", in: both, behaviours: first(headers("204 No Content")), want: second("204 empty_answer")},
		{what: "HTML", in: every, behaviours: first(whole("text/html", "<!doctype html><p>Welcome")), want: second("200 wrong_answer")},
		{what: "text that is not JSON, labelled as JSON", in: unaries, behaviours: first(whole(document, "upstream connect error")), want: second("200 wrong_answer")},
		{what: "a stream for a request without `stream`", in: in(chat), behaviours: first(headers("200 OK", "content-type: "+eventStream, "transfer-encoding: chunked"), data(chatStream.answer()...), end),
			want: second("200 wrong_answer")},
		{what: "HTML without a content type", in: both, behaviours: first(headers("200 OK", "content-length: 10"), data("<p>Welcome")), want: second("200 wrong_answer")},
		{what: "an error object, labelled as text", in: both, behaviours: first(whole("text/plain", chat.broken)), want: second("200 error_answer")},
		{what: "a first event that is not JSON", in: streams, behaviours: first(head, data("data: {\"broken\n\n"), content, rest, last, end), want: second("200 wrong_answer")},
		{what: "an error as the first event, without its blank line", in: streams, behaviours: first(head, func(x *exchange) { data(strings.TrimSuffix(x.mode.broken, "\n"))(x) }, end), want: second("200 empty_answer")},
		{what: "only spaces, labelled as JSON", in: in(chat), behaviours: first(whole(document, " \r\n\t ")), want: second("200 empty_answer")},

		{what: "silence after the headers", in: every, behaviours: first(head, silence), want: stalled},
		{what: "silence after events without content", in: streams, behaviours: first(head, opening, silence), want: stalled},
		{what: "comments without end, and no content", in: streams, behaviours: first(head, slowly(strings.Repeat(": wait\n\n", 50), 10*time.Millisecond), silence), want: stalled},
		{what: "silence in the middle of the first event with content", in: streams, behaviours: first(head, opening, halfEvent, silence), want: stalled},

		{what: "RST after the headers", in: every, behaviours: first(head, pause(held), reset), want: second("reset")},
		{what: "FIN after the headers", in: every, behaviours: first(head, fin), want: second("reset")},
		{what: "RST after events without content", in: streams, behaviours: first(head, opening, pause(held), reset), want: second("reset")},
		{what: "FIN after events without content", in: streams, behaviours: first(head, opening, fin), want: second("reset")},
		{what: "RST in the middle of the first event", in: streams, behaviours: first(head, halfEvent, pause(held), reset), want: second("reset")},
		{what: "FIN in the middle of the first event", in: streams, behaviours: first(head, halfEvent, fin), want: second("reset")},
		{what: "spaces, then FIN", in: unaries, behaviours: first(head, data(" \n "), fin), want: second("reset")},
		{what: "HTTP/2: resets the stream after the headers", in: both, behaviours: []behaviour{overHTTP2(head, reset), answers}, want: cutShort("reset"), but: "a response over HTTP/2 is not held"},
		{what: "a chunk whose size is not a number", in: streams, behaviours: first(head, raw("zz\r\ndata: {}\r\n")), want: second("reset")},

		{what: "an error is the first event; B does the same, and is the last: its response passes", in: streams, behaviours: []behaviour{does(head, broken, end), does(head, broken, end)},
			want: want{from: "B", log: "A 200 error_answer, B 200"}},
		{what: "an error object; B answers 500", in: unaries, behaviours: []behaviour{does(wholeBroken), does(status(500))},
			want: want{from: "B", status: 500, log: "A 200 error_answer, B 500 status_5xx"}},
		{what: "an error is the first event; B is silent after the headers; C responds", in: streams,
			behaviours: []behaviour{does(head, broken, end), does(head, silence), answers},
			want:       want{from: "C", log: "A 200 error_answer, B timeout, C 200"}.within(time.Second, 4*time.Second)},
	}}
}

// inPieces sends a text of the API in three writes.
func inPieces(text func(*mode) string) step {
	return func(x *exchange) {
		s := text(x.mode)
		for _, part := range []string{s[:9], s[9:30], s[30:]} {
			data(part)(x)
			pause(10 * time.Millisecond)(x)
		}
	}
}

// committed: what is a response passes at once, with all that was held.
func committed() group {
	toolCall := chunk(`{"tool_calls":[{"index":0,"id":"1","type":"function","function":{"name":"f","arguments":""}}]}`, "null")
	argument := chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`, "null")
	passes := func(what string, m *mode, said ...string) fault {
		return fault{what: what + " is content", in: in(m), behaviours: first(head, opening, data(said...), clientHas, last, end), want: asItCame()}
	}
	return group{title: "Responses that pass", about: "B is in the plan, and is not tried.", on: usual, faults: []fault{
		{what: "events without content, then content: the client has it before more arrives", in: streams, behaviours: first(head, opening, content, clientHas, rest, last, end), want: asItCame()},
		{what: "the first choice, item or block of a response: the client has it before more arrives", in: unaries, behaviours: first(head, content, clientHas, rest), want: asItCame()},
		passes("an argument of a tool call", chatStream, toolCall, argument),
		passes("a refusal", chatStream, chunk(`{"refusal":"No"}`, "null")),
		passes("reasoning", chatStream, chunk(`{"reasoning_content":"Hm"}`, "null")),
		passes("a function call's argument", responsesStream, event("response.function_call_arguments.delta", `"sequence_number":2,"item_id":"2","output_index":0,"delta":"{"`)),
		passes("a refusal", responsesStream, event("response.refusal.delta", `"sequence_number":2,"item_id":"2","output_index":0,"content_index":0,"delta":"No"`)),
		passes("a reasoning summary", responsesStream, event("response.reasoning_summary_text.delta", `"sequence_number":2,"item_id":"2","output_index":0,"summary_index":0,"delta":"Hm"`)),
		passes("a tool's input", messagesStream, event("content_block_delta", `"index":0,"delta":{"type":"input_json_delta","partial_json":"{"}`)),
		passes("thinking", messagesStream, event("content_block_delta", `"index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}`)),
		passes("an end for the length", chatStream, chunk(`{}`, `"length"`)),
		passes("an end for the content filter", chatStream, chunk(`{}`, `"content_filter"`)),
		passes("an end for the length", messagesStream, event("message_delta", `"delta":{"stop_reason":"max_tokens"}`)),
		passes("text next to an error that is null", chatStream, strings.Replace(chunk(`{"content":"I"}`, "null"), `{"id"`, `{"error":null,"id"`, 1)),
		passes("text about an error", chatStream, chunk(`{"content":"{\"error\":{\"message\":\"no\"}}"}`, "null")),
		{what: "content and an error in one packet", in: streams, behaviours: first(head, func(x *exchange) { data(x.mode.content[0] + x.mode.broken)(x) }, end), want: asItCame()},
		{what: "an empty error", in: in(chat), behaviours: first(whole(document, `{"error":{},`+strings.Join(chat.answer(), "")[1:])), want: asItCame()},
		{what: "a call of a tool, and nothing else", in: in(chat), behaviours: first(whole(document, `{"choices":[{"message":{"content":null,"tool_calls":[{"id":"1"}]},"finish_reason":"tool_calls"}]}`)), want: asItCame()},
		{what: "an error that is null", in: in(responses), behaviours: first(whole(document, `{"id":"1","object":"response","error":null,"status":"completed","output":[{"type":"function_call"}]}`)), want: asItCame()},
		{what: "an embedding of nothing", in: in(embeddings), behaviours: first(empty), want: asItCame()},
		{what: "one JSON document for a stream", in: in(chatStream), behaviours: first(whole(document, strings.Join(chat.answer(), ""))), want: asItCame()},
		{what: "70 KiB of comments, then content", in: streams, behaviours: first(head, data(strings.Repeat(": wait\n\n", 70<<10/8)), clientHas, opening, content, rest, last, end), want: asItCame()},
		{what: "a first event of 70 KiB", in: streams, behaviours: first(head, data(": "+strings.Repeat("x", 70<<10)+"\n\n"), opening, content, rest, last, end), want: asItCame()},
		{what: "CRLF, comments, ids and retry fields before content, in pieces", in: in(chatStream),
			behaviours: first(head, data(":\r\n\r", "\nid: 1\r\nretry: 5\r\n\r\n", "event", ": x\r\nda", "ta: {}\r\n\r\n"), content, clientHas, rest, last, end), want: asItCame()},
		{what: "a byte order mark before the first event", in: in(chatStream), behaviours: first(head, data("\ufeff"), opening, content, clientHas, rest, last, end), want: asItCame()},
		{what: "`data:` without a space", in: in(chatStream), behaviours: first(head, data(strings.ReplaceAll(chatStream.content[0], "data: ", "data:")), clientHas, rest, last, end), want: asItCame()},
		{what: "spaces, then a document", in: in(chat), behaviours: first(headers("200 OK", "content-type: application/json", "transfer-encoding: chunked"), data(" \n", "\t"), data(chat.answer()...), end), want: asItCame()},
		{what: "no content type", in: both, behaviours: first(headers("200 OK", "transfer-encoding: chunked"), opening, content, rest, last, end), want: asItCame()},
		{what: "HTTP/2: a response", in: every, behaviours: []behaviour{overHTTP2(head, opening, content, clientHas, rest, last), answers}, want: asItCame()},
	}}
}

// lastAttempts: nobody is left to ask.
func lastAttempts() group {
	return group{title: "The last attempt of a plan", about: "No further attempt is possible, so A's response passes.", on: usual, faults: ungatedFaults(only)}
}

// gateOff: `response_gate: off`.
func gateOff() group {
	return group{title: "With `response_gate: off`", about: "A response with a status of success passes.", on: ungated, faults: ungatedFaults(first)}
}

func ungatedFaults(plan func(...step) []behaviour) []fault {
	return []fault{
		{what: "an error is the first event", in: streams, behaviours: plan(head, broken, end), want: asItCame()},
		{what: "an error object", in: unaries, behaviours: plan(wholeBroken), want: asItCame()},
		{what: "an empty body", in: both, behaviours: plan(whole(document, "")), want: asItCame()},
		{what: "HTML", in: both, behaviours: plan(whole("text/html", "<p>Welcome")), want: asItCame()},
		{what: "text that is not JSON, labelled as JSON", in: in(chat), behaviours: plan(whole(document, "upstream connect error")), want: asItCame()},
		{what: "events without content, then the end", in: streams, behaviours: plan(head, opening, end), want: asItCame()},
		{what: "RST after events without content", in: streams, behaviours: plan(head, opening, clientHas, reset), want: cutShort("reset")},
		{what: "FIN after the headers", in: both, behaviours: plan(head, fin), want: cutShort("reset")},
		{what: "silence after the headers: `stream_idle_timeout` ends it", in: in(chatStream), behaviours: plan(head, silence), want: cutShort("timeout").within(clocks.idle, idled)},
		{what: "silence after the headers: `per_request_timeout` ends it", in: in(chat), behaviours: plan(head, silence), want: cutShort("timeout").within(time.Second, 4*time.Second)},
		{what: "204", in: both, behaviours: plan(headers("204 No Content")), want: want{from: "A", status: 204, log: "A 204"}},
	}
}

// redirects are failed attempts, followed by nobody.
func redirects() group {
	var faults []fault
	for _, s := range []string{"301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"} {
		code := s[:3]
		to := func(letter string) step {
			return headers(s, "location: http://{"+letter+"}/v1/chat/completions", "content-length: 2").and(data("no"))
		}
		nowhere := map[string]string{"location": ""}
		faults = append(faults,
			fault{what: code + " to C, which the plan did not choose", in: both, behaviours: []behaviour{does(to("C")), answers, answers}, spare: 1,
				want: want{from: "B", log: "A " + code + " redirect, B 200", header: nowhere}},
			fault{what: code + " to B, which the plan did not choose", in: inShapes, behaviours: []behaviour{does(to("B")), answers}, spare: 1,
				want: want{own: &redirected, status: 502, log: "A " + code + " redirect", header: nowhere}})
	}
	return group{title: "Redirects", on: usual, faults: faults}
}
