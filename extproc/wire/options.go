package wire

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
)

func ServerOptions(maxMessage int) []grpc.ServerOption {
	return serverOptions(maxMessage, NewPool())
}

func serverOptions(maxMessage int, pool mem.BufferPool) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(NewCodec(pool)),
		experimental.BufferPool(pool),
		grpc.MaxRecvMsgSize(maxMessage),
	}
}
