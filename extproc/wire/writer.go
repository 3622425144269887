package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"weir/internal/protofield"
)

// writer encodes a message from back to front. A nested message is preceded by its
// length. A writer from front to back must measure everything first; from back to
// front, the length is known when it is written:
//
//	m := w.len()
//	… the fields of the inner message, the last one first …
//	w.wrap(num, m)
//
// The message must fit into buf: a writer without room panics. So the estimates in
// this package are generous, and its fuzz tests look for one that is too small.
type writer struct {
	buf     []byte
	at      int // what is written is buf[at:]
	outside int // bytes of the message that are not in buf but follow in its place
	err     error
}

func newWriter(buf []byte) writer { return writer{buf: buf, at: len(buf)} }

// len is the number of bytes written so far.
func (w *writer) len() int { return len(w.buf) - w.at + w.outside }

// bytes returns what was written.
func (w *writer) bytes() []byte { return w.buf[w.at:] }

func (w *writer) raw(b []byte) {
	w.at -= len(b)
	copy(w.buf[w.at:], b)
}

func (w *writer) varint(v uint64) {
	w.at -= protowire.SizeVarint(v)
	binary.PutUvarint(w.buf[w.at:], v)
}

func (w *writer) tag(num protowire.Number, typ protowire.Type) {
	w.varint(protowire.EncodeTag(num, typ))
}

// wrap makes what was written since m a message, or a string, that is field num.
func (w *writer) wrap(num protowire.Number, m int) {
	w.varint(uint64(w.len() - m))
	w.tag(num, protowire.BytesType)
}

// mapEntry makes what was written since m a google.protobuf.Value and puts it
// into a Struct's map under this key.
func (w *writer) mapEntry(key string, m int) {
	w.wrap(protofield.MapValue, m)
	w.text(protofield.MapKey, key, "metadata key")
	w.wrap(protofield.StructFields, m)
}

// string writes a string or bytes field.
func (w *writer) string(num protowire.Number, s string) {
	m := w.len()
	w.at -= len(s)
	copy(w.buf[w.at:], s)
	w.wrap(num, m)
}

// text writes a string field that must be UTF-8. Envoy would reject the whole message
// for an invalid one, without saying which; here the error names the field.
func (w *writer) text(num protowire.Number, s, what string) {
	if !utf8.ValidString(s) && w.err == nil {
		w.err = fmt.Errorf("%s is not UTF-8", what)
	}
	w.string(num, s)
}

// number writes a Value's number.
func (w *writer) number(n float64) {
	w.at -= 8
	binary.LittleEndian.PutUint64(w.buf[w.at:], math.Float64bits(n))
	w.tag(protofield.ValueNumber, protowire.Fixed64Type)
}
