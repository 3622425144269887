package wire

import (
	"fmt"
	"unsafe"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"weir/internal/protofield"
)

// Request is a ProcessingRequest, as far as Weir reads it. The zero value can be passed
// to Stream.Recv. Pass the same Request again for the next message: it reuses the
// memory of its slices.
//
// Headers are copies and may be kept. Body, and the values that Attribute and Metadata
// search, are in the receive buffer: they are invalid after Free and after the next
// Recv. A Request must be used by one goroutine at a time.
type Request struct {
	Kind Kind

	// Headers are the headers or trailers, in Envoy's order, repeated ones
	// separately.
	Headers []Header

	// Body is the body or a chunk of it. It must not be written to.
	Body []byte

	// EndOfStream is set where nothing follows this part: no body after headers, no
	// further chunk after a chunk.
	EndOfStream bool

	buf    mem.Buffer // holds the message; nil if there is none
	bodyAt int        // where Body starts in buf

	bound *bound // the limit that held counts against
	held  int64

	attributes [][]byte // entries of the map attributes
	metadata   [][]byte // core.v3.Metadata messages; more than one are to be merged
}

// Header is one header field. The value is unchanged and need not be UTF-8.
type Header struct {
	Key, Value string
}

// attributesOf is the key of the attributes that an ext_proc filter requested. Envoy
// uses it whatever the name of the filter in the configuration is.
const attributesOf = "envoy.filters.http.ext_proc"

// Attribute returns the attribute with this name, such as "xds.cluster_name", as text;
// numbers are written without an exponent. It returns "" if Envoy did not send the
// attribute. Envoy sends attributes in the first message of a stream only, but metadata
// in every message.
func (r *Request) Attribute(name string) string {
	var v scalar
	for _, entry := range r.attributes {
		v.inStructs(entry, attributesOf, name)
	}
	return v.text()
}

// Metadata returns a string field of a dynamic metadata namespace that the filter
// forwards. It returns false if the field is absent or not a string.
func (r *Request) Metadata(namespace, field string) (string, bool) {
	var v scalar
	for _, m := range r.metadata {
		f := protofield.Fields{Rest: m}
		for f.Next() {
			if f.Is(metadataFilterMetadata, protowire.BytesType) {
				v.inStructs(f.Bytes, namespace, field)
			}
		}
	}
	if v.kind != protofield.ValueString {
		return "", false
	}
	return string(v.str), true
}

// Free releases the receive buffer and empties r. It may be called more than once. Send
// a Response that edits this body first: the connection keeps its own reference to the
// bytes. A large Request that is dropped without Free takes room from others until the
// process ends.
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

// contiguous returns data as one buffer: a reference to the frame if there is one
// frame, a copy otherwise.
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
		case requestRequestHeaders, requestResponseHeaders, requestRequestBody, requestResponseBody, requestRequestTrailers, requestResponseTrailers:
			// A oneof: another member replaces an earlier one, the same member is merged
			// into it.
			if kind := Kind(f.Num - 1); kind != r.Kind {
				clear(r.Headers)
				r.Kind, r.Headers, r.Body, r.EndOfStream = kind, r.Headers[:0], nil, false
			}
			if err := r.parsePart(f.Bytes, len(b)-len(f.Rest)-len(f.Bytes)); err != nil {
				return fmt.Errorf("%s: %w", r.Kind, err)
			}
		case requestMetadataContext:
			r.metadata = append(r.metadata, f.Bytes)
		case requestAttributes:
			r.attributes = append(r.attributes, f.Bytes)
		}
	}
	return f.Err
}

// parsePart reads an HttpHeaders, HttpBody or HttpTrailers, which begins at this offset
// of the receive buffer.
func (r *Request) parsePart(b []byte, at int) error {
	f := protofield.Fields{Rest: b}
	for f.Next() {
		switch r.Kind {
		case RequestBody, ResponseBody:
			switch {
			case f.Is(httpBodyBody, protowire.BytesType):
				r.Body, r.bodyAt = f.Bytes, at+len(b)-len(f.Rest)-len(f.Bytes)
			case f.Is(httpBodyEndOfStream, protowire.VarintType):
				r.EndOfStream = protowire.DecodeBool(f.Scalar)
			}
		case RequestTrailers, ResponseTrailers:
			if f.Is(httpTrailersTrailers, protowire.BytesType) {
				if err := r.parseHeaders(f.Bytes); err != nil {
					return err
				}
			}
		default:
			switch {
			case f.Is(httpHeadersHeaders, protowire.BytesType):
				if err := r.parseHeaders(f.Bytes); err != nil {
					return err
				}
			case f.Is(httpHeadersEndOfStream, protowire.VarintType):
				r.EndOfStream = protowire.DecodeBool(f.Scalar)
			}
		}
	}
	return f.Err
}

// parseHeaders reads a HeaderMap. All keys and values share one copy of it: the strings
// outlive the message and cost one allocation.
func (r *Request) parseHeaders(b []byte) error {
	own := append([]byte(nil), b...)
	if r.Headers == nil {
		r.Headers = make([]Header, 0, 32)
	}
	f := protofield.Fields{Rest: own}
	for f.Next() {
		if !f.Is(headerMapHeaders, protowire.BytesType) {
			continue
		}
		var key, value, raw []byte
		h := protofield.Fields{Rest: f.Bytes}
		for h.Next() {
			switch {
			case h.Is(headerKey, protowire.BytesType):
				key = h.Bytes
			case h.Is(headerValue, protowire.BytesType):
				value = h.Bytes
			case h.Is(headerRawValue, protowire.BytesType):
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

// text returns b as a string without a copy. b must never be written to again.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
