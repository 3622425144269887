package wire

import (
	"context"

	"google.golang.org/grpc"
)

// Processor answers what Envoy sends about one HTTP exchange.
type Processor interface {
	// Process runs one stream. It returns nil when Recv returned io.EOF, or
	// earlier: then the exchange goes on without further processing. Any other
	// error ends the stream, which fails the exchange unless the filter's
	// failure_mode_allow says otherwise.
	Process(*Stream) error
}

// Register adds p to s as the one envoy.service.ext_proc.v3.ExternalProcessor. s
// needs the Codec: see ServerOptions.
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

// Stream is one run of the service: the messages about one HTTP exchange. One
// goroutine may receive while another sends.
type Stream struct {
	stream grpc.ServerStream
}

// Context is the stream's: it is done when Envoy gives up on it.
func (s *Stream) Context() context.Context { return s.stream.Context() }

// Recv frees r and waits for the next message. It returns io.EOF when Envoy has
// nothing more to say. Any other error has ended the stream.
func (s *Stream) Recv(r *Request) error {
	r.Free()
	return s.stream.RecvMsg(r)
}

// Send hands r to the connection. When it returns, r and the message whose body
// it edits may be reused: the connection holds the bytes it has yet to write.
func (s *Stream) Send(r *Response) error { return s.stream.SendMsg(r) }
