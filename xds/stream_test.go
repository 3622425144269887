package xds_test

import (
	"context"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"weir/xds"
)

func TestStuckEnvoyBlocksNobody(t *testing.T) {
	s := newTestServer(t)
	large := func(content string) xds.Set { // more than gRPC's window
		return xds.Set{Clusters: []types.Resource{aCluster("a", content+strings.Repeat("x", 1<<20))}}
	}
	s.mustPublish(t, large("1"))
	stuck := s.connect(t, "stuck")
	stuck.subscribe(clusters) // and never reads
	s.wait(t, func(nodes []xds.NodeStatus) bool { return len(nodes) == 1 })
	c := s.connect(t, "envoy-1")
	c.subscribe(clusters)
	c.ack(c.expect(clusters, []string{"a"}, nil))
	for _, content := range []string{"2", "3"} {
		ctx, cancel := context.WithCancel(deadline(t))
		done := s.publishing(t, ctx, large(content))
		c.ack(c.expect(clusters, []string{"a"}, nil))
		s.wait(t, func(nodes []xds.NodeStatus) bool { return nodes[1].Synced })
		cancel()
		if err := receive(t, done); err == nil || !strings.Contains(err.Error(), `by envoy "stuck" (clusters):`) {
			t.Errorf("error %v", err)
		}
	}
}

func TestSecretsAreSentByNameOnly(t *testing.T) {
	s := newTestServer(t)
	s.mustPublish(t, base())
	c := s.connect(t, "envoy-1")
	c.subscribe(secrets)
	c.expectNothing()
}

func TestUnknownTypeIsIgnored(t *testing.T) {
	s := newTestServer(t)
	s.mustPublish(t, base())
	c := s.connect(t, "envoy-1")
	c.subscribe("type.googleapis.com/unheard.Of")
	c.start()
	s.waitPending(t)
}

func TestStateOfTheWorldIsRefused(t *testing.T) {
	s := newTestServer(t)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(s.conn).StreamAggregatedResources(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.Send(&discoveryv3.DiscoveryRequest{TypeUrl: clusters})
	_, err = stream.Recv()
	if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "DELTA_GRPC") {
		t.Errorf("error %v", err)
	}
}
