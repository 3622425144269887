package wire

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"weir/internal/protofield"
)

// Response is a ProcessingResponse, as far as Weir writes it: it leaves one part of the
// exchange unchanged, changes it, or ends the exchange with a response of its own. A
// Response to request headers that sends the request elsewhere:
//
//	wire.Response{Kind: wire.RequestHeaders, Common: wire.Common{
//		Set:             []wire.SetHeader{{Key: ":authority", Value: "api.openai.com"}},
//		Remove:          []string{"x-api-key"},
//		ClearRouteCache: true,
//	}}
type Response struct {
	// Kind is that of the Request. A Response with nothing else leaves the part
	// unchanged.
	Kind Kind

	Common

	// Immediate, if set, ends the exchange. Kind and Common are then ignored.
	Immediate *Immediate

	// Metadata becomes dynamic metadata, in the namespaces that the filter's
	// receiving_namespaces allow.
	Metadata []Metadata

	// WantResponse, in a Response to RequestHeaders, requests ResponseHeaders as well.
	// It is a mode_override, for a filter whose mode is a buffered request body and
	// nothing of the response.
	WantResponse bool
}

// wantResponse is an encoded ProcessingMode: tags of varints with their values.
var wantResponse = []byte{
	byte(modeResponseHeader) << 3, headerSend,
	byte(modeRequestBody) << 3, bodyBuffered,
	byte(modeRequestTrailer) << 3, headerSkip,
	byte(modeResponseTrailer) << 3, headerSkip,
}

// Common is a CommonResponse: the changes to one part of the exchange. For trailers,
// Envoy reads Set and Remove only.
type Common struct {
	Set             []SetHeader // in this order
	Remove          []string
	Body            *BodyPatch // nil leaves the body unchanged
	ClearRouteCache bool
}

// SetHeader replaces all header fields with this name by one, or adds it. The key must
// be UTF-8, the value need not be.
type SetHeader struct {
	Key, Value string
}

