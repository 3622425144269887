package xds_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"weir/xds"
)

func TestNewEnvoyGetsEverythingItAsksFor(t *testing.T) {
	s := newTestServer(t)
	s.mustPublish(t, base()) // no Envoy: returns at once
	if s.Synced() {
		t.Error("synced without an Envoy")
	}
	c := s.connect(t, "envoy-1")

	c.subscribe(clusters)
	resp := c.expect(clusters, []string{"a", "b"}, nil)
	s.waitPending(t, "clusters", "listeners", "routes")
	c.subscribe(secrets, "key")
	s.waitPending(t, "clusters", "listeners", "routes", "secrets")
	c.ack(c.expect(secrets, []string{"key"}, nil))
	s.waitPending(t, "clusters", "listeners", "routes")
	c.ack(resp)
	s.waitPending(t, "listeners", "routes")
	c.subscribe(listeners)
	c.ack(c.expect(listeners, []string{"l"}, nil))
	s.waitPending(t, "routes")
	c.subscribe(routes, "r")
	resp = c.expect(routes, []string{"r"}, nil)
	s.waitPending(t, "routes")
	c.ack(resp)
	s.waitPending(t)

	node := s.Nodes()[0]
	if node.Node != "envoy-1" || node.Version != "1.40.0" || node.Address == "" || node.ConnectedAt.IsZero() || !node.Synced {
		t.Errorf("status %+v", node)
	}
	c.close()
	s.wait(t, func(nodes []xds.NodeStatus) bool { return len(nodes) == 0 })
}

func TestEnvoyThatCameFirstWaits(t *testing.T) {
	s := newTestServer(t)
	c := s.connect(t, "envoy-1")
	c.subscribe(clusters)
	s.wait(t, func(nodes []xds.NodeStatus) bool { return len(nodes) == 1 })
	if s.Synced() || s.Nodes()[0].Synced {
		t.Error("synced with nothing published")
	}
	done := s.publishing(t, deadline(t), xds.Set{Clusters: base().Clusters})
	c.ack(c.expect(clusters, []string{"a", "b"}, nil))
	mustBePublished(t, done)
}

func TestOnlyWhatChangedIsSent(t *testing.T) {
	cases := map[string]struct {
		change         func(*xds.Set)
		sent           string // "" for nothing
		names, removed []string
	}{
		"nothing":        {change: func(*xds.Set) {}},
		"order":          {change: func(set *xds.Set) { set.Clusters = []types.Resource{aCluster("b", ""), aCluster("a", "")} }},
		"a cluster":      {change: func(set *xds.Set) { set.Clusters[1] = aCluster("b", "new") }, sent: clusters, names: []string{"b"}},
		"a new cluster":  {change: func(set *xds.Set) { set.Clusters = append(set.Clusters, aCluster("c", "")) }, sent: clusters, names: []string{"c"}},
		"cluster gone":   {change: func(set *xds.Set) { set.Clusters = set.Clusters[:1] }, sent: clusters, removed: []string{"b"}},
		"no cluster":     {change: func(set *xds.Set) { set.Clusters = nil }, sent: clusters, removed: []string{"a", "b"}},
		"a secret":       {change: func(set *xds.Set) { set.Secrets[0] = aSecret("key", "sk-2") }, sent: secrets, names: []string{"key"}},
		"secret gone":    {change: func(set *xds.Set) { set.Secrets = set.Secrets[1:] }, sent: secrets, removed: []string{"key"}},
		"unasked secret": {change: func(set *xds.Set) { set.Secrets[1] = aSecret("other", "sk-2") }},
		"a route":        {change: func(set *xds.Set) { set.Routes[0] = aRoute("r", "b") }, sent: routes, names: []string{"r"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, c := synced(t)

			set := base()
			tc.change(&set)
			if tc.sent == "" {
				s.mustPublish(t, set)
				c.expectNothing()
				return
			}
			done := s.publishing(t, deadline(t), set)
			c.ack(c.expect(tc.sent, tc.names, tc.removed))
			mustBePublished(t, done)
			s.waitPending(t)
			c.expectNothing()
		})
	}
}

// A listener that turns to another route, as Envoy takes it: it subscribes
// before it acknowledges, and keeps the old subscription while it drains.
func TestRouteReplaced(t *testing.T) {
	s, c := synced(t)

	set := base()
	set.Listeners, set.Routes = []types.Resource{aListener("l", "r2")}, []types.Resource{aRoute("r2", "b")}
	done := s.publishing(t, deadline(t), set)
	listener := c.expect(listeners, []string{"l"}, nil)
	route := c.expect(routes, nil, []string{"r"})
	c.subscribe(routes, "r2")
	route2 := c.expect(routes, []string{"r2"}, nil)
	c.ack(listener)
	c.ack(route)
	c.ack(route2)
	mustBePublished(t, done)
	s.waitPending(t)
}

func TestPublishWaitsForAcknowledgement(t *testing.T) {
	s, c := synced(t)

	// A cluster with a new secret: Envoy acknowledges it last.
	set := base()
	set.Clusters = append(set.Clusters, aCluster("c", ""))
	done := s.publishing(t, deadline(t), set)
	cluster := c.expect(clusters, []string{"c"}, nil)
	s.waitPending(t, "clusters")
	c.subscribe(secrets, "other")
	secret := c.expect(secrets, []string{"other"}, nil)
	s.waitPending(t, "clusters", "secrets")
	c.ack(secret)
	s.waitPending(t, "clusters")
	select {
	case err := <-done:
		t.Fatalf("Publish returned %v before the acknowledgement", err)
	default:
	}
	c.ack(cluster)
	mustBePublished(t, done)
}

