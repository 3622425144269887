package faults

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
)

// hostile: HTTP that is wrong, or too much of it.
func hostile() group {
	many := make([]string, 0, 301)
	for i := range 300 {
		many = append(many, fmt.Sprintf("x-%d: y", i))
	}
	plain := func(lines ...string) step {
		return func(x *exchange) {
			headers("200 OK", append([]string{"content-type: " + x.mode.kind}, lines...)...)(x)
		}
	}
	text := func(x *exchange) { data(strings.Join(x.mode.answer(), ""))(x) }
	length := func(more int, lines ...string) step {
		return func(x *exchange) {
			n := len(x.fill(strings.Join(x.mode.answer(), "")))
			plain(append([]string{fmt.Sprint("content-length: ", n+more)}, lines...)...)(x)
		}
	}
	malformed := second("reset")
	old := func(x *exchange) { raw("HTTP/1.0 200 OK\r\ncontent-type: " + x.mode.kind + "\r\n\r\n")(x) }
	var strange []fault
	for _, head := range []string{"101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket", "99 Low", "600 High", "999 Higher", "2000 Highest"} {
		code, _, _ := strings.Cut(head, " ")
		answer := raw("HTTP/1.1 " + head + "\r\ncontent-length: 0\r\n\r\n")
		strange = append(strange,
			fault{what: "status " + code, in: both, behaviours: first(answer), want: second(code + " other")},
			fault{what: "status " + code + "; A is the only provider", in: inShapes, behaviours: only(answer), want: own(noAnswer, "A "+code+" other")})
	}
	return group{title: "Invalid HTTP", on: usual, faults: append(strange, []fault{
		{what: "300 headers", in: both, behaviours: first(plain(append(many, "content-length: 0")...)), want: malformed},
		{what: "a header of 100 KiB", in: both, behaviours: first(plain("x-long: "+strings.Repeat("y", 100<<10), "content-length: 0")), want: malformed},
		{what: "a negative content-length", in: both, behaviours: first(plain("content-length: -1"), text), want: malformed},
		{what: "a content-length that is not a number", in: both, behaviours: first(plain("content-length: many"), text), want: malformed},
		{what: "two content-lengths", in: both, behaviours: first(plain("content-length: 5", "content-length: 7"), text), want: malformed},
		{what: "content-length and chunks", in: both, behaviours: first(plain("content-length: 5", "transfer-encoding: chunked"), text, end), want: malformed},
		{what: "an unknown transfer-encoding", in: both, behaviours: first(plain("transfer-encoding: rot13"), text), want: malformed},
		{what: "a header name with a space", in: both, behaviours: first(plain("x y: z", "content-length: 0")), want: malformed},
		{what: "a null character in a header", in: both, behaviours: first(plain("x: \x00", "content-length: 0")), want: malformed},
		{what: "a status that is not a number", in: both, behaviours: first(raw("HTTP/1.1 OK 200\r\n\r\n")), want: malformed},
		{what: "a response in HTTP/0.9", in: both, behaviours: first(raw("<p>Welcome"), fin), want: malformed},
		{what: "the preface of HTTP/2", in: both, behaviours: first(raw("\x00\x00\x00\x04\x00\x00\x00\x00\x00")), want: malformed},

		{what: "a chunk size beyond 64 bits", in: both, behaviours: first(plain("transfer-encoding: chunked"), raw("fffffffffffffffff\r\n{}\r\n0\r\n\r\n")), want: second("*")},
		{what: "a chunk size beyond 64 bits, after content", in: streams, behaviours: first(head, opening, content, clientHas, raw("fffffffffffffffff\r\n")), want: cutShort("*")},
		{what: "a negative chunk size", in: both, behaviours: first(plain("transfer-encoding: chunked"), raw("-5\r\nhello\r\n0\r\n\r\n")), want: second("*")},

		{what: "a thousand times 103, then a response", in: both, behaviours: first(raw(strings.Repeat("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", 1000)), answer), want: asItCame()},
		{what: "a thousand times 100, then a response", in: both, behaviours: first(raw(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000)), answer), want: asItCame()},
		{what: "102, then a response", in: both, behaviours: first(raw("HTTP/1.1 102 Processing\r\n\r\n"), answer), want: asItCame()},

		{what: "HTTP/1.0, the end is the end of the connection", in: every, behaviours: first(old, text, fin), want: asItCame()},
		{what: "the same in HTTP/1.1", in: both, behaviours: first(plain("connection: close"), text, fin), want: asItCame()},
		{what: "HTTP/1.0, RST after content", in: both, behaviours: first(old, opening, content, clientHas, reset), want: asItCame(),
			but: "Envoy takes the reset for the end of the response"},
		{what: "HTTP/1.0, FIN after content", in: both, behaviours: first(old, opening, content, clientHas, fin), want: asItCame(),
			but: "HTTP/1.0 cannot distinguish this from the end"},
		{what: "more bytes than content-length", in: both, behaviours: first(length(0), text, raw("and more")), want: asItCame()},
		{what: "fewer bytes than content-length, then FIN", in: both, behaviours: first(length(10), text, clientHas, fin), want: cutShort("reset")},
		{what: "trailers", in: streams, behaviours: first(head, opening, content, rest, last, raw("0\r\nx-trailer: yes\r\n\r\n")), want: asItCame(),
			but: "the trailers are dropped"},
		{what: "HTTP/2: trailers", in: streams, behaviours: []behaviour{overHTTP2(head, opening, content, rest, last, trailers), answers}, want: asItCame()},
		{what: "HTTP/2: trailers, and no content", in: streams, behaviours: []behaviour{overHTTP2(head, trailers), answers}, want: asItCame(), but: "a response over HTTP/2 is not held"},
		{what: "HTTP/2: trailers after events without content", in: streams, behaviours: []behaviour{overHTTP2(head, opening, trailers), answers}, want: asItCame(), but: "a response over HTTP/2 is not held"},
		{what: "two responses to one request", in: in(chat), behaviours: first(answer, raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno")), want: asItCame()},
		{what: "headers that belong to the gateway", in: both, behaviours: first(length(0, "x-weir-attempts: 7", "x-weir-rejected-models: all", "x-envoy-upstream-service-time: 1"), text),
			want: want{from: "A", log: "A 200", header: map[string]string{"x-weir-rejected-models": "", "x-envoy-upstream-service-time": ""}}},
		{what: "an error with `content-encoding: identity`", in: streams, behaviours: first(headers("200 OK", "content-type: "+eventStream, "content-encoding: identity", "transfer-encoding: chunked"), broken, end),
			want: second("200 error_answer")},
		{what: "HTML in gzip", in: both, behaviours: first(headers("200 OK", "content-type: text/html", "content-encoding: gzip", "content-length: 3"), data("???")), want: second("200 wrong_answer")},
		{what: "an empty body in gzip", in: both, behaviours: first(plain("content-encoding: gzip", "content-length: 0")), want: second("200 empty_answer")},
		{what: "gzip, although the request asked for none", in: both, behaviours: first(zippedAnswer(0)), want: asItCame()},
		{what: "an error in gzip, although the request asked for none", in: in(chat), behaviours: first(zipped(chat.broken, 0)), want: asItCame(),
			but: "a compressed response is not judged"},
		{what: "gzip that is cut off, with a content-length that matches", in: in(chat), behaviours: first(zippedAnswer(70)), want: asItCame().some(),
			but: "the client cannot see that its text is incomplete"},
	}...)}
}

func zippedAnswer(missing int) step {
	return func(x *exchange) { zipped(strings.Join(x.mode.answer(), ""), missing)(x) }
}

// zipped sends a body in gzip, without so many of its last bytes.
func zipped(text string, missing int) step {
	return func(x *exchange) {
		text := x.fill(text)
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(text))
		_ = w.Close()
		packed := b.String()[:b.Len()-missing]
		headers("200 OK", "content-type: "+x.mode.kind, "content-encoding: gzip", fmt.Sprint("content-length: ", len(packed)))(x)
		x.mu.Lock()
		x.payload = []byte(text)
		x.mu.Unlock()
		x.write(packed)
	}
}
