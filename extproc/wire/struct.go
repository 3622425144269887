package wire

import (
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"weir/internal/protofield"
)

// The members of google.protobuf.Value's oneof, by their field numbers.
const (
	absent protowire.Number = iota
	nullValue
	numberValue
	stringValue
	boolValue
	structValue
	listValue
	rawValue // none of them: a whole encoded Value
)

// scalar is what became of looking for one field in google.protobuf.Structs. It
// is shown every place where the field may be, in wire order, and the last one
// counts, as it does for a parser that builds the whole message.
type scalar struct {
	kind protowire.Number
	str  []byte
	num  float64
}

// inStructs looks for a field in an entry of a map from key to Struct.
func (v *scalar) inStructs(entry []byte, key, field string) {
	if !hasKey(entry, key) {
		return
	}
	*v = scalar{} // an entry replaces an earlier one of the same key
	f := protofield.Fields{Rest: entry}
	for f.Next() {
		if !f.Is(2, protowire.BytesType) {
			continue
		}
		s := protofield.Fields{Rest: f.Bytes}
		for s.Next() {
			if s.Is(1, protowire.BytesType) {
				v.inValues(s.Bytes, field)
			}
		}
	}
}

// inValues looks into an entry of a map from field to Value.
func (v *scalar) inValues(entry []byte, field string) {
	if !hasKey(entry, field) {
		return
	}
	*v = scalar{}
	f := protofield.Fields{Rest: entry}
	for f.Next() {
		if f.Is(2, protowire.BytesType) {
			v.merge(f.Bytes)
		}
	}
}

// merge takes over what an encoded Value says.
func (v *scalar) merge(value []byte) {
	f := protofield.Fields{Rest: value}
	for f.Next() {
		switch {
		case f.Is(1, protowire.VarintType):
			v.kind = nullValue
		case f.Is(2, protowire.Fixed64Type):
			v.kind, v.num = numberValue, math.Float64frombits(f.Scalar)
		case f.Is(3, protowire.BytesType):
			v.kind, v.str = stringValue, f.Bytes
		case f.Is(4, protowire.VarintType):
			v.kind, v.num = boolValue, float64(min(f.Scalar, 1))
		case f.Is(5, protowire.BytesType):
			v.kind = structValue
		case f.Is(6, protowire.BytesType):
			v.kind = listValue
		}
	}
}

func (v *scalar) text() string {
	switch v.kind {
	case stringValue:
		return string(v.str)
	case numberValue:
		return strconv.FormatFloat(v.num, 'f', -1, 64)
	case boolValue:
		return strconv.FormatBool(v.num != 0)
	default:
		return ""
	}
}

// hasKey reports whether a map entry has this key. The key may stand behind the
// value.
func hasKey(entry []byte, key string) bool {
	var got []byte
	f := protofield.Fields{Rest: entry}
	for f.Next() {
		if f.Is(1, protowire.BytesType) {
			got = f.Bytes
		}
	}
	return f.Err == nil && string(got) == key
}

// Value is a google.protobuf.Value to be sent. The zero value is null.
type Value struct {
	kind protowire.Number
	str  string
	num  float64
	raw  []byte
}

// String is a string value. It must be UTF-8.
func String(s string) Value { return Value{kind: stringValue, str: s} }

// Number is a number value.
func Number(n float64) Value { return Value{kind: numberValue, num: n} }

// Raw is an encoded google.protobuf.Value, sent as it is.
func Raw(encoded []byte) Value { return Value{kind: rawValue, raw: encoded} }

// AppendChain appends an encoded google.protobuf.Struct by which Envoy's
// priority_group cluster specifier sends attempt n to the n-th of these
// clusters, whose names must be UTF-8. It is for Metadata.Struct.
//
//	{"priority_groups": [{"name": "0", "clusters": [{"cluster_name": …, "weight": 1}]}, …]}
func AppendChain(dst []byte, clusters []string) []byte {
	const around = 128 // more than the keys, tags and lengths around a cluster's name
	room := around
	for _, cluster := range clusters {
		room += len(cluster) + around
	}
	dst = slices.Grow(dst, room)
	w := newWriter(dst[len(dst) : len(dst)+room])
	for n, cluster := range slices.Backward(clusters) {
		group := w.len()

		// "clusters": [{"cluster_name": cluster, "weight": 1}]
		m := w.len()
		w.number(1)
		w.mapEntry("weight", m)
		m = w.len()
		w.text(stringValue, cluster, "cluster name")
		w.mapEntry("cluster_name", m)
		w.wrap(structValue, group)
		w.wrap(1, group)
		w.wrap(listValue, group)
		w.mapEntry("clusters", group)

		// "name": "n"
		m = w.len()
		w.text(stringValue, strconv.Itoa(n), "group name")
		w.mapEntry("name", m)

		w.wrap(structValue, group)
		w.wrap(1, group)
	}
	w.wrap(listValue, 0)
	w.mapEntry("priority_groups", 0)
	return append(dst, w.bytes()...) // to where it belongs: the same memory, further ahead
}
