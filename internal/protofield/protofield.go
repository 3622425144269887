// Package protofield reads the fields of encoded protobuf messages one after the
// other, without building the message. It is for packages that read a few fields of
// large messages: nothing is copied or allocated.
//
// Packages name the field numbers of the messages that they read, and a test compares
// each with the descriptor of the generated type. The numbers here are those of
// google.protobuf's own messages.
package protofield

import "google.golang.org/protobuf/encoding/protowire"

// Fields iterates over the fields of one encoded message. Set Rest to the message and
// call Next until it returns false; then Err is not nil if the message is malformed.
type Fields struct {
	Num    protowire.Number
	Typ    protowire.Type
	Bytes  []byte // the value of a BytesType; it shares the memory of the message
	Scalar uint64 // the value of a VarintType or Fixed64Type
	Rest   []byte // the bytes after the field
	Err    error
}

// Next advances to the next field. It returns false at the end of the message and at an
// error, which is then in Err.
func (f *Fields) Next() bool {
	if len(f.Rest) == 0 || f.Err != nil {
		return false
	}
	num, typ, n := protowire.ConsumeTag(f.Rest)
	if n < 0 {
		return f.fail(n)
	}
	f.Rest = f.Rest[n:]
	f.Num, f.Typ, f.Bytes, f.Scalar = num, typ, nil, 0
	switch typ {
	case protowire.BytesType:
		f.Bytes, n = protowire.ConsumeBytes(f.Rest)
	case protowire.VarintType:
		f.Scalar, n = protowire.ConsumeVarint(f.Rest)
	case protowire.Fixed64Type:
		f.Scalar, n = protowire.ConsumeFixed64(f.Rest)
	default:
		n = protowire.ConsumeFieldValue(num, typ, f.Rest)
	}
	if n < 0 {
		return f.fail(n)
	}
	f.Rest = f.Rest[n:]
	return true
}

func (f *Fields) fail(n int) bool {
	f.Err = protowire.ParseError(n)
	return false
}

// Is reports whether the field has this number and type. A known number with another
// type is an unknown field, as in every protobuf parser.
func (f *Fields) Is(num protowire.Number, typ protowire.Type) bool {
	return f.Num == num && f.Typ == typ
}
