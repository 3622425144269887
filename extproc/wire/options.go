package wire

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
)

const (
	// streamWorkers is how many streams at once find a goroutine whose stack has
	// already grown. More streams get goroutines of their own.
	streamWorkers = 64

	// connWindow is never waited for. gRPC opens this window again as bytes
	// arrive, not as they are read, so its size bounds no memory and a small one
	// only costs window updates.
	connWindow = 16 << 20

	// streamWindow is what Envoy may send of a message before it is being read;
	// for one that is being read gRPC opens the window as wide as the message.
	// It is therefore what waiting streams hold.
	streamWindow = 256 << 10
)

// ServerOptions are the options for a server that has the ext_proc service,
// alone or with others. maxMessage is the size of the largest message it
// accepts, in bytes: of the largest body with the metadata around it. Envoy sees
// a larger one as a failed stream with the status RESOURCE_EXHAUSTED.
//
// What they are for, as measured with Envoy 1.40.0 on a Unix socket and with
// this package's benchmarks (two busy cores, 16 requests at a time, medians of
// the server's CPU time):
//
//	ForceServerCodecV2        the Codec: a half to two thirds less than with the
//	                          generated types at 100 KiB and 1 MiB
//	experimental.BufferPool   received frames come from the same Pool, which does
//	                          not clear them: 3 % less at 1 KiB, 5 % at 100 KiB
//	NumStreamWorkers          no stack to grow in every stream: 6 to 20 % less at
//	                          1 KiB, 5 % at 100 KiB
//	Static…WindowSize         no pings to measure the bandwidth of a local socket:
//	                          8 % less at 1 KiB with Envoy. A stream window of
//	                          1 MiB is no faster than 256 KiB and costs 12 MiB at
//	                          16 bodies of 1 MiB
//
// What they leave alone, because it did not pay: ReadBufferSize and
// WriteBufferSize of 128 KiB instead of 32 KiB change nothing that can be
// measured, without a write buffer it is 20 % more; the write buffer is shared
// by default.
//
// A message takes its own size in frames and as much again in one piece while it
// is decoded, and the second half until the answer is written. Sixteen bodies of
// 1 MiB at once keep the process near 40 MiB; one of 30 MiB needs 80 MiB, and
// takes twice that unless a memory limit (GOMEMLIMIT) makes the collector work
// for it.
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
