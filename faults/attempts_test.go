package faults

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// unreachable: there is no response.
func unreachable() group {
	const silent = time.Second
	waited := second("timeout").within(silent, 4*time.Second)
	unconnected := second("connect_failure").within(silent, 4*time.Second)
	const continued = "Envoy makes no attempt after any 1xx"
	return group{title: "No response", on: usual, faults: []fault{
		{what: "refuses the connection", in: every, behaviours: []behaviour{refuses, answers}, want: second("connect_failure")},
		{what: "its name does not resolve", in: both, behaviours: []behaviour{unresolved, answers}, want: second("connect_failure")},
		{what: "its listener is full: nothing replies to a connection", in: both, behaviours: []behaviour{full, answers}, want: unconnected},
		{what: "accepts the connection, and never begins TLS", in: both, behaviours: []behaviour{accepts, answers}, want: unconnected},
		{what: "has a certificate for another name", in: both, behaviours: []behaviour{anotherName, answers}, want: second("connect_failure")},
		{what: "sends HTTP where TLS is expected", in: both, behaviours: []behaviour{noTLS, answers}, want: second("connect_failure")},

		{what: "RST before the status line", in: every, behaviours: first(reset), want: second("reset")},
		{what: "FIN before the status line", in: every, behaviours: first(fin), want: second("reset")},
		{what: "half close before the status line", in: both, behaviours: first(halfClose), want: second("reset")},
		{what: "bytes that are not HTTP", in: both, behaviours: first(raw("\x16\x03\x01\x00\x05hello\r\n\r\n")), want: second("reset")},
		{what: "half a status line, then FIN", in: both, behaviours: first(raw("HTTP/1.1 20"), fin), want: second("reset")},
		{what: "half a status line, then RST", in: both, behaviours: first(raw("HTTP/1.1 20"), pause(50*time.Millisecond), reset), want: second("reset")},
		{what: "half of the headers, then FIN", in: both, behaviours: first(raw("HTTP/1.1 200 OK\r\ncontent-type: te"), fin), want: second("reset")},
		{what: "half of the headers, then RST", in: both, behaviours: first(raw("HTTP/1.1 200 OK\r\ncontent-type: te"), pause(50*time.Millisecond), reset), want: second("reset")},
		{what: "100 Continue, then FIN", in: both, behaviours: first(raw("HTTP/1.1 100 Continue\r\n\r\n"), fin), want: own(noneReached, "A reset"), but: continued},
		{what: "HTTP/2: resets the stream", in: both, behaviours: []behaviour{overHTTP2(reset), answers}, want: second("reset")},

		{what: "silence before the status line", in: every, behaviours: first(silence), want: waited},
		{what: "half a status line, then silence", in: both, behaviours: first(raw("HTTP/1.1 20"), silence), want: waited},
		{what: "half of the headers, then silence", in: both, behaviours: first(raw("HTTP/1.1 200 OK\r\ncontent-type: te"), silence), want: waited},
		{what: "100 Continue, then silence", in: both, behaviours: first(raw("HTTP/1.1 100 Continue\r\n\r\n"), silence), want: own(noneInTime, "A timeout").within(silent, 4*time.Second), but: continued},
		{what: "HTTP/2: silence", in: both, behaviours: []behaviour{overHTTP2(silence), answers}, want: waited},

		{what: "refuses the connection; B's name does not resolve", in: inShapes, behaviours: []behaviour{refuses, unresolved},
			want: own(noneReached, "A connect_failure, B connect_failure")},
		{what: "RST before the status line; B does the same", in: inShapes, behaviours: []behaviour{does(reset), does(reset)},
			want: own(noneReached, "A reset, B reset")},
		{what: "silence; B does the same", in: inShapes, behaviours: []behaviour{does(silence), does(silence)},
			want: own(noneInTime, "A timeout, B timeout").within(2*silent, 5*time.Second)},
		{what: "silence; five more do the same: `total_timeout` ends it", in: in(chat, messages), behaviours: slices.Repeat(only(silence), 6),
			want: own(noneInTime, "A timeout, B timeout, C timeout, D timeout").within(clocks.total, 7*time.Second)},
		{what: "silence; five more do the same: `total_timeout` ends it", in: in(chatStream, messagesStream), behaviours: slices.Repeat(only(silence), 6),
			want: own(noneBegan, "A timeout, B timeout, C timeout, D refused").within(clocks.total, 7*time.Second),
			but:  "the log has `refused` for D instead of `timeout`"},
	}}
}

