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

// Response writes the response to one request. The response ends when it returns.
type Response func(*Exchange)

// Default writes the response that fits the path. It is used after a script.
func Default(x *Exchange) { x.send(x.reply(), nil) }

// Status writes a response of exactly these bytes. The content type is JSON if header
// has none.
func Status(code int, header http.Header, body string) Response {
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

// Error writes an error in the shape of the API that was called. The message names the
// provider.
func Error(code int) Response {
	return func(x *Exchange) {
		e := &demo.Error{Status: code, Message: fmt.Sprintf("%s refuses with %d", x.provider.Name, code)}
		x.send(demo.Refuse(x.HTTP, e), nil)
	}
}

// Silence never responds. It ends when the peer disconnects.
func Silence(x *Exchange) { x.Wait() }

// ResetBeforeHeaders resets the connection instead of responding.
func ResetBeforeHeaders(x *Exchange) { x.ResetConn() }

// CloseBeforeHeaders closes the connection normally instead of responding. Over HTTP/2
// it ends the stream with an error.
func CloseBeforeHeaders(x *Exchange) { x.Abort() }

// CutMidStream resets the connection after n events of the default stream. Over HTTP/2
// it resets the stream, after the events.
func CutMidStream(n int) Response {
	return func(x *Exchange) {
		x.SendEvents(n)
		if x.HTTP.ProtoMajor == 2 {
			x.Abort()
		}
		x.ResetConn()
	}
}

// CutMidBody sends the default response with a Content-Length that is too large by
// missing bytes, and closes the connection. Over HTTP/2 it ends the stream with an error.
func CutMidBody(missing int) Response {
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

// StallMidStream sends nothing after n events of the default stream; with 0, nothing
// after the headers. It ends when the peer disconnects.
func StallMidStream(n int) Response {
	return func(x *Exchange) {
		x.SendEvents(n)
		x.Wait()
	}
}

// Gated sends the default stream: the headers at once, then an event for each
// value received from gate. When gate is closed, the rest follows. It ends early
// when the peer disconnects; then nothing receives from gate, so a test that may still
// send must also select on Request.Done.
func Gated(gate <-chan struct{}) Response {
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

// SlowEvents sends a stream of n text deltas, with the other events of the called API,
// and a pause before each event except the first.
func SlowEvents(n int, pause time.Duration) Response {
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

// BigStream sends a stream of n text deltas of size bytes each, as fast as the peer reads
// it.
func BigStream(n, size int) Response {
	return func(x *Exchange) {
		delta := " " + strings.Repeat("x", max(1, size-1))
		x.send(x.stream(strings.Repeat(delta, n)), nil)
	}
}

// Events sends a stream of exactly these bytes and flushes each element: for example an
// error as the first event, a comment, an event in two chunks.
func Events(events ...string) Response {
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
