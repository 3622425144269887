package gateway

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/admin"
	"weir/envoy"
	"weir/internal/memory"
	"weir/internal/private"
	"weir/policy"
	"weir/xds"
)

// Run runs the gateway with an Envoy of its own until it is asked to stop. path is the
// Envoy to run; if it is empty, the configured one, or one that envoy.Find finds.
func (g *Gateway) Run(ctx context.Context, path string) error {
	loaded, err := g.loader.load(configuration{})
	if err != nil {
		return err
	}
	first := loaded.Policy
	sockets, err := g.addresses.sockets(first)
	if err != nil {
		return err
	}
	if err := free(sockets); err != nil {
		return err
	}
	if path != "" {
		g.overridden = append(g.overridden, "envoy.path")
	}
	path, err = envoy.Find(ctx, envoy.FindOptions{Path: cmp.Or(path, first.Config.Envoy.Path), Getenv: g.options.Getenv, Log: g.log})
	if err != nil {
		return err
	}
	openFiles, share, err := shareFiles(first, g.options.OpenFiles)
	if err != nil {
		return err
	}
	g.publisher.share = share
	dir, err := private.TempDir("weir-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "weir.sock")
	m := memoryOf(first, memory.Available(), true)
	m.limitWeir(g.options.SetMemoryLimit)
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapOptions{
		NodeID: "weir-run", Socket: socket, AdminSocket: filepath.Join(dir, "envoy.sock"),
		MaxConnections: share.Clients, MaxHeap: m.envoyHeap,
	})
	if err != nil {
		return err
	}
	g.process = newEnvoyProcess(g.registry, g.log, path)
	g.envoyLimits.follow(envoy.NewAdmin(filepath.Join(dir, "envoy.sock")), g.process.current)
	// Not in the closure below, which would keep the first policy in memory.
	run := envoy.Config{
		Path: path, Bootstrap: bootstrap, Dir: dir,
		Concurrency: first.Config.Envoy.Concurrency, LogLevel: first.Config.Envoy.LogLevel,
		DrainTime: first.ShutdownTimeout, LogFlush: xds.LogFlush, Now: g.stopping.now, Log: g.log.With("from", "envoy"),
		Started: g.process.started, Died: func(cause error, wait time.Duration) { g.process.dead(cause, wait); g.peers.Reset() }, Served: g.everServed.Load,
	}
	return g.run(ctx, loaded, socket, private.Users{}, func(ctx context.Context) error {
		g.log.Info("file descriptors are divided", "open_files", openFiles, "clients", share.Clients, "providers", share.Providers)
		g.log.Info("memory is limited", "envoy_heap_bytes", m.envoyHeap, "go_memory_bytes", m.weir)
		return envoy.Run(ctx, run)
	})
}

// shareFiles divides the files that Envoy may open: those that are configured, or else all
// available ones. It returns that number, and the shares.
func shareFiles(first *policy.Policy, available int) (openFiles int, share envoy.Share, err error) {
	if wanted := first.Limits.OpenFiles; wanted > available {
		return 0, envoy.Share{}, fmt.Errorf("limits.open_files: %d open files are configured, but this process may have only %d: raise its hard limit (ulimit -Hn, LimitNOFILE), or lower limits.open_files", wanted, available)
	}
	openFiles = cmp.Or(first.Limits.OpenFiles, available)
	share, err = envoy.Divide(openFiles, cmp.Or(first.Config.Envoy.Concurrency, runtime.NumCPU()), first.Limits.MaxClientConnections)
	return openFiles, share, err
}

// envoyProcess is the state of the Envoy that `weir run` keeps running, for /healthz,
// /readyz and metrics.
type envoyProcess struct {
	log  *slog.Logger
	path string

	mu      sync.Mutex
	pid     int // 0: it is not running
	since   time.Time
	deaths  int
	cause   error
	died    time.Time
	restart time.Time
}

// newEnvoyProcess returns the state of an Envoy that is not started yet, and registers
// its metrics.
func newEnvoyProcess(registry prometheus.Registerer, log *slog.Logger, path string) *envoyProcess {
	e := &envoyProcess{log: log, path: path, since: time.Now()}
	registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "weir_envoy_restarts_total", Help: "Restarts of the Envoy of weir run after it exited unexpectedly.",
		}, func() float64 { e.mu.Lock(); defer e.mu.Unlock(); return float64(e.deaths) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_envoy_up", Help: "1 if the Envoy of weir run is running, else 0.",
		}, func() float64 {
			if e.running() {
				return 1
			}
			return 0
		}),
	)
	return e
}

func (e *envoyProcess) running() bool { return e.current() != 0 }

// current returns the process id, or 0 if Envoy is not running.
func (e *envoyProcess) current() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pid
}

func (e *envoyProcess) started(pid int) {
	e.log.Info("envoy started", "pid", pid, "path", e.path)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pid, e.since = pid, time.Now()
}

func (e *envoyProcess) dead(cause error, wait time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	e.pid, e.since = 0, now
	e.deaths++
	e.cause, e.died, e.restart = cause, now, now.Add(wait)
}

func (e *envoyProcess) health() *admin.EnvoyProcess {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := &admin.EnvoyProcess{State: "running", Since: e.since, PID: e.pid, Deaths: e.deaths}
	if e.deaths > 0 {
		died := e.died
		h.LastDeath, h.LastError = &died, fmt.Sprint(e.cause)
	}
	if e.pid == 0 {
		h.State = "restarting"
		if e.deaths == 0 {
			h.State = "starting"
		} else {
			at := e.restart
			h.RestartAt = &at
		}
	}
	return h
}
