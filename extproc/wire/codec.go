package wire

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Codec is the gRPC codec of a server with the ext_proc service and others. It encodes
// *Response, decodes *Request, passes the bytes of a message to a Reader, and leaves
// everything else to gRPC's protobuf codec. Install it with grpc.ForceServerCodecV2.
type Codec struct {
	pool  mem.BufferPool
	bound *bound
	std   encoding.CodecV2
}

var _ encoding.CodecV2 = (*Codec)(nil)

// NewCodec returns a codec that takes its buffers from pool.
func NewCodec(pool mem.BufferPool) *Codec {
	return &Codec{pool: pool, bound: newBound(), std: encoding.GetCodecV2(proto.Name)}
}

// Marshal encodes v, which may refer to the bytes of a received message. They are freed
// when gRPC has written them.
func (c *Codec) Marshal(v any) (mem.BufferSlice, error) {
	if r, ok := v.(*Response); ok {
		return r.encode(c.pool)
	}
	return c.std.Marshal(v)
}

// Reader is a message that decodes itself. ReadMessage must not keep the bytes.
type Reader interface {
	ReadMessage(message []byte) error
}

// Unmarshal decodes data into v. A *Request releases its buffer and keeps a reference to
// data; Unmarshal waits while too many large ones are held.
func (c *Codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch r := v.(type) {
	case *Request:
		return r.decode(data, c.pool, c.bound)
	case Reader:
		whole := contiguous(data, c.pool)
		defer whole.Free()
		return r.ReadMessage(whole.ReadOnlyData())
	}
	return c.std.Unmarshal(data, v)
}

// Name returns the name of protobuf's codec, because the encoding is the same.
func (c *Codec) Name() string { return proto.Name }
