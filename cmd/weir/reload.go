package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"weir/envoy"
	"weir/policy"
	"weir/xds"
)

const (
	// ackTimeout bounds the wait for Envoys to take a configuration: a
	// provider whose name does not resolve keeps its cluster from warming.
	ackTimeout = 20 * time.Second
	// settle is how long files must be quiet before they are read: editors and
	// Kubernetes write in several steps.
	settle = 100 * time.Millisecond
)

// retired is a policy that requests in flight were planned with.
type retired struct {
	policy *policy.Policy
	until  time.Time
}

// reloads applies changes of the configuration, one at a time, and takes away
// what is no longer used.
func (g *gateway) reloads(ctx context.Context) error {
	retire := time.NewTimer(time.Hour)
	defer retire.Stop()
	for {
		if len(g.retiring) > 0 {
			retire.Reset(time.Until(g.retiring[0].until))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-retire.C:
			g.retire(ctx)
		case <-g.sys.reload:
			g.reload(ctx, true)
		case <-g.changed:
			g.reload(ctx, false)
		}
	}
}

// reload reads the configuration again. A bad one changes nothing.
func (g *gateway) reload(ctx context.Context, always bool) {
	next, err := g.load()
	if err == nil {
		if current := g.current.Load(); !always && next.Version == current.Version {
			return
		}
		err = g.adopt(ctx, next)
	}
	if err != nil && ctx.Err() == nil {
		g.log.Error("configuration rejected, the one before stays in force", "config", g.configFile, "reason", err)
		g.status.rejected(err)
		g.metrics.reload(false)
	}
}

// adopt puts a policy in force, make before break: what it needs is at every
// Envoy before the first request is planned with it, and what the policy
// before needs stays until its last request can have ended.
func (g *gateway) adopt(ctx context.Context, next *policy.Policy) error {
	previous := g.current.Load()
	old := make([]*policy.Policy, 0, len(g.retiring)+1)
	if previous != nil {
		old = append(old, previous)
	}
	for _, r := range slices.Backward(g.retiring) {
		old = append(old, r.policy)
	}
	if err := g.publish(ctx, next, old); err != nil {
		var rejected *xds.Rejected
		if !errors.As(err, &rejected) {
			return err
		}
		if previous != nil {
			if back := g.publish(ctx, previous, old[1:]); back != nil {
				err = errors.Join(err, fmt.Errorf("back to the one before: %w", back))
			}
		}
		return err
	}
	g.current.Store(next)
	if previous != nil {
		g.retiring = append(g.retiring, retired{previous, time.Now().Add(previous.TotalTimeout + previous.PerRequestTimeout)})
	}
	g.log.Info("configuration in force", "config", g.configFile, "version", next.Version, "clusters", len(next.Clusters))
	g.status.adopted(next)
	// Building and sending every resource took several times what is kept.
	debug.FreeOSMemory()
	g.metrics.reload(true)
	return nil
}

// publish gives Envoys a policy and waits until they have it. Only a rejection
// is an error: an Envoy that is slow must not keep the others from the change.
func (g *gateway) publish(ctx context.Context, p *policy.Policy, old []*policy.Policy) error {
	set, err := xds.Resources(p, old, xds.Options{ControlCluster: envoy.ControlCluster, Listen: g.listenAddress(p)})
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	err = g.xds.Publish(bounded, set)
	var rejected *xds.Rejected
	if err != nil && !errors.As(err, &rejected) && ctx.Err() == nil && bounded.Err() != nil {
		g.log.Warn("not every envoy has taken the configuration in time", "reason", err)
		return nil
	}
	return err
}

// retire takes the clusters of policies away that no request can be using.
func (g *gateway) retire(ctx context.Context) {
	now := time.Now()
	g.retiring = slices.DeleteFunc(g.retiring, func(r retired) bool { return !r.until.After(now) })
	var old []*policy.Policy
	for _, r := range slices.Backward(g.retiring) {
		old = append(old, r.policy)
	}
	if err := g.publish(ctx, g.current.Load(), old); err != nil && ctx.Err() == nil {
		g.log.Error("retiring old clusters", "reason", err)
	}
}

// watch asks for a reload when a file that the policy was made from changes.
// It watches folders, because files are replaced rather than written.
func (g *gateway) watch(ctx context.Context) error {
	if g.configFile == "" {
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching %s: %w", g.configFile, err)
	}
	defer watcher.Close()
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	watched := map[string]bool{}
	for {
		for dir := range g.folders() {
			if !watched[dir] && watcher.Add(dir) == nil {
				watched[dir] = true
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
			quiet.Reset(settle)
		case err := <-watcher.Errors:
			g.log.Warn("watching files", "reason", err)
			quiet.Reset(settle) // events may have been lost
		case <-quiet.C:
			select {
			case g.changed <- struct{}{}:
			default:
			}
		}
	}
}

// folders are those of the configuration and of every file it refers to.
func (g *gateway) folders() map[string]bool {
	dirs := map[string]bool{}
	for _, file := range append(slices.Clone(g.current.Load().Files), g.configFile) {
		dirs[filepath.Dir(file)] = true
	}
	return dirs
}
