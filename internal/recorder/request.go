package recorder

import (
	"bytes"
	"io"
	"net/http"
)

// Request is a request as it arrived.
type Request struct {
	Method    string
	Path      string // the request-target as on the wire, with its query
	Proto     string // "HTTP/1.1" or "HTTP/2.0"
	Authority string // Host, or :authority

	// Header has every header but Host and Transfer-Encoding, which are in
	// Authority and TransferEncoding. RawHeader has the header lines of
	// HTTP/1 as received: all of them, in order, in their case; it is nil for
	// HTTP/2.
	Header    http.Header
	RawHeader []string

	ContentLength    int64 // -1 if unknown
	TransferEncoding []string
	Body             []byte // without the framing of chunks
	BodyErr          error  // why the body ended early, nil if it is whole
	Trailer          http.Header

	TLS  bool
	SNI  string // the server name the client asked for
	ALPN string // the protocol agreed on

	ConnID int // which of the provider's connections, from 1

	// Closed is closed when the peer goes away before the last event or byte
	// of the answer was written, Done when the answer is over either way.
	Closed <-chan struct{}
	Done   <-chan struct{}
}

// readRequest reads the body too, and puts it back.
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
