package wire

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
)

func ServerOptions(maxMessage int) []grpc.ServerOption {
	pool := NewPool()
	return serverOptions(maxMessage, pool, pool)
}

func serverOptions(maxMessage int, pool, frames mem.BufferPool) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(NewCodec(pool)),
		experimental.BufferPool(frames),
		grpc.MaxRecvMsgSize(maxMessage),
	}
}
