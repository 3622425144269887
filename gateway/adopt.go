package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/gateway/retire"
	"weir/policy"
	"weir/xds"
)

// adopt makes a configuration the current one. Every Envoy has the resources of the new
// policy before the first request is planned with it, and keeps those of the previous
// policy until the last request that needs them can have ended.
func (g *Gateway) adopt(ctx context.Context, c configuration) error {
	next := c.Policy
	previous := g.current.Load()
	var old []*policy.Policy
	if previous != nil {
		old = append(old, previous)
	}
	old = append(old, g.book.Kept()...)
	if previous != nil {
		// An Envoy may use the new credentials before its acknowledgement arrives.
		g.credentials.Keep(next, previous, g.publisher.timeout+retire.Longest(next))
	}
	if err := g.publisher.publish(ctx, next, old); err != nil {
		var rejected *xds.Rejected
		if !errors.As(err, &rejected) {
			return err
		}
		g.reloading.refused = next.Version
		err = g.publisher.located(c.Loaded, rejected)
		if previous != nil {
			if back := g.publisher.publish(ctx, previous, old[1:]); back != nil {
				err = errors.Join(err, fmt.Errorf("back to the previous configuration: %w", back))
			}
		}
		return err
	}
	g.book.Adopt(next)
	g.health.Adopt(next, c.Keys.Index)
	g.ejections.retain(next)
	g.admission.adopt(next)
	g.adoptPeers(next)
	g.envoyLimits.adopt(g.publisher.share.Clients, xds.ConnectionsPerHost(next, g.publisher.share.Providers))
	if previous != nil {
		g.credentials.Keep(previous, next, retire.Longest(previous))
	}
	next.Prepare()
	c.measured = g.numbers.measure(next)
	g.current.store(c)
	g.publisher.adopted()
	g.reloading.refused = ""
	g.status.adopted(c)
	g.metrics.reload(true)
	g.logInForce(c)
	for _, warning := range c.Warnings(time.Now()) {
		g.log.Warn("configuration", "warning", warning.String())
	}
	if previous == nil {
		g.fixed = fixedOf(next)
	} else {
		g.warnFixed(next)
	}
	g.observer.adopted(next)
	freeMemory()
	return nil
}
