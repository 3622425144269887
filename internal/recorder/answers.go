package recorder

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"weir/demo"
)

// Answer answers one request. When it returns, the answer is over.
type Answer func(*Exchange)

// Default answers as the path asks; it is what comes after a script.
func Default(x *Exchange) { x.send(x.reply(), nil) }

// Status answers with these bytes and nothing else. The content type is JSON
// if header has none.
func Status(code int, header http.Header, body string) Answer {
	return func(x *Exchange) {
		for name, values := range header {
			x.Header()[http.CanonicalHeaderKey(name)] = values
		}
		if x.Header().Get("Content-Type") == "" {
			x.Header().Set("Content-Type", "application/json")
		}
		x.finishing()
		x.WriteHeader(code)
		_, _ = io.WriteString(x, body)
	}
}

// Error answers with an error in the shape of the API that was called. The
// message names the provider.
func Error(code int) Answer {
	return func(x *Exchange) {
		e := &demo.Error{Status: code, Message: fmt.Sprintf("%s refuses with %d", x.provider.Name, code)}
		x.send(demo.Refuse(x.HTTP, e), nil)
	}
}

// Silence never answers. It ends when the peer does.
func Silence(x *Exchange) { x.Wait() }

// ResetBeforeHeaders resets the connection instead of answering.
func ResetBeforeHeaders(x *Exchange) { x.ResetConn() }

// CloseBeforeHeaders closes the connection in good order instead of answering;
// over HTTP/2 it ends the stream with an error.
func CloseBeforeHeaders(x *Exchange) { x.Abort() }

// CutMidStream resets the connection after n events of the default stream;
// over HTTP/2 it resets the stream, which leaves the events their order.
func CutMidStream(n int) Answer {
	return func(x *Exchange) {
		x.SendEvents(n)
		if x.HTTP.ProtoMajor == 2 {
			x.Abort()
		}
		x.ResetConn()
	}
}

// CutMidBody promises missing bytes more than the default answer has, sends
// what there is and closes; over HTTP/2 it ends the stream with an error.
func CutMidBody(missing int) Answer {
	return func(x *Exchange) {
		reply := x.document()
		x.Header().Set("Content-Type", "application/json")
		x.Header().Set("Content-Length", strconv.Itoa(len(reply.Body)+missing))
		x.WriteHeader(reply.Status)
		_, _ = x.Write(reply.Body)
		x.Flush()
		x.Abort()
	}
}

// StallMidStream falls silent after n events of the default stream; with 0
// after the headers. It ends when the peer does.
func StallMidStream(n int) Answer {
	return func(x *Exchange) {
		x.SendEvents(n)
		x.Wait()
	}
}

// Gated sends the default stream: the headers at once, then an event for each
// value received from gate. A closed gate lets the rest pass. It ends early
// when the peer is gone, after which nothing receives from gate: a test that
// may go on sending selects on Request.Done too.
func Gated(gate <-chan struct{}) Answer {
	return func(x *Exchange) {
		x.send(x.stream(), func(int) bool {
			select {
			case <-gate:
				return true
			case <-x.HTTP.Context().Done():
				return false
			}
		})
	}
}

// SlowEvents sends a stream of n text deltas, and what frames them in the API
// called, with a pause before each event but the first.
func SlowEvents(n int, pause time.Duration) Answer {
	return func(x *Exchange) {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		x.send(x.stream(strings.Repeat(" word", n)), func(i int) bool {
			if i == 0 {
				return true
			}
			timer.Reset(pause)
			select {
			case <-timer.C:
				return true
			case <-x.HTTP.Context().Done():
				return false
			}
		})
	}
}

// BigStream sends a stream of n text deltas of size bytes each, as fast as the
// peer takes it.
func BigStream(n, size int) Answer {
	return func(x *Exchange) {
		delta := " " + strings.Repeat("x", max(1, size-1))
		x.send(x.stream(strings.Repeat(delta, n)), nil)
	}
}

// Events sends a stream of exactly these bytes, flushed one by one: an error
// as the first event, a comment, an event cut in two.
func Events(events ...string) Answer {
	return func(x *Exchange) {
		x.send(demo.Reply{Status: http.StatusOK, Events: func(yield func([]byte) bool) {
			for _, event := range events {
				if !yield([]byte(event)) {
					return
				}
			}
		}}, nil)
	}
}
