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
// accepts, in bytes: of the largest body with the metadata around it. A larger
// one ends its stream with RESOURCE_EXHAUSTED.
//
// What they are for, in CPU time of the server (BenchmarkOptions; a Unix socket,
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
// What they leave alone, because it does not pay: read and write buffers of
// 128 KiB change nothing that can be measured; without a write buffer it is 20 to
// 30 % more, without a read buffer up to 15 %; sharing the write buffer is the
// default. A stream window of 1 MiB is no faster than one of 256 KiB and cost
// 12 MiB with Envoy and 16 bodies of 1 MiB at a time.
//
// Memory: a message takes its size in frames and as much again in one piece
// while it is decoded; the piece stays until the answer is written. Sixteen
// bodies of 1 MiB at a time keep a process at 40 to 55 MiB. One of 30 MiB needs 80,
// and takes 175 unless a memory limit (GOMEMLIMIT) tells the collector.
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
