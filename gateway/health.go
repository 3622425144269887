package gateway

import (
	"context"
	"errors"
	"time"

	"weir/admin"
)

// Health returns the body of /healthz.
func (g *Gateway) Health() admin.Health {
	h := admin.Health{Status: "ok", Version: Version(), Ready: g.Ready() == nil, Listen: g.listed(), Envoys: []admin.ConnectedEnvoy{}, Ejected: g.ejected(), Limits: g.limits.Reached()}
	h.Config = g.status.report()
	h.Config.File = g.options.ConfigFile
	if h.Config.Failed != nil {
		h.Status = "degraded"
	}
	for _, warning := range g.current.load().Warnings(time.Now()) {
		h.Config.Warnings = append(h.Config.Warnings, warning.String())
	}
	for _, n := range g.publisher.server.Nodes() {
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

// Ready returns nil if an Envoy has acknowledged the current policy and the gateway is
// not stopping. The error is for operators.
func (g *Gateway) Ready() error {
	switch {
	case g.stopping.asked.Load():
		return errors.New("stopping")
	case g.envoyDown():
		return errors.New("envoy is not running; see /healthz")
	case !g.publisher.served(g.publisher.server.Nodes()):
		return errors.New("no envoy has acknowledged the current configuration; see /healthz")
	}
	return nil
}

// Basis returns what the next request will be decided with.
func (g *Gateway) Basis() admin.Basis {
	now := g.current.forRequest()
	return admin.Basis{Policy: now.Policy, Keys: now.Keys, Health: g.health, Numbers: now.Numbers.Now()}
}

// Refresh reads what is not counted as it happens: the counters of the Envoy that this
// gateway runs, and how much of each limit is in use.
func (g *Gateway) Refresh(ctx context.Context) {
	g.envoyLimits.read(ctx)
	g.admission.refresh()
}

// envoyDown reports whether the Envoy that this gateway runs is not running.
func (g *Gateway) envoyDown() bool { return g.process != nil && !g.process.running() }

// listed returns the sockets for clients.
func (g *Gateway) listed() []string {
	sockets, _ := g.addresses.sockets(g.current.Load()) // it has been checked when the policy was adopted
	return texts(sockets)
}
