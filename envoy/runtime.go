package envoy

import (
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	// maxPattern is the longest pattern that Envoy accepts, in steps of its program.
	// Weir uses long ones: the names of the headers that pass to clients are one
	// pattern, and by default Envoy rejects more than 100 steps. Matching still takes
	// time linear in the length of the name.
	maxPattern = 100_000
	// prematureResets is the number of requests on one HTTP/2 connection after
	// which Envoy closes it if half of them were cancelled before a response; half
	// of this number of cancelled ones is enough. Envoy's default of 500 cut a
	// proxy's connection, with everybody's streams, at 250 quick cancels. What
	// bounds rapid resets (CVE-2023-44487) is the limit of its HTTP/2 library,
	// nghttp2: 1,000 at once and 33 a second on a connection. This number is out of
	// its reach.
	prematureResets = 10_000_000
	// requestsPerRead is how many requests of one connection Envoy begins before it
	// turns to the other connections. Requests that a client cancels right after
	// sending them then never reach Weir.
	requestsPerRead = 1
)

// runtimeLayers are Envoy's runtime settings. There is no layer for its admin
// interface: nothing changes them.
func runtimeLayers() *bootstrapv3.LayeredRuntime {
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
		Name: "weir",
		LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: &structpb.Struct{Fields: map[string]*structpb.Value{
			"overload.premature_reset_total_stream_count": structpb.NewNumberValue(prematureResets),
			"http.max_requests_per_io_cycle":              structpb.NewNumberValue(requestsPerRead),
			"re2.max_program_size.error_level":            structpb.NewNumberValue(maxPattern),
		}}},
	}}}
}
