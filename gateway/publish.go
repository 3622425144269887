package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"weir/envoy"
	"weir/policy"
	"weir/policy/config"
	"weir/xds"
)

// ackTimeout bounds the wait for Envoys to acknowledge a configuration: one may
// hang, and the others must not wait for it forever.
const ackTimeout = 20 * time.Second

// publisher sends Envoys the resources that policies need.
type publisher struct {
	log       *slog.Logger
	server    *xds.Server
	addresses *addresses
	// share divides the file descriptors of an Envoy.
	share   envoy.Share
	timeout time.Duration
	// kept are the clusters of replaced policies that Envoys were sent last.
	kept []string
	// current is the publication that brought the current policy.
	current atomic.Uint64
}

func newPublisher(log *slog.Logger, a *addresses) *publisher {
	return &publisher{log: log, server: xds.NewServer(log), addresses: a, timeout: ackTimeout}
}

// publish sends Envoys the resources of a policy, and of the replaced ones that
// requests still need. It waits until Envoys have acknowledged them. Only a rejection
// is an error: a slow Envoy must not keep the others from the change.
func (u *publisher) publish(ctx context.Context, p *policy.Policy, old []*policy.Policy) error {
	sockets, err := u.addresses.sockets(p)
	if err != nil {
		return err
	}
	set, err := xds.Resources(p, old, xds.Options{
		ControlCluster: envoy.ControlCluster, LogCluster: envoy.LogCluster, Listen: sockets,
		ConnectionsPerHost: xds.ConnectionsPerHost(p, u.share.Providers),
	})
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	u.kept = clusterNames(old)
	err = u.server.Publish(bounded, set)
	var rejected *xds.Rejected
	if err != nil && !errors.As(err, &rejected) && ctx.Err() == nil && bounded.Err() != nil {
		u.log.Warn("not every envoy has acknowledged the configuration in time", "reason", err)
		return nil
	}
	return err
}

// clusterNames returns the names of the clusters of policies, sorted.
func clusterNames(policies []*policy.Policy) []string {
	var names []string
	for _, p := range policies {
		for _, c := range p.Clusters {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// adopted records that the policy that was published last is the current one.
func (u *publisher) adopted() { u.current.Store(u.server.Publication()) }

// served reports whether an Envoy has everything that the current policy needs. It
// still has that while the next policy is on its way to it.
func (u *publisher) served(nodes []xds.NodeStatus) bool {
	return slices.ContainsFunc(nodes, func(n xds.NodeStatus) bool { return n.Acknowledged >= u.current.Load() })
}

// maxLocated bounds the problems for one rejection.
const maxLocated = 10

// located returns an Envoy's rejection as problems of the configuration that it is from.
func (u *publisher) located(from policy.Loaded, r *xds.Rejected) config.Problems {
	message := fmt.Sprintf("envoy %q refuses what is made of this (%s): %s", r.Node, r.Type, r.Text)
	var out config.Problems
	seen := map[config.Problem]bool{}
	for _, name := range u.server.About(r) {
		problem := from.ProblemOf(name, message)
		if r.Type == "routes" { // they are made from the whole configuration
			problem = from.ProblemOfFile(message)
		}
		if !seen[problem] && len(out) < maxLocated {
			seen[problem] = true
			out = append(out, problem)
		}
	}
	if len(out) == 0 {
		out = config.Problems{from.ProblemOfFile(message)}
	}
	return out
}