func TestPublishEndsWithContext(t *testing.T) {
	s := newTestServer(t)
	s.mustPublish(t, base())
	quick, slow := s.connect(t, "quick"), s.connect(t, "slow")
	quick.start()
	slow.start()
	s.wait(t, func([]xds.NodeStatus) bool { return s.Synced() })

	ctx, cancel := context.WithCancelCause(deadline(t))
	set := base()
	set.Clusters[0] = aCluster("a", "new")
	done := s.publishing(t, ctx, set)
	quick.ack(quick.expect(clusters, []string{"a"}, nil))
	resp := slow.expect(clusters, []string{"a"}, nil)
	s.wait(t, func(nodes []xds.NodeStatus) bool { return nodes[0].Synced != nodes[1].Synced })
	enough := errors.New("enough")
	cancel(enough)
	err := receive(t, done)
	if want := `xds: not acknowledged by envoy "slow" (clusters): enough`; err == nil || err.Error() != want || !errors.Is(err, enough) {
		t.Errorf("error %v, want %s", err, want)
	}

	// It stays published.
	slow.ack(resp)
	s.wait(t, func([]xds.NodeStatus) bool { return s.Synced() })
	s.mustPublish(t, set)
	quick.expectNothing()
	slow.expectNothing()
}

func TestPublishEndsWhenTheLastMissingLeaves(t *testing.T) {
	s, c := synced(t)
	set := base()
	set.Clusters[0] = aCluster("a", "new")
	done := s.publishing(t, deadline(t), set)
	c.expect(clusters, []string{"a"}, nil)
	c.close()
	mustBePublished(t, done)
}

func TestOnePublishAtATime(t *testing.T) {
	s, c := synced(t)
	second, third := base(), base()
	second.Clusters[0] = aCluster("a", "2")
	third.Clusters[0] = aCluster("a", "3")

	done2 := s.publishing(t, deadline(t), second)
	resp := c.expect(clusters, []string{"a"}, nil)
	ctx, cancel := context.WithCancel(deadline(t))
	cancel()
	if err := s.Publish(ctx, third); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	done3 := s.publishing(t, deadline(t), third)
	c.expectNothing()
	c.ack(resp)
	mustBePublished(t, done2)
	c.ack(c.expect(clusters, []string{"a"}, nil))
	mustBePublished(t, done3)
}

func TestTwoEnvoysOfOneName(t *testing.T) {
	s := newTestServer(t)
	s.mustPublish(t, base())
	one, two := s.connect(t, "same"), s.connect(t, "same")
	one.start()
	s.waitPending(t)
	two.subscribe(clusters)
	two.expect(clusters, []string{"a", "b"}, nil)
	s.wait(t, func(nodes []xds.NodeStatus) bool {
		return len(nodes) == 2 && nodes[0].Synced && !nodes[1].Synced
	})
	if s.Synced() {
		t.Error("synced with one of two")
	}
	two.close()
	s.waitPending(t)
}

func TestReconnectIsToldNothingNew(t *testing.T) {
	s, c := synced(t)

	c = c.reconnect(s)
	c.ack(c.expect(clusters, nil, nil)) // empty, so that Envoy's start goes on
	c.ack(c.expect(listeners, nil, nil))
	s.waitPending(t)
	c.expectNothing()

	// And to a server that started in the meantime.
	restarted := newTestServer(t)
	c = c.reconnect(restarted)
	restarted.wait(t, func(nodes []xds.NodeStatus) bool { return len(nodes) == 1 && !nodes[0].Synced })
	done := restarted.publishing(t, deadline(t), base())
	c.ack(c.expect(clusters, nil, nil))
	c.ack(c.expect(listeners, nil, nil))
	mustBePublished(t, done)
	restarted.waitPending(t)
}

func TestReconnectIsToldWhatChanged(t *testing.T) {
	s, c := synced(t)
	c.close()
	s.wait(t, func(nodes []xds.NodeStatus) bool { return len(nodes) == 0 })

	set := base()
	set.Clusters = []types.Resource{aCluster("a", "new")}
	set.Secrets[0] = aSecret("key", "sk-2")
	s.mustPublish(t, set)
	c = c.reconnect(s)
	c.ack(c.expect(clusters, []string{"a"}, []string{"b"}))
	c.ack(c.expect(secrets, []string{"key"}, nil))
	c.ack(c.expect(listeners, nil, nil))
	s.waitPending(t)
}

func TestWaitEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(deadline(t))
	cancel()
	if err := newTestServer(t).Wait(ctx, func([]xds.NodeStatus) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// Many Envoys that come, acknowledge and go while sets change: for the race
// detector, and to see that every Publish returns.
func TestManyEnvoys(t *testing.T) {
	s := newTestServer(t)
	s.mustPublish(t, base())
	var clients sync.WaitGroup
	for range 8 {
		c := s.connect(t, "envoy")
		clients.Go(func() {
			c.subscribe(clusters)
			c.subscribe(listeners)
			c.subscribe(routes, "r")
			c.subscribe(secrets, "key")
			for {
				resp, err := c.stream.Recv()
				if err != nil {
					if !errors.Is(err, io.EOF) && status.Code(err) != codes.Canceled {
						t.Error(err)
					}
					return
				}
				if err := c.stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce()}); err != nil {
					return
				}
			}
		})
		t.Cleanup(func() { c.close(); clients.Wait() })
		set := base()
		for _, content := range []string{"1", "2", "3", "4"} {
			set.Clusters = []types.Resource{aCluster("a", content), aCluster(content, "")}
			set.Secrets[0] = aSecret("key", content)
			s.mustPublish(t, set)
		}
	}
	s.wait(t, func(nodes []xds.NodeStatus) bool { return len(nodes) == 8 && s.Synced() })
}
