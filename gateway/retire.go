package gateway

import (
	"context"
	"slices"
)

// retire removes the clusters of replaced policies that no request needs any more,
// if an Envoy has them.
func (g *Gateway) retire(ctx context.Context) {
	g.credentials.Sweep()
	old := g.book.Kept()
	if slices.Equal(clusterNames(old), g.publisher.kept) {
		return
	}
	if err := g.publisher.publish(ctx, g.current.Load(), old); err != nil && ctx.Err() == nil {
		g.log.Error("retiring old clusters", "reason", err)
	}
	freeMemory()
}
