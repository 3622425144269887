// Package wire speaks envoy.service.ext_proc.v3.ExternalProcessor: it decodes
// the ProcessingRequests that Envoy sends, encodes the ProcessingResponses that
// it gets back, and registers the service on a gRPC server.
//
// It exists because the generated types copy a request body four times on its
// way through a processor: out of the frames into one buffer, out of that into
// the message, into the edited body, and into the outgoing message. Here a body
// that arrived in one HTTP/2 frame is not copied at all and a larger one is
// copied once, out of its frames; the answer refers to those same bytes. The
// last copy, into the connection's write buffer, is gRPC's own.
//
// It reads what Weir reads and writes what Weir writes. It knows no policy and
// refuses to judge: unknown fields are skipped, strings are not checked on the
// way in, and what a header or a body means is the caller's business. Bytes that
// are no protobuf message are an error, never a panic.
//
// It may import gRPC and protobuf's wire primitives; nothing of Weir, and not
// the generated Envoy types, which only its tests use.
//
// Field numbers are those of envoy v1.40.0: service/ext_proc/v3/external_processor.proto,
// config/core/v3/base.proto and google/protobuf/struct.proto.
package wire

// Kind says which part of an HTTP exchange a message is about. The order is the
// protocol's: a kind is its own field number in ProcessingResponse, and one less
// than its field number in ProcessingRequest.
type Kind uint8

// The parts of an exchange. Other is a message about none of them.
const (
	Other Kind = iota
	RequestHeaders
	ResponseHeaders
	RequestBody
	ResponseBody
	RequestTrailers
	ResponseTrailers
)

// String names k as the protocol does.
func (k Kind) String() string {
	switch k {
	case RequestHeaders:
		return "request_headers"
	case ResponseHeaders:
		return "response_headers"
	case RequestBody:
		return "request_body"
	case ResponseBody:
		return "response_body"
	case RequestTrailers:
		return "request_trailers"
	case ResponseTrailers:
		return "response_trailers"
	default:
		return "other"
	}
}