// statuses: a response, with an error status.
func statuses() group {
	var faults []fault
	for _, s := range []struct {
		code  int
		cause string
	}{
		{401, "auth"}, {402, "account"}, {403, "auth"}, {404, "status_4xx"}, {408, "timeout"}, {409, "status_4xx"}, {410, "status_4xx"}, {429, "rate_limit"},
		{500, "status_5xx"}, {502, "status_5xx"}, {503, "status_5xx"}, {504, "timeout"}, {529, "status_5xx"},
	} {
		faults = append(faults, fault{what: fmt.Sprint(s.code), in: inShapes, behaviours: first(status(s.code)),
			want: second(fmt.Sprint(s.code, " ", s.cause))})
	}
	for _, code := range []int{400, 413, 422} {
		faults = append(faults, fault{what: fmt.Sprint(code, ": the request is wrong"), in: inShapes, behaviours: first(status(code)),
			want: want{from: "A", status: code, log: fmt.Sprint("A ", code, " status_4xx")}})
	}
	says := func(message string) step {
		text := `{"error":{"message":"` + message + `","type":"invalid_request_error"}}`
		return headers("400 No", "content-type: application/json", fmt.Sprint("content-length: ", len(text))).and(data(text))
	}
	for _, s := range []struct{ cause, message string }{
		{"invalid_key", "API key not valid. Please pass a valid API key."},
		{"account", "Your credit balance is too low to access the Anthropic API."},
		{"region", "User location is not supported for the API use."},
		{"unknown_model", "The model has been decommissioned."},
		{"unsupported_feature", "m does not support tools"},
		{"context_length", "prompt is too long: 215000 tokens > 200000 maximum"},
	} {
		faults = append(faults, fault{what: fmt.Sprintf("400: %q", s.message), in: inShapes, behaviours: first(says(s.message)), want: second("400 " + s.cause)})
	}
	faults = append(faults,
		fault{what: "400: `model_decommissioned`; B answers 400", in: inShapes, behaviours: []behaviour{does(says("The model has been decommissioned.")), does(status(400))},
			want: want{from: "B", status: 400, log: "A 400 unknown_model, B 400 status_4xx"}},
		fault{what: "400: `model_decommissioned`; A is the only provider", in: inShapes, behaviours: only(says("The model has been decommissioned.")),
			want: want{from: "A", status: 400, log: "A 400 status_4xx"}},
		fault{what: "500; B answers 429", in: every, behaviours: []behaviour{does(status(500)), does(status(429, "retry-after: 7"))},
			want: want{from: "B", status: 429, header: map[string]string{"retry-after": "7"}, log: "A 500 status_5xx, B 429 rate_limit"}},
		fault{what: "503 in HTML; A is the only provider", in: both,
			behaviours: only(headers("503 Busy", "content-type: text/html", "content-length: 11"), data("<p>busy</p>")),
			want:       want{from: "A", status: 503, header: map[string]string{"content-type": "text/html"}, log: "A 503 status_5xx"}},
		fault{what: "500; B refuses the connection", in: both, behaviours: []behaviour{does(status(500)), refuses},
			want: own(noneReached, "A 500 status_5xx, B connect_failure")},
		fault{what: "refuses the connection; B answers 500", in: both, behaviours: []behaviour{refuses, does(status(500))},
			want: want{from: "B", status: 500, log: "A connect_failure, B 500 status_5xx"}},
		fault{what: "500; B is silent", in: both, behaviours: []behaviour{does(status(500)), does(silence)},
			want: own(noneInTime, "A 500 status_5xx, B timeout").within(time.Second, 4*time.Second)},
		fault{what: "503, and a body that never arrives", in: both, behaviours: first(headers("503 Busy", "content-type: application/json", "content-length: 100"), silence),
			want: second("503 status_5xx")},
		fault{what: "503, and a cut in its body", in: both, behaviours: first(headers("503 Busy", "content-type: application/json", "content-length: 100"), data("{"), pause(time.Second), fin),
			want: second("503 status_5xx")},
		fault{what: "503 in HTTP/2", in: both, behaviours: []behaviour{overHTTP2(status(503)), answers}, want: second("503 status_5xx")},
		fault{what: "401 to its first key", in: both, behaviours: []behaviour{{scripts: [][]step{{status(401)}, {answer}}, keys: 2}, answers},
			want: want{from: "A", log: "A 401 auth, A 200"}},
		fault{what: "500; ten more do the same: a plan has ten attempts", in: both, behaviours: slices.Repeat(only(status(500)), 11),
			want: want{from: "J", status: 500, log: strings.Join(strings.Split("ABCDEFGHIJ", ""), " 500 status_5xx, ") + " 500 status_5xx"}},
		fault{what: "429, `retry-after: 3600`: the gateway does not wait", in: both, behaviours: first(status(429, "retry-after: 3600")),
			want: want{from: "B", header: map[string]string{"retry-after": ""}, log: "A 429 rate_limit, B 200"}},
		fault{what: "503, `retry-after` is a date: the gateway does not wait", in: both, behaviours: first(status(503, "retry-after: Fri, 31 Dec 2100 23:59:59 GMT")),
			want: want{from: "B", header: map[string]string{"retry-after": ""}, log: "A 503 status_5xx, B 200"}},
		fault{what: "429, `x-envoy-ratelimited: true`: as another gateway sends it to its own Envoy", in: both, behaviours: first(status(429, "x-envoy-ratelimited: true")),
			want: second("429 rate_limit")},
		fault{what: "503, `retry-after: 3600`; A is the only provider", in: both, behaviours: only(status(503, "retry-after: 3600")),
			want: want{from: "A", status: 503, header: map[string]string{"retry-after": "3600"}, log: "A 503 status_5xx"}},
	)
	return group{title: "Error statuses", on: usual, faults: faults}
}

// never: `failover_on: []`.
func never() group {
	alone := func(what string, want want, steps ...step) fault {
		return fault{what: what, in: both, behaviours: first(steps...), want: want}
	}
	return group{title: "With `failover_on: []`", on: stubborn, faults: []fault{
		alone("500", want{from: "A", status: 500, log: "A 500 status_5xx"}, status(500)),
		alone("RST before the status line", own(noneReached, "A reset"), reset),
		alone("silence", own(noneInTime, "A timeout").within(time.Second, 4*time.Second), silence),
		alone("an error in JSON with status 200", asItCame(), whole(document, chat.broken)),
	}}
}
