package recorder

import (
	"net/http"
	"sync"
)

// Exchange is a recorded request and the means to answer it.
type Exchange struct {
	http.ResponseWriter
	Request Request
	HTTP    *http.Request // as net/http has it, with the body to read again

	provider *Provider
	settled  sync.Once // whether the peer or the provider ended the answer
}

// finishing is called before the last bytes: a peer that has all it wants and
// leaves is not one that left too early.
func (x *Exchange) finishing() { x.settle(nil) }

// settle closes the channel, if any, unless it was settled before.
func (x *Exchange) settle(closed chan struct{}) {
	x.settled.Do(func() {
		if closed != nil {
			close(closed)
		}
	})
}

// Flush sends what was written.
func (x *Exchange) Flush() { _ = http.NewResponseController(x.ResponseWriter).Flush() }

// SendEvents sends the headers and the first n events of the default stream,
// or all if there are fewer. A request that asked for no stream gets one too;
// one on a path that has none gets that of chat completions.
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

// Wait waits until the peer is gone or the test over.
func (x *Exchange) Wait() { <-x.HTTP.Context().Done() }

// Abort ends the answer where it is and does not return. HTTP/1 connections
// are closed, HTTP/2 streams reset.
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
