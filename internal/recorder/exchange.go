package recorder

import (
	"net/http"
	"sync"
)

// Exchange is a recorded request, with methods to respond to it.
type Exchange struct {
	http.ResponseWriter
	Request Request
	HTTP    *http.Request // of net/http; its body can be read again

	provider *Provider
	settled  sync.Once // done when the peer or the provider has ended the response
}

// finishing is called before the last bytes are written: a peer that disconnects after
// them has not disconnected too early.
func (x *Exchange) finishing() { x.settle(nil) }

// settle closes the channel, if it is not nil, unless settle was called before.
func (x *Exchange) settle(closed chan struct{}) {
	x.settled.Do(func() {
		if closed != nil {
			close(closed)
		}
	})
}

// Flush sends what was written.
func (x *Exchange) Flush() { _ = http.NewResponseController(x.ResponseWriter).Flush() }

// SendEvents sends the headers and the first n events of the default stream, or all if
// there are fewer, even if the request did not ask for a stream. A path without a stream
// gets that of chat completions.
func (x *Exchange) SendEvents(n int) {
	reply := x.stream()
	reply.Head(x)
	x.Flush()
	for event := range reply.Events {
		if n--; n < 0 {
			return
		}
		_, _ = x.Write(event)
		x.Flush()
	}
}

// Wait waits until the peer disconnects or the test ends.
func (x *Exchange) Wait() { <-x.HTTP.Context().Done() }

// Abort ends an unfinished response and does not return. It closes an HTTP/1 connection,
// and resets an HTTP/2 stream.
func (x *Exchange) Abort() {
	x.finishing()
	panic(http.ErrAbortHandler)
}

// ResetConn ends the connection with a TCP RST and does not return. Over
// HTTP/2 this ends every stream on it, and what was written last may be lost
// in the server's buffer.
func (x *Exchange) ResetConn() {
	x.finishing()
	x.HTTP.Context().Value(connKey{}).(*conn).reset()
	panic(http.ErrAbortHandler)
}
