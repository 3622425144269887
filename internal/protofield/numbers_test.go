package protofield

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	_ "google.golang.org/protobuf/types/known/anypb"
	_ "google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"
	_ "google.golang.org/protobuf/types/known/wrapperspb"

	"weir/internal/protofield/fieldtest"
)

// TestNumbers compares each number with its descriptor.
func TestNumbers(t *testing.T) {
	fieldtest.Numbers(t, map[string]protowire.Number{
		"google.protobuf.Struct.FieldsEntry.key":   MapKey,
		"google.protobuf.Struct.FieldsEntry.value": MapValue,
		"google.protobuf.Struct.fields":            StructFields,
		"google.protobuf.Value.null_value":         ValueNull,
		"google.protobuf.Value.number_value":       ValueNumber,
		"google.protobuf.Value.string_value":       ValueString,
		"google.protobuf.Value.bool_value":         ValueBool,
		"google.protobuf.Value.struct_value":       ValueStruct,
		"google.protobuf.Value.list_value":         ValueList,
		"google.protobuf.ListValue.values":         ListValues,
		"google.protobuf.Any.value":                AnyValue,
		"google.protobuf.UInt32Value.value":        WrappedValue,
		"google.protobuf.UInt64Value.value":        WrappedValue,
		"google.protobuf.Timestamp.seconds":        TimeSeconds,
		"google.protobuf.Timestamp.nanos":          TimeNanos,
		"google.protobuf.Duration.seconds":         TimeSeconds,
		"google.protobuf.Duration.nanos":           TimeNanos,
	})
}
