package recorder

import (
	"bytes"
	"io"
	"net/http"
)

// Request is a recorded request.
type Request struct {
	Method    string
	Path      string // the unchanged request-target, with its query
	Proto     string // "HTTP/1.1" or "HTTP/2.0"
	Authority string // Host, or :authority

	// Header has every header except Host and Transfer-Encoding, which are in
	// Authority and TransferEncoding. RawHeader has all header lines of HTTP/1,
	// unchanged and in order; it is nil for HTTP/2.
	Header    http.Header
	RawHeader []string

	ContentLength    int64 // -1 if unknown
	TransferEncoding []string
	Body             []byte // without the framing of chunks
	BodyErr          error  // why the body ended early; nil if it is complete
	Trailer          http.Header

	TLS  bool
	SNI  string // the server name in the TLS handshake
	ALPN string // the negotiated protocol

	ConnID int // the number of the connection, from 1

	// Closed is closed when the peer disconnects before the last event or byte of the
	// response is written, Done when the response has ended in any way.
	Closed <-chan struct{}
	Done   <-chan struct{}
}

// readRequest also reads the body, and makes it readable again.
func readRequest(r *http.Request, closed, done <-chan struct{}) Request {
	c := r.Context().Value(connKey{}).(*conn)
	request := Request{
		Method:           r.Method,
		Path:             r.RequestURI,
		Proto:            r.Proto,
		Authority:        r.Host,
		Header:           r.Header.Clone(),
		ContentLength:    r.ContentLength,
		TransferEncoding: r.TransferEncoding,
		ConnID:           c.id,
		Closed:           closed,
		Done:             done,
	}
	if r.ProtoMajor == 1 {
		request.RawHeader = c.nextHead()
	}
	if c.tls != nil {
		state := c.tls.ConnectionState()
		request.TLS = true
		request.SNI = state.ServerName
		request.ALPN = state.NegotiatedProtocol
	}
	request.Body, request.BodyErr = io.ReadAll(r.Body)
	request.Trailer = r.Trailer.Clone() // complete only now
	r.Body = io.NopCloser(bytes.NewReader(request.Body))
	return request
}
