package faults

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// step is a part of what a provider does with a request that it has read.
type step func(*exchange)

// raw sends bytes that are no part of a body.
func raw(bytes string) step { return func(x *exchange) { x.write(bytes) } }

// data sends parts of a body, each in a write of its own, and as a chunk if
// the head said so.
func data(parts ...string) step {
	return func(x *exchange) {
		for _, part := range parts {
			x.say(part, len(x.fill(part)))
		}
	}
}

// partial sends the beginning of a chunk.
func partial(s string) step {
	return func(x *exchange) { x.say(s, len(x.fill(s))+100) }
}

// The parts of the response of the API that was asked.
func opening(x *exchange) { data(x.mode.opening...)(x) }
func content(x *exchange) { data(x.mode.content...)(x) }
func rest(x *exchange)    { data(x.mode.rest...)(x) }
func last(x *exchange)    { data(x.mode.last...)(x) }
func broken(x *exchange)  { data(x.mode.broken)(x) }
func refused(x *exchange) { data(x.mode.refused)(x) }

// halfEvent is the beginning of the first event that has content, or of an
// answer in one piece.
func halfEvent(x *exchange) {
	s := x.mode.content[0]
	data(s[:len(s)/3])(x)
}

// headers begin a response with lines of the test's choice.
func headers(status string, lines ...string) step {
	return func(x *exchange) {
		if x.http2 != nil {
			x.header(status, lines)
			return
		}
		all := strings.Join(append([]string{"HTTP/1.1 " + status}, lines...), "\r\n")
		x.chunked = strings.Contains(strings.ToLower(all), "transfer-encoding: chunked")
		x.write(x.fill(all) + "\r\n\r\n")
	}
}

// head begins the response that the client waits for: chunked if it is a
// stream, else with its length.
func head(x *exchange) {
	framing := "transfer-encoding: chunked"
	if !x.mode.stream {
		framing = fmt.Sprint("content-length: ", len(strings.Join(x.mode.answer(), "")))
	}
	headers("200 OK", "content-type: "+x.mode.kind, framing)(x)
}

// end ends a body in good order.
func end(x *exchange) {
	if x.chunked {
		x.write("0\r\n\r\n")
	}
}

// answer is what a provider in health does.
func answer(x *exchange) {
	for _, s := range []step{head, opening, content, rest, last, end} {
		s(x)
	}
}

// whole sends a body of the test's choice, of a content type.
func whole(kind, body string) step {
	return func(x *exchange) {
		headers("200 OK", "content-type: "+kind, fmt.Sprint("content-length: ", len(x.fill(body))))(x)
		if body != "" {
			data(body)(x)
		}
	}
}

// wholeBroken is an error with the status of a success.
func wholeBroken(x *exchange) { whole(document, x.mode.broken)(x) }

// empty is a response in which nothing is said.
func empty(x *exchange) { whole(document, x.mode.empty)(x) }

// status answers with an error.
func status(code int, lines ...string) step {
	const text = `{"error":{"message":"@ says no"}}`
	return headers(fmt.Sprint(code, " No"), append(lines, "content-type: application/json", fmt.Sprint("content-length: ", len(text)))...).and(data(text))
}

func (s step) and(next ...step) step {
	return func(x *exchange) {
		s(x)
		for _, n := range next {
			n(x)
		}
	}
}

// trailers end a response over HTTP/2.
func trailers(x *exchange) { x.http2.Header().Set(http.TrailerPrefix+"x-trailer", "yes") }

// pause is a provider that takes its time. It ends when the gateway goes.
func pause(d time.Duration) step {
	return func(x *exchange) {
		select {
		case <-x.gone:
		case <-time.After(d):
		}
	}
}

// slowly sends a text byte by byte.
func slowly(text string, each time.Duration) step {
	return func(x *exchange) {
		for _, b := range []byte(x.fill(text)) {
			x.say(string(b), 1)
			pause(each)(x)
		}
	}
}

// silence lasts until the gateway goes.
func silence(x *exchange) { <-x.gone }

// fin closes the connection in good order, reset with a RST.
func fin(x *exchange) { _ = x.conn.Close() }

func reset(x *exchange) {
	if x.http2 != nil {
		x.http2.Abort()
	}
	_ = x.conn.SetLinger(0)
	_ = x.conn.Close()
}

// halfClose ends its direction of the connection, and keeps reading.
func halfClose(x *exchange) { _ = x.conn.CloseWrite() }

// clientHas waits until the client has read all that was sent of the body:
// what was not let through makes the row fail here.
func clientHas(x *exchange) {
	x.mu.Lock()
	n := len(x.payload)
	x.mu.Unlock()
	x.client.waitFor(n, x.gone)
}

// clientLeaves makes the client close its connection.
func clientLeaves(x *exchange) { x.client.leave(x.gone) }
