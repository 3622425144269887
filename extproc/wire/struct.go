package wire

import (
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"weir/internal/protofield"
)

// scalar is the result of a search for one field in google.protobuf.Structs. It is shown
// every place where the field can be, in wire order. The last one counts, as for a
// parser that builds the whole message.
type scalar struct {
	kind protowire.Number // of google.protobuf.Value, 0 if the field is absent
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
		if !f.Is(protofield.MapValue, protowire.BytesType) {
			continue
		}
		s := protofield.Fields{Rest: f.Bytes}
		for s.Next() {
			if s.Is(protofield.StructFields, protowire.BytesType) {
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
		if f.Is(protofield.MapValue, protowire.BytesType) {
			v.merge(f.Bytes)
		}
	}
}

// merge reads an encoded Value.
func (v *scalar) merge(value []byte) {
	f := protofield.Fields{Rest: value}
	for f.Next() {
		switch {
		case f.Is(protofield.ValueNull, protowire.VarintType):
			v.kind = protofield.ValueNull
		case f.Is(protofield.ValueNumber, protowire.Fixed64Type):
			v.kind, v.num = protofield.ValueNumber, math.Float64frombits(f.Scalar)
		case f.Is(protofield.ValueString, protowire.BytesType):
			v.kind, v.str = protofield.ValueString, f.Bytes
		case f.Is(protofield.ValueBool, protowire.VarintType):
			v.kind, v.num = protofield.ValueBool, float64(min(f.Scalar, 1))
		case f.Is(protofield.ValueStruct, protowire.BytesType):
			v.kind = protofield.ValueStruct
		case f.Is(protofield.ValueList, protowire.BytesType):
			v.kind = protofield.ValueList
		}
	}
}

func (v *scalar) text() string {
	switch v.kind {
	case protofield.ValueString:
		return string(v.str)
	case protofield.ValueNumber:
		return strconv.FormatFloat(v.num, 'f', -1, 64)
	case protofield.ValueBool:
		return strconv.FormatBool(v.num != 0)
	default:
		return ""
	}
}

// hasKey reports whether a map entry has this key. The key may follow the value.
func hasKey(entry []byte, key string) bool {
	var got []byte
	f := protofield.Fields{Rest: entry}
	for f.Next() {
		if f.Is(protofield.MapKey, protowire.BytesType) {
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
}

// String is a string value. It must be UTF-8.
func String(s string) Value { return Value{kind: protofield.ValueString, str: s} }

// Number is a number value.
func Number(n float64) Value { return Value{kind: protofield.ValueNumber, num: n} }

// AppendChain appends an encoded google.protobuf.Struct with which Envoy's priority_group
// cluster specifier sends attempt n to the n-th of these clusters. Their names must be
// UTF-8. The result is for Metadata.Struct.
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
		w.text(protofield.ValueString, cluster, "cluster name")
		w.mapEntry("cluster_name", m)
		w.wrap(protofield.ValueStruct, group)
		w.wrap(protofield.ListValues, group)
		w.wrap(protofield.ValueList, group)
		w.mapEntry("clusters", group)

		// "name": "n"
		m = w.len()
		w.text(protofield.ValueString, strconv.Itoa(n), "group name")
		w.mapEntry("name", m)

		w.wrap(protofield.ValueStruct, group)
		w.wrap(protofield.ListValues, group)
	}
	w.wrap(protofield.ValueList, 0)
	w.mapEntry("priority_groups", 0)
	return append(dst, w.bytes()...) // moves it to the end of dst, in the same memory
}
