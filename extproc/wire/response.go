package wire

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// Response is what Weir writes of a ProcessingResponse.
type Response struct {
	// Kind is the part of the exchange this answers: the Request's own. A part
	// is left as it is by a Response with nothing but its Kind.
	Kind Kind

	Common

	// Immediate, when set, ends the exchange. Kind and Common then do not count.
	Immediate *Immediate

	// Metadata becomes dynamic metadata, as far as the filter's
	// receiving_namespaces allow.
	Metadata []Metadata

	// WantResponse, in an answer to RequestHeaders, asks for ResponseHeaders too:
	// a mode_override for a filter whose mode is a buffered request body and
	// nothing of the response.
	WantResponse bool
}

// wantResponse is a ProcessingMode (envoy/extensions/filters/http/ext_proc/v3/processing_mode.proto):
// response_header_mode SEND, request_body_mode BUFFERED, no trailers.
var wantResponse = []byte{2 << 3, 1, 3 << 3, 2, 5 << 3, 2, 6 << 3, 2}

// Common is a CommonResponse: what becomes of one part of the exchange. Of an
// answer to trailers Envoy only takes the headers.
type Common struct {
	Set             []SetHeader // in this order
	Remove          []string
	Body            *BodyPatch // nil leaves the body alone
	ClearRouteCache bool
}

// SetHeader replaces all fields of this name by one, or adds it. The value is
// sent as bytes; the key must be UTF-8.
type SetHeader struct {
	Key, Value string
}

// Immediate is an ImmediateResponse: what the client gets instead.
type Immediate struct {
	Status  int // HTTP status
	Headers []SetHeader
	Body    []byte
	Details string // shows as the response code details in Envoy's access log
}

// Metadata is one namespace of dynamic metadata.
type Metadata struct {
	Namespace string
	Struct    []byte // an encoded google.protobuf.Struct, to which Fields are added; or nil
	Fields    []Field
}

// Field is one field of a Metadata.
type Field struct {
	Key   string
	Value Value
}

// BodyPatch replaces the body by the body of Source with edits. The new length
// is Len: Envoy wants it as content-length in the same Response.
type BodyPatch struct {
	// Source is the message whose body is edited. It may be freed once the
	// Response was sent. A nil Source has an empty body.
	Source *Request

	// Edits are ordered and do not overlap. The bytes they insert are copied
	// when the Response is sent.
	Edits []Edit
}

// Edit replaces Len bytes of a body at offset At. Offsets are those of the body
// before any edit.
type Edit struct {
	At, Len int
	With    []byte
}

// Len returns the length of the body after the edits.
func (p *BodyPatch) Len() int {
	n := 0
	if p.Source != nil {
		n = len(p.Source.Body)
	}
	for _, e := range p.Edits {
		n += len(e.With) - e.Len
	}
	return n
}

// copyBelow is the size up to which an untouched piece of the body is copied
// behind what stands before it. Reference counting, framing and freeing a piece
// of its own costs as much as copying this much.
const copyBelow = 4 << 10

// Room for the tags, lengths and constants around a response and around one item
// in it, if every length took the five bytes of the longest.
const (
	aroundResponse = 96
	aroundItem     = 48
)

// encode returns r as pieces, each with a reference of its own, for gRPC to free.
func (r *Response) encode(pool mem.BufferPool) (mem.BufferSlice, error) {
	room, outside, err := r.measure()
	if err != nil {
		return nil, fmt.Errorf("ProcessingResponse: %w", err)
	}
	handle := getBuffer(pool, room)
	own := mem.NewBuffer(handle, pool)
	defer own.Free() // the pieces hold what they use

	e := encoder{writer: newWriter(*handle), own: own, from: len(*handle)}
	e.pieces = make(mem.BufferSlice, 0, 2*outside+1)
	e.response(r)
	e.flush()
	if e.err != nil {
		e.pieces.Free()
		return nil, fmt.Errorf("ProcessingResponse: %w", e.err)
	}
	slices.Reverse(e.pieces)
	return e.pieces, nil
}

// measure returns how much room r needs in a buffer of its own, at most, and how
// many pieces of the body stay where they are.
func (r *Response) measure() (room, outside int, err error) {
	room = aroundResponse
	switch {
	case r.Immediate != nil:
		room += len(r.Immediate.Body) + len(r.Immediate.Details) + measureHeaders(r.Immediate.Headers)
	case r.Kind == Other:
		return 0, 0, errors.New("neither a kind nor an immediate response")
	default:
		room += measureHeaders(r.Set)
		for _, key := range r.Remove {
			room += aroundItem + len(key)
		}
		if r.Body != nil {
			var inside int
			inside, outside, err = r.Body.measure()
			room += inside
		}
	}
	for _, m := range r.Metadata {
		room += aroundItem + len(m.Namespace) + len(m.Struct)
		for _, f := range m.Fields {
			room += aroundItem + len(f.Key) + len(f.Value.str) + len(f.Value.raw)
		}
	}
	return room, outside, err
}

func measureHeaders(set []SetHeader) int {
	n := 0
	for _, h := range set {
		n += aroundItem + len(h.Key) + len(h.Value)
	}
	return n
}

