// Package fieldtest compares numbers that code names with protobuf's descriptors. It is
// for tests.
package fieldtest

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Numbers fails the test if a number is not that of the field or enum value with the
// full name. The test must import the generated packages that have the descriptors.
func Numbers(t *testing.T, numbers map[string]protowire.Number) {
	t.Helper()
	for name, number := range numbers {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var want protowire.Number
		switch d := d.(type) {
		case protoreflect.FieldDescriptor:
			want = d.Number()
		case protoreflect.EnumValueDescriptor:
			want = protowire.Number(d.Number())
		}
		if number != want {
			t.Errorf("%s is %d, want %d", name, number, want)
		}
	}
}
