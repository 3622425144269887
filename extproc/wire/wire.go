// Package wire implements the gRPC service envoy.service.ext_proc.v3.ExternalProcessor:
// it decodes the ProcessingRequests that Envoy sends, encodes the ProcessingResponses
// that Envoy receives, and registers the service on a server.
//
// It replaces the generated types because they copy a request body four times: from
// the HTTP/2 frames into one buffer, from there into the message, into the edited
// body, and into the response message. Here a body that arrives in one frame is not
// copied, and a larger one is copied once, from its frames. The response refers to the
// same bytes. The last copy, into the connection's write buffer, is made by gRPC.
//
// The package decodes only the fields that Weir reads and encodes only those that it
// writes. Unknown fields are skipped, and strings are not validated when they are
// received. Bytes that are not a protobuf message are an error, never a panic. The
// package decides nothing about requests: that is up to the Processor.
//
// Only its tests import the generated Envoy types: they compare every message, and the
// field numbers in numbers.go, with those.
package wire

// Kind is the part of an HTTP exchange that a message is about. Its value is the field
// number of the part in ProcessingResponse, and one less than the field number in
// ProcessingRequest.
type Kind uint8

// The parts of an exchange. Other stands for a message about none of them.
const (
	Other Kind = iota
	RequestHeaders
	ResponseHeaders
	RequestBody
	ResponseBody
	RequestTrailers
	ResponseTrailers
)

// String returns the name of the part's field in the protocol.
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