// Immediate is an ImmediateResponse: the response that the client receives instead.
type Immediate struct {
	Status  int // HTTP status
	Headers []SetHeader
	Body    []byte
	Details string // the response code details in Envoy's access log
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

// BodyPatch replaces the body with the edited body of Source. Envoy requires the new
// length, Len, as content-length in the same Response.
type BodyPatch struct {
	// Source is the message with the body. It may be freed after the Response was
	// sent. A nil Source stands for an empty body.
	Source *Request

	// Edits are in the order of the body and do not overlap. The bytes that they insert
	// are copied when the Response is sent.
	Edits []Edit
}

// Edit replaces Len bytes of a body at offset At with other bytes. Offsets are those of
// the body before all edits.
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

// copyBelow is the size up to which an unchanged part of the body is copied. Reference
// counting, framing and freeing a separate buffer costs as much as copying this much.
const copyBelow = 4 << 10

// The space for the tags, lengths and constants of a response and of one item in it, if
// every length takes the five bytes of the longest.
const (
	aroundResponse = 96
	aroundItem     = 48
)

// encode returns r as buffers, each with a reference of its own, which gRPC frees.
func (r *Response) encode(pool mem.BufferPool) (mem.BufferSlice, error) {
	room, outside, err := r.measure()
	if err != nil {
		return nil, fmt.Errorf("ProcessingResponse: %w", err)
	}
	handle := getBuffer(pool, room)
	own := mem.NewBuffer(handle, pool)
	defer own.Free() // the buffers of the message have references of their own

	e := encoder{writer: newWriter(*handle), own: own, from: len(*handle)}
	e.parts = make(mem.BufferSlice, 0, 2*outside+1)
	e.response(r)
	e.flush()
	if e.err != nil {
		e.parts.Free()
		return nil, fmt.Errorf("ProcessingResponse: %w", e.err)
	}
	slices.Reverse(e.parts)
	return e.parts, nil
}

// measure returns the most space that r needs in a buffer of its own, and the number of
// parts of the body that are sent from the receive buffer.
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
			room += aroundItem + len(f.Key) + len(f.Value.str)
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

// measure checks p. It returns how many bytes of the edited body must be copied, and how
// many parts are sent from the receive buffer.
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

// encoder writes one message from back to front: into a buffer of its own, with parts of
// a received buffer between. The body is written first and is therefore the last on the
// wire, so that everything before it is one buffer.
type encoder struct {
	writer
	own   mem.Buffer      // what the writer writes into
	from  int             // own[at:from] is not in parts yet
	parts mem.BufferSlice // the last one first
}

// flush makes a buffer of what was written since the last one.
func (e *encoder) flush() {
	if e.at < e.from {
		e.parts = append(e.parts, e.own.Slice(e.at, e.from))
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
		e.wrap(responseModeOverride, mode)
	}
	if len(r.Metadata) == 0 {
		return
	}
	m := e.len()
	for _, namespace := range slices.Backward(r.Metadata) {
		e.namespace(&namespace)
	}
	e.wrap(responseDynamicMetadata, m)
}

// part writes HeadersResponse, BodyResponse or TrailersResponse.
func (e *encoder) part(kind Kind, c *Common) {
	part := e.len()
	if kind == RequestTrailers || kind == ResponseTrailers {
		e.headers(trailersHeaderMutation, c.Set, c.Remove)
		e.wrap(protowire.Number(kind), part)
		return
	}
	if c.Body != nil {
		e.body(c.Body)
		e.wrap(mutationBody, part) // present even when it is empty
		e.wrap(commonBodyMutation, part)
	}
	if c.ClearRouteCache {
		e.varint(1)
		e.tag(commonClearRouteCache, protowire.VarintType)
	}
	e.headers(commonHeaderMutation, c.Set, c.Remove)
	if e.len() > part {
		e.wrap(partResponse, part)
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

// untouched writes part of a received body: a copy if it is small, otherwise a reference
// to the receive buffer.
func (e *encoder) untouched(source *Request, from, to int) {
	switch n := to - from; {
	case n == 0:
	case n < copyBelow:
		e.raw(source.Body[from:to])
	default:
		e.flush()
		e.parts = append(e.parts, source.buf.Slice(source.bodyAt+from, source.bodyAt+to))
		e.outside += n
	}
}

// headers writes a HeaderMutation as field num, unless it is empty.
func (e *encoder) headers(num protowire.Number, set []SetHeader, remove []string) {
	if len(set) == 0 && len(remove) == 0 {
		return
	}
	m := e.len()
	for _, key := range slices.Backward(remove) {
		e.text(mutationRemove, key, "the name of a header to remove")
	}
	for _, h := range slices.Backward(set) {
		option := e.len()
		e.varint(overwriteIfExistsOrAdd)
		e.tag(optionAppendAction, protowire.VarintType)
		header := e.len()
		if h.Value != "" {
			e.string(headerRawValue, h.Value)
		}
		e.text(headerKey, h.Key, "the name of a header")
		e.wrap(optionHeader, header)
		e.wrap(mutationSet, option)
	}
	e.wrap(num, m)
}

func (e *encoder) immediate(r *Immediate) {
	m := e.len()
	if r.Details != "" {
		e.text(immediateDetails, r.Details, "the details of an immediate response")
	}
	if len(r.Body) > 0 {
		body := e.len()
		e.raw(r.Body)
		e.wrap(immediateBody, body)
	}
	e.headers(immediateHeaders, r.Headers, nil)
	status := e.len()
	e.varint(uint64(r.Status))
	e.tag(statusCode, protowire.VarintType)
	e.wrap(immediateStatus, status)
	e.wrap(responseImmediate, m)
}

// namespace writes an entry of the Struct that maps namespaces to Structs.
func (e *encoder) namespace(n *Metadata) {
	m := e.len()
	for _, f := range slices.Backward(n.Fields) {
		value := e.len()
		switch f.Value.kind {
		case protofield.ValueString:
			e.text(protofield.ValueString, f.Value.str, "a metadata value")
		case protofield.ValueNumber:
			e.number(f.Value.num)
		default:
			e.varint(0)
			e.tag(protofield.ValueNull, protowire.VarintType)
		}
		e.mapEntry(f.Key, value)
	}
	e.raw(n.Struct)
	e.wrap(protofield.ValueStruct, m)
	e.mapEntry(n.Namespace, m)
}
