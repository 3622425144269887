// Package protofield walks over the fields of encoded protobuf messages, for
// those who read a few fields of a large message and keep none of it.
package protofield

import "google.golang.org/protobuf/encoding/protowire"

// Fields walks over the fields of one encoded message:
//
//	f := protofield.Fields{Rest: b}
//	for f.Next() { … f.Num, f.Typ … }
//	return f.Err
type Fields struct {
	Num    protowire.Number
	Typ    protowire.Type
	Bytes  []byte // of a BytesType
	Scalar uint64 // of a VarintType or Fixed64Type
	Rest   []byte // what follows the field
	Err    error
}

// Next goes to the next field; false at the end, and when Err is set.
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

// Is reports whether the field has this number and type. A known number of
// another type is an unknown field, as everywhere in protobuf.
func (f *Fields) Is(num protowire.Number, typ protowire.Type) bool {
	return f.Num == num && f.Typ == typ
}