// measure checks p and returns how many bytes of the edited body have to be
// copied and how many pieces stay where they are.
func (p *BodyPatch) measure() (inside, outside int, err error) {
	var body []byte
	if p.Source != nil {
		if p.Source.buf == nil {
			return 0, 0, errors.New("body patch: the source was freed")
		}
		body = p.Source.Body
	}
	at := 0
	for i, e := range p.Edits {
		if e.At < at || e.Len < 0 || e.Len > len(body)-e.At {
			return 0, 0, fmt.Errorf("body patch: edit %d, at %d for %d, does not fit into %d bytes from %d", i, e.At, e.Len, len(body), at)
		}
		if n := e.At - at; n < copyBelow {
			inside += n
		} else {
			outside++
		}
		inside += len(e.With)
		at = e.At + e.Len
	}
	if n := len(body) - at; n < copyBelow {
		inside += n
	} else {
		outside++
	}
	return inside, outside, nil
}

// encoder writes one message, from back to front, into a buffer of its own and
// around pieces of a received one. The body is written first and therefore last
// on the wire: what comes before it is one piece.
type encoder struct {
	writer
	own    mem.Buffer      // what the writer writes into
	from   int             // own[at:from] is not among the pieces yet
	pieces mem.BufferSlice // the last one first
}

// flush makes a piece of what was written since the last one.
func (e *encoder) flush() {
	if e.at < e.from {
		e.pieces = append(e.pieces, e.own.Slice(e.at, e.from))
		e.from = e.at
	}
}

func (e *encoder) response(r *Response) {
	if r.Immediate != nil {
		e.immediate(r.Immediate)
	} else {
		e.part(r.Kind, &r.Common)
	}
	if r.WantResponse {
		mode := e.len()
		e.raw(wantResponse)
		e.wrap(9, mode)
	}
	if len(r.Metadata) == 0 {
		return
	}
	m := e.len()
	for _, namespace := range slices.Backward(r.Metadata) {
		e.namespace(&namespace)
	}
	e.wrap(8, m) // dynamic_metadata
}

// part writes HeadersResponse, BodyResponse or TrailersResponse.
func (e *encoder) part(kind Kind, c *Common) {
	part := e.len()
	if kind == RequestTrailers || kind == ResponseTrailers {
		e.headers(1, c.Set, c.Remove)
		e.wrap(protowire.Number(kind), part)
		return
	}
	if c.Body != nil {
		e.body(c.Body)
		e.wrap(1, part) // BodyMutation.body: present even when it is empty
		e.wrap(3, part) // CommonResponse.body_mutation
	}
	if c.ClearRouteCache {
		e.varint(1)
		e.tag(5, protowire.VarintType)
	}
	e.headers(2, c.Set, c.Remove)
	if e.len() > part {
		e.wrap(1, part) // CommonResponse
	}
	e.wrap(protowire.Number(kind), part)
}

func (e *encoder) body(p *BodyPatch) {
	end := 0
	if p.Source != nil {
		end = len(p.Source.Body)
	}
	for _, edit := range slices.Backward(p.Edits) {
		e.untouched(p.Source, edit.At+edit.Len, end)
		e.raw(edit.With)
		end = edit.At
	}
	e.untouched(p.Source, 0, end)
}

// untouched writes a piece of a received body: a copy if it is small, otherwise
// a reference to where it lies.
func (e *encoder) untouched(source *Request, from, to int) {
	switch n := to - from; {
	case n == 0:
	case n < copyBelow:
		e.raw(source.Body[from:to])
	default:
		e.flush()
		e.pieces = append(e.pieces, source.buf.Slice(source.bodyAt+from, source.bodyAt+to))
		e.outside += n
	}
}

// headers writes a HeaderMutation as field num, if it says anything.
func (e *encoder) headers(num protowire.Number, set []SetHeader, remove []string) {
	if len(set) == 0 && len(remove) == 0 {
		return
	}
	m := e.len()
	for _, key := range slices.Backward(remove) {
		e.text(2, key, "the name of a header to remove")
	}
	for _, h := range slices.Backward(set) {
		option := e.len()
		e.varint(2) // OVERWRITE_IF_EXISTS_OR_ADD
		e.tag(3, protowire.VarintType)
		header := e.len()
		if h.Value != "" {
			e.string(3, h.Value) // raw_value
		}
		e.text(1, h.Key, "the name of a header")
		e.wrap(1, header)
		e.wrap(1, option)
	}
	e.wrap(num, m)
}

func (e *encoder) immediate(r *Immediate) {
	m := e.len()
	if r.Details != "" {
		e.text(5, r.Details, "the details of an immediate response")
	}
	if len(r.Body) > 0 {
		body := e.len()
		e.raw(r.Body)
		e.wrap(3, body)
	}
	e.headers(2, r.Headers, nil)
	status := e.len()
	e.varint(uint64(r.Status))
	e.tag(1, protowire.VarintType)
	e.wrap(1, status)
	e.wrap(7, m)
}

// namespace writes an entry of the Struct that maps namespaces to Structs.
func (e *encoder) namespace(n *Metadata) {
	m := e.len()
	for _, f := range slices.Backward(n.Fields) {
		value := e.len()
		switch f.Value.kind {
		case stringValue:
			e.text(stringValue, f.Value.str, "a metadata value")
		case numberValue:
			e.number(f.Value.num)
		case rawValue:
			e.raw(f.Value.raw)
		default:
			e.varint(0)
			e.tag(nullValue, protowire.VarintType)
		}
		e.mapEntry(f.Key, value)
	}
	e.raw(n.Struct)
	e.wrap(structValue, m)
	e.mapEntry(n.Namespace, m)
}
