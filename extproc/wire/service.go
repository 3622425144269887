package wire

import (
	"context"

	"google.golang.org/grpc"
)

// Processor responds to what Envoy sends about HTTP exchanges.
type Processor interface {
	// Process handles one stream, which is one HTTP exchange. It returns nil after Recv
	// returned io.EOF, or earlier: the exchange then continues without further
	// processing. An error ends the stream, which fails the exchange unless the filter
	// sets failure_mode_allow.
	Process(*Stream) error
}

// Register adds p to s as envoy.service.ext_proc.v3.ExternalProcessor. s must use the
// Codec: see ServerOptions.
func Register(s grpc.ServiceRegistrar, p Processor) {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "envoy.service.ext_proc.v3.ExternalProcessor",
		HandlerType: (*Processor)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName:    "Process",
			ServerStreams: true,
			ClientStreams: true,
			Handler: func(srv any, stream grpc.ServerStream) error {
				return srv.(Processor).Process(&Stream{stream})
			},
		}},
		Metadata: "envoy/service/ext_proc/v3/external_processor.proto",
	}, p)
}

// Stream carries the messages about one HTTP exchange. One goroutine may receive while
// another sends.
type Stream struct {
	stream grpc.ServerStream
}

// Context returns the context of the stream. It is done when Envoy closes the stream.
func (s *Stream) Context() context.Context { return s.stream.Context() }

// Recv frees r and waits for the next message. It returns io.EOF when Envoy has closed
// its side of the stream. Any other error has ended the stream.
func (s *Stream) Recv(r *Request) error {
	r.Free()
	return s.stream.RecvMsg(r)
}

// Send passes r to the connection. Afterwards r, and the message whose body it edits, may
// be reused: the connection keeps references to the bytes that it has not yet written.
func (s *Stream) Send(r *Response) error { return s.stream.SendMsg(r) }
