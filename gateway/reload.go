package gateway

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"weir/envoy"
	"weir/policy"
	"weir/telemetry/accesslog"
	"weir/xds"
)

// ackTimeout bounds the wait for Envoys to take a configuration: one may hang,
// and the others must not wait for it for ever.
const ackTimeout = 20 * time.Second

// retired is a policy that requests in flight were planned with.
type retired struct {
	policy *policy.Policy
	until  time.Time
}

// sweepInterval is how often Weir looks for clusters of replaced policies that
// are no longer needed.
const sweepInterval = time.Second

// reloads applies changes of the configuration, one at a time, and takes away
// what is no longer used.
func (g *Gateway) reloads(ctx context.Context) error {
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			g.past.Sweep()
			if len(g.retiring) > 0 {
				g.retire(ctx)
			}
		case <-g.Reload:
			g.await(ctx)
			g.reload(ctx, true)
		case <-g.changed:
			g.await(ctx)
			g.reload(ctx, false)
		}
	}
}

// await bounds how many replaced policies Envoys keep: changes that follow each
// other faster than they can be forgotten wait, at most for retire.Grace, and the
// last one is read.
func (g *Gateway) await(ctx context.Context) {
	for wait := g.book.Wait(); wait > 0; wait = g.book.Wait() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// reload reads the configuration again. A bad one changes nothing. What is
// known, good or bad, is only looked at again when always is set.
func (g *Gateway) reload(ctx context.Context, always bool) {
	current := g.current.Load()
	known := current
	if always {
		known = nil
	}
	next, err := g.load(known)
	if err == nil {
		switch {
		case always:
		case next.Version == current.Version:
			g.refused = ""
			if g.refusedAtStart.Load() {
				return
			}
			if g.status.recovered() {
				g.log.Info("configuration in force", "config", g.ConfigFile, "version", current.Version, "clusters", len(current.Clusters))
			}
			return
		case next.Version == g.refused:
			return
		}
		err = g.adopt(ctx, next)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	if g.status.rejected(err) || always {
		g.metrics.reload(false)
		g.log.Error("configuration rejected, the one before stays in force", "config", g.ConfigFile, "reason", err)
	}
}

// adopt puts a policy in force, make before break: what it needs is at every
// Envoy before the first request is planned with it, and what the policy
// before needs stays until its last request can have ended.
func (g *Gateway) adopt(ctx context.Context, next *policy.Policy) error {
	previous := g.current.Load()
	var old []*policy.Policy
	if previous != nil {
		old = append(old, previous)
	}
	old = append(old, g.book.Kept()...)
	if previous != nil {
		// Envoys have the new ones before it is known that they do.
		g.past.Keep(next, previous, g.ackTimeout+longest(next))
	}
	if err := g.publish(ctx, next, old); err != nil {
		var rejected *xds.Rejected
		if !errors.As(err, &rejected) {
			return err
		}
		g.refused = next.Version
		err = g.located(next, rejected)
		if previous != nil {
			if back := g.publish(ctx, previous, old[1:]); back != nil {
				err = errors.Join(err, fmt.Errorf("back to the one before: %w", back))
			}
		}
		return err
	}
	g.book.Adopt(next)
	g.health.Adopt(next)
	g.ejections.retain(next)
	g.admission.adopt(next)
	g.adoptPeers(next)
	g.fixedLimits(previous, next)
	g.envoyLimits.adopt(g.share.Clients, xds.ConnectionsPerHost(next, g.share.Providers))
	if previous != nil {
		g.past.Keep(previous, next, longest(previous))
	}
	g.current.Store(next)
	g.inForce.Store(g.xds.Publication())
	g.refused = ""
	g.refusedAtStart.Store(false)
	if previous != nil {
		g.retiring = append(g.retiring, retired{previous, time.Now().Add(longest(previous))})
	}
	g.status.adopted(next)
	g.metrics.reload(true)
	g.log.Info("configuration in force", "config", g.ConfigFile, "version", next.Version, "clusters", len(next.Clusters))
	for _, warning := range next.Warnings(time.Now()) {
		g.log.Warn("configuration", "warning", warning.String())
	}
	g.observer.adopted(next, g.log)
	// Building and sending every resource took several times what is kept.
	debug.FreeOSMemory()
	return nil
}

// longest is how long a policy can be needed after it was replaced. A request
// keeps the policy that was in force when its headers came. Its attempts begin, at
// most, a total timeout after its body is here.
func longest(p *policy.Policy) time.Duration {
	return p.Limits.ClientBodyTimeout + p.TotalTimeout + p.PerRequestTimeout
}

// publish gives Envoys a policy and waits until they have it. Only a rejection
// is an error: an Envoy that is slow must not keep the others from the change.
func (g *Gateway) publish(ctx context.Context, p *policy.Policy, old []*policy.Policy) error {
	sockets, err := g.sockets(p)
	if err != nil {
		return err
	}
	set, err := xds.Resources(p, old, xds.Options{ControlCluster: envoy.ControlCluster, LogCluster: envoy.LogCluster, Listen: sockets, QuotaHeaders: accesslog.QuotaHeaderNames(), ConnectionsPerHost: xds.ConnectionsPerHost(p, g.share.Providers)})
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, g.ackTimeout)
	defer cancel()
	g.kept = clusterNames(old)
	err = g.xds.Publish(bounded, set)
	var rejected *xds.Rejected
	if err != nil && !errors.As(err, &rejected) && ctx.Err() == nil && bounded.Err() != nil {
		g.log.Warn("not every envoy has taken the configuration in time", "reason", err)
		return nil
	}
	return err
}

// clusterNames are the names of the clusters of policies, sorted.
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

// retire removes clusters of replaced policies that are no longer needed, if an
// Envoy has them.
func (g *Gateway) retire(ctx context.Context) {
	now := time.Now()
	for _, r := range g.retiring {
		if !r.until.After(now) {
			g.book.Drop(r.policy)
		}
	}
	old := g.book.Kept()
	g.retiring = slices.DeleteFunc(g.retiring, func(r retired) bool { return !g.book.Keeps(r.policy) })
	if slices.Equal(clusterNames(old), g.kept) {
		return
	}
	if err := g.publish(ctx, g.current.Load(), old); err != nil && ctx.Err() == nil {
		g.log.Error("retiring old clusters", "reason", err)
	}
	debug.FreeOSMemory() // as in adopt
}
