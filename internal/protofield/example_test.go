package protofield_test

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"weir/internal/protofield"
)

func ExampleFields() {
	message, err := proto.Marshal(&durationpb.Duration{Seconds: 90, Nanos: 5})
	if err != nil {
		panic(err)
	}
	f := protofield.Fields{Rest: message}
	for f.Next() {
		if f.Is(protofield.TimeSeconds, protowire.VarintType) {
			fmt.Println("seconds:", f.Scalar)
		}
	}
	fmt.Println("error:", f.Err)
	// Output:
	// seconds: 90
	// error: <nil>
}
