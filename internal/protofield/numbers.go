package protofield

import "google.golang.org/protobuf/encoding/protowire"

// The field numbers of google.protobuf's own messages that Envoy's contain.
const (
	// An entry of any map<key, value>.
	MapKey   protowire.Number = 1
	MapValue protowire.Number = 2

	StructFields protowire.Number = 1

	ValueNull   protowire.Number = 1
	ValueNumber protowire.Number = 2
	ValueString protowire.Number = 3
	ValueBool   protowire.Number = 4
	ValueStruct protowire.Number = 5
	ValueList   protowire.Number = 6

	ListValues protowire.Number = 1

	AnyValue protowire.Number = 2

	// UInt32Value, UInt64Value and the like.
	WrappedValue protowire.Number = 1

	// Timestamp and Duration.
	TimeSeconds protowire.Number = 1
	TimeNanos   protowire.Number = 2
)
