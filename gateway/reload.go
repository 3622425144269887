package gateway

import (
	"context"
	"time"
)

// reloading is the state of the reload loop.
type reloading struct {
	changed chan struct{} // asks for a reload
	// refused is the version of the configuration that an Envoy rejected last.
	refused string
}

// retireInterval is how often Weir looks for clusters of replaced policies that
// are no longer needed.
const retireInterval = time.Second

// reloads applies changes of the configuration, one at a time, and removes what is
// no longer used.
func (g *Gateway) reloads(ctx context.Context) error {
	sweep := time.NewTicker(retireInterval)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			g.retire(ctx)
		case <-g.options.Reload:
			g.await(ctx)
			g.reload(ctx, true)
		case <-g.reloading.changed:
			g.await(ctx)
			g.reload(ctx, false)
		}
	}
}

// await bounds how many replaced policies Envoys keep: if the configuration changes
// faster than policies can be retired, it waits, at most for retire.Grace. Then the
// latest configuration is read.
func (g *Gateway) await(ctx context.Context) {
	for wait := g.book.Wait(); wait > 0; wait = g.book.Wait() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// reload reads the configuration again. A bad one changes nothing. Unless always is
// set, a configuration that is already known, good or bad, is not applied again.
func (g *Gateway) reload(ctx context.Context, always bool) {
	current := g.current.load()
	next, err := g.loader.load(current)
	if err == nil {
		same := next.Policy.Version == current.Policy.Version
		switch {
		case same && next.Keys.Version != current.Keys.Version:
			g.adoptKeys(configuration{Loaded: next.Loaded, measured: current.measured})
			return
		case always && same:
			next, err = g.loader.load(configuration{})
		case always:
		case same:
			g.reloading.refused = ""
			if g.status.recovered() {
				g.logInForce(current)
			}
			return
		case next.Policy.Version == g.reloading.refused:
			return
		}
	}
	if err == nil {
		err = g.adopt(ctx, next)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	if g.status.rejected(err) || always {
		g.metrics.reload(false)
		g.log.Error("configuration rejected, the previous one stays in force", "config", g.options.ConfigFile, "reason", err)
	}
}
