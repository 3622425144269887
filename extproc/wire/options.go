package wire

import (
	"google.golang.org/grpc"
)

func ServerOptions(maxMessage int) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(NewCodec(NewPool())),
		grpc.MaxRecvMsgSize(maxMessage),
	}
}
