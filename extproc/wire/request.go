package wire

import (
	"fmt"
	"unsafe"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"weir/internal/protofield"
)

// Request is what Weir reads of a ProcessingRequest. The zero value is ready to
// receive into, and it is meant to be received into again: it keeps the memory
// of its slices.
//
// Headers are the receiver's own and may be kept. Body, and what Attribute and
// Metadata look into, lie in the buffer the message was received in: they are
// gone after Free and with the next Recv. A Request is for one goroutine.
type Request struct {
	Kind Kind

	// Headers are the headers or trailers, in Envoy's order, repeated ones
	// separately.
	Headers []Header

	// Body is the body or a piece of it. It must not be written to.
	Body []byte

	// EndOfStream means that nothing follows this part: no body after headers,
	// no more body after a piece.
	EndOfStream bool

	buf    mem.Buffer // holds the message; nil when there is none
	bodyAt int        // where Body starts in buf

	bound *bound // that held is of
	held  int64

	attributes [][]byte // entries of the map attributes
	metadata   [][]byte // core.v3.Metadata messages; more than one are to be merged
}

// Header is one header field. The value is its bytes as they came, which need
// not be UTF-8.
type Header struct {
	Key, Value string
}

// The key under which Envoy files the attributes an ext_proc filter asked for,
// whatever that filter is called in the configuration.
const attributesOf = "envoy.filters.http.ext_proc"

// Attribute returns the attribute of this name, such as "xds.cluster_name", as
// text; a number has no exponent. It is "" when Envoy did not send it: attributes
// come with the first message of a stream only, unlike metadata, which comes with
// every one.
func (r *Request) Attribute(name string) string {
	var v scalar
	for _, entry := range r.attributes {
		v.inStructs(entry, attributesOf, name)
	}
	return v.text()
}

// Metadata returns a string field of a dynamic metadata namespace that the
// filter forwards; false when it is not there or is no string.
func (r *Request) Metadata(namespace, field string) (string, bool) {
	var v scalar
	for _, m := range r.metadata {
		f := protofield.Fields{Rest: m}
		for f.Next() {
			if f.Is(1, protowire.BytesType) {
				v.inStructs(f.Bytes, namespace, field)
			}
		}
	}
	if v.kind != stringValue {
		return "", false
	}
	return string(v.str), true
}

// Free lets go of the receive buffer and empties r. It may be called again. A
// Request that is dropped without it leaves its buffer to the garbage collector,
// and if it is large takes room from others for ever. A Response that edits this body must have been sent
// before; the connection keeps its own hold on the bytes.
func (r *Request) Free() {
	if r.buf != nil {
		r.buf.Free()
	}
	if r.held > 0 {
		r.bound.leave(r.held)
	}
	clear(r.Headers)
	clear(r.attributes)
	clear(r.metadata)
	*r = Request{Headers: r.Headers[:0], attributes: r.attributes[:0], metadata: r.metadata[:0]}
}

func (r *Request) decode(data mem.BufferSlice, pool mem.BufferPool, bound *bound) error {
	r.Free()
	held, err := bound.enter(data.Len())
	if err != nil {
		return err
	}
	r.bound, r.held = bound, held
	r.buf = contiguous(data, pool)
	if err := r.parse(r.buf.ReadOnlyData()); err != nil {
		r.Free()
		return fmt.Errorf("ProcessingRequest: %w", err)
	}
	return nil
}

// contiguous returns data in one piece: a hold on the frame if it came in one, a
// copy otherwise.
func contiguous(data mem.BufferSlice, pool mem.BufferPool) mem.Buffer {
	if len(data) == 1 {
		data[0].Ref()
		return data[0]
	}
	handle := getBuffer(pool, data.Len())
	data.CopyTo(*handle)
	return mem.NewBuffer(handle, pool)
}

func (r *Request) parse(b []byte) error {
	f := protofield.Fields{Rest: b}
	for f.Next() {
		if f.Typ != protowire.BytesType {
			continue
		}
		switch f.Num {
		case 2, 3, 4, 5, 6, 7:
			// A oneof: another member replaces what came before, the same one
			// is merged into it.
			if kind := Kind(f.Num - 1); kind != r.Kind {
				clear(r.Headers)
				r.Kind, r.Headers, r.Body, r.EndOfStream = kind, r.Headers[:0], nil, false
			}
			if err := r.parsePart(f.Bytes, len(b)-len(f.Rest)-len(f.Bytes)); err != nil {
				return fmt.Errorf("%s: %w", r.Kind, err)
			}
		case 8:
			r.metadata = append(r.metadata, f.Bytes)
		case 9:
			r.attributes = append(r.attributes, f.Bytes)
		}
	}
	return f.Err
}

// parsePart reads HttpHeaders, HttpBody or HttpTrailers, which lies at this
// offset of the receive buffer.
func (r *Request) parsePart(b []byte, at int) error {
	f := protofield.Fields{Rest: b}
	for f.Next() {
		switch r.Kind {
		case RequestBody, ResponseBody:
			switch {
			case f.Is(1, protowire.BytesType):
				r.Body, r.bodyAt = f.Bytes, at+len(b)-len(f.Rest)-len(f.Bytes)
			case f.Is(2, protowire.VarintType):
				r.EndOfStream = protowire.DecodeBool(f.Scalar)
			}
		default:
			switch {
			case f.Is(1, protowire.BytesType):
				if err := r.parseHeaders(f.Bytes); err != nil {
					return err
				}
			case f.Is(3, protowire.VarintType) && (r.Kind == RequestHeaders || r.Kind == ResponseHeaders):
				r.EndOfStream = protowire.DecodeBool(f.Scalar)
			}
		}
	}
	return f.Err
}

// parseHeaders reads a HeaderMap. All keys and values share one copy of it: one
// allocation for a message's headers, and strings that outlive the message.
func (r *Request) parseHeaders(b []byte) error {
	own := append([]byte(nil), b...)
	if r.Headers == nil {
		r.Headers = make([]Header, 0, 32)
	}
	f := protofield.Fields{Rest: own}
	for f.Next() {
		if !f.Is(1, protowire.BytesType) {
			continue
		}
		var key, value, raw []byte
		h := protofield.Fields{Rest: f.Bytes}
		for h.Next() {
			switch {
			case h.Is(1, protowire.BytesType):
				key = h.Bytes
			case h.Is(2, protowire.BytesType):
				value = h.Bytes
			case h.Is(3, protowire.BytesType):
				raw = h.Bytes
			}
		}
		if h.Err != nil {
			return h.Err
		}
		if len(raw) > 0 {
			value = raw
		}
		r.Headers = append(r.Headers, Header{Key: text(key), Value: text(value)})
	}
	return f.Err
}

// text is b as a string without a copy. b must never be written to again.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
