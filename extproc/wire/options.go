package wire

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
)

const (
	// streamWorkers is the number of goroutines that are kept for streams: their
	// stacks have already grown. Further streams get new goroutines.
	streamWorkers = 64

	// connWindow is so large that Envoy never waits for it. gRPC reopens this window
	// when bytes arrive, not when they are read, so its size limits no memory, and a
	// small one only costs window updates.
	connWindow = 16 << 20

	// streamWindow is how much of a message Envoy may send before Weir reads it.
	// While Weir reads a message, gRPC opens the window to the size of the message.
	// So this is how much a waiting stream holds.
	streamWindow = 256 << 10
)

// ServerOptions returns the options for a server with the ext_proc service, alone
// or with others. maxMessage is the size of the largest accepted message, in bytes:
// the largest body with the metadata around it. A larger message ends its stream
// with RESOURCE_EXHAUSTED.
//
// What each option saves in CPU time of the server (BenchmarkOptions; a Unix socket,
// two cores, 16 requests at a time, medians; the last digit is noise):
//
//	ForceServerCodecV2        the Codec. 51 % less than the generated types at
//	                          1 KiB, 65 % at 100 KiB, 57 % at 1 MiB
//	NumStreamWorkers          no stack to grow in every stream: 14 % less at
//	                          1 KiB, 10 % at 100 KiB
//	Static…WindowSize         no pings to measure the bandwidth of a local socket:
//	                          7 % less at 100 KiB, and with Envoy as the client 8 %
//	                          at 1 KiB
//	experimental.BufferPool   frames are received into the Pool, which does not
//	                          clear them first: 7 % less at 100 KiB
//
// Other options keep their defaults. Read and write buffers of 128 KiB make no
// measurable difference. Without a write buffer, CPU time is 20 to 30 % higher,
// without a read buffer up to 15 %. Sharing the write buffer is the default. A stream
// window of 1 MiB is no faster than one of 256 KiB, and took 12 MiB more with Envoy and
// 16 bodies of 1 MiB at a time.
//
// Memory: while a message is decoded, it takes its size in frames and as much again in
// one buffer, which is kept until the response is written. With 16 bodies of 1 MiB at a
// time, a process uses 40 to 55 MiB. A body of 30 MiB needs 80 MiB; without a memory
// limit (GOMEMLIMIT) the process grows to 175 MiB.
func ServerOptions(maxMessage int) []grpc.ServerOption {
	pool := NewPool()
	return serverOptions(maxMessage, pool, pool)
}

func serverOptions(maxMessage int, pool, frames mem.BufferPool) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(NewCodec(pool)),
		experimental.BufferPool(frames),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.StaticConnWindowSize(connWindow),
		grpc.StaticStreamWindowSize(streamWindow),
	}
}
