package wire

import (
	"runtime/debug"
	"slices"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// The allocation budgets of the request path: with a Request that is received
// into again, the copy of the headers; and the list of buffers that gRPC keeps.
func TestAllocations(t *testing.T) {
	if raceDetector() {
		t.Skip("the race detector makes sync.Pool forget")
	}
	pool := NewPool()
	codec := NewCodec(pool)
	var r Request
	decode := func(m proto.Message) func() {
		data := marshal(t, m, 1<<20, pool)
		return func() {
			if err := codec.Unmarshal(data, &r); err != nil {
				t.Fatal(err)
			}
			r.Free()
		}
	}
	encode := func(reply *Response) func() {
		return func() {
			data, err := codec.Marshal(reply)
			if err != nil {
				t.Fatal(err)
			}
			data.Free()
		}
	}
	withPlan := bodyMessage(benchBody(1 << 10))
	withPlan.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"weir.plan": object(t, map[string]any{"plan": "{}"})}}
	planned := received(t, withPlan, pool)
	for _, tt := range []struct {
		name   string
		budget float64
		run    func()
	}{
		{"decode headers", 1, decode(headersMessage())},
		{"decode a body", 0, decode(bodyMessage(benchBody(1 << 10)))},
		{"decode a body with metadata", 0, decode(withPlan)},
		{"read the metadata", 1, func() { planned.Metadata("weir.plan", "plan") }},
		{"leave the headers alone", 1, encode(&Response{Kind: RequestHeaders})},
		{"edit a body of 1 KiB", 1, encode(bodyReply(received(t, bodyMessage(benchBody(1<<10)), pool)))},
		{"edit a body of 100 KiB", 1, encode(bodyReply(received(t, bodyMessage(benchBody(100<<10)), pool)))},
		{"chain", 1, func() { AppendChain(nil, benchChain) }},
	} {
		if got := testing.AllocsPerRun(200, tt.run); got > tt.budget {
			t.Errorf("%s: %v allocations, the budget is %v", tt.name, got, tt.budget)
		}
	}
}

// raceDetector reports whether this binary was built with -race.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
