package xds_test

import (
	"context"
	"fmt"
	"log/slog"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"google.golang.org/grpc"

	"weir/xds"
)

// Publish returns when every connected Envoy has acknowledged the set. Here none is
// connected, so it returns at once. An Envoy that connects later gets the current set.
func ExampleServer() {
	server := xds.NewServer(slog.New(slog.DiscardHandler))
	server.Register(grpc.NewServer())

	set := xds.Set{Clusters: []types.Resource{&clusterv3.Cluster{Name: "openai"}}}
	fmt.Println(server.Publish(context.Background(), set), server.Publication(), server.Synced())

	set.Clusters = append(set.Clusters, &clusterv3.Cluster{Name: "openai"})
	fmt.Println(server.Publish(context.Background(), set))
	// Output:
	// <nil> 1 false
	// xds: clusters[1]: duplicate name "openai"
}
