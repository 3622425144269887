package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"weir/admin"
	"weir/policy"
	"weir/xds"
)

// Health returns the body of /healthz.
func (g *Gateway) Health() admin.Health {
	h := admin.Health{Status: "ok", Version: Version(), Ready: g.Ready() == nil, Listen: g.listed(), Envoys: []admin.ConnectedEnvoy{}, Ejected: g.ejected(), Limits: g.limits.Reached()}
	g.status.mu.Lock()
	h.Config = admin.ConfigHealth{File: g.ConfigFile, Version: g.status.version, Since: g.status.since, Problems: g.status.problems}
	if !g.status.failed.IsZero() {
		failed := g.status.failed
		h.Config.Failed = &failed
		h.Status = "degraded"
	}
	g.status.mu.Unlock()
	for _, warning := range g.current.Load().Warnings(time.Now()) {
		h.Config.Warnings = append(h.Config.Warnings, warning.String())
	}
	for _, n := range g.xds.Nodes() {
		h.Envoys = append(h.Envoys, admin.ConnectedEnvoy{Node: n.Node, Version: n.Version, ConnectedAt: n.ConnectedAt, Synced: n.Synced, Pending: n.Pending, Rejections: n.Rejections})
		if !n.Synced || len(n.Rejections) > 0 {
			h.Status = "degraded"
		}
	}
	if g.process != nil {
		if h.Envoy = g.process.health(); h.Envoy.State != "running" {
			h.Status = "degraded"
		}
	}
	if g.limits.Degraded() {
		h.Status = "degraded"
	}
	return h
}

// Ready returns nil if an Envoy has acknowledged the current policy and nobody
// asked the gateway to stop. The error is for operators.
func (g *Gateway) Ready() error {
	switch {
	case g.draining.Load():
		return errors.New("stopping")
	case g.envoyDown():
		return errors.New("envoy is not running; see /healthz")
	case !g.served(g.xds.Nodes()):
		return errors.New("no envoy has acknowledged the configuration in force; see /healthz")
	}
	return nil
}

// Policy returns the current policy.
func (g *Gateway) Policy() *policy.Policy { return g.current.Load() }

// Refresh reads the counters of the Envoy that this gateway runs.
func (g *Gateway) Refresh(ctx context.Context) { g.envoyLimits.read(ctx) }

// envoyDown reports whether the Envoy that this gateway runs is not running.
func (g *Gateway) envoyDown() bool { return g.process != nil && !g.process.running() }

// served says whether an Envoy has all that the policy in force needs. It goes
// on having it while the next configuration is on its way to it.
func (g *Gateway) served(nodes []xds.NodeStatus) bool {
	return slices.ContainsFunc(nodes, func(n xds.NodeStatus) bool { return n.Acknowledged >= g.inForce.Load() })
}
