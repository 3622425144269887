package main

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// envoyProcess follows the Envoy that `weir run` keeps running, for /healthz,
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

// newEnvoyProcess registers the metrics of an Envoy that is not started yet.
func newEnvoyProcess(g *gateway, path string) *envoyProcess {
	e := &envoyProcess{log: g.log, path: path, since: time.Now()}
	g.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "weir_envoy_restarts_total", Help: "How often the Envoy of weir run died and was started again.",
		}, func() float64 { e.mu.Lock(); defer e.mu.Unlock(); return float64(e.deaths) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_envoy_up", Help: "1 while the Envoy of weir run is running, else 0.",
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

// current returns the process id, 0 if none runs.
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

// healthProcess is the Envoy of `weir run` in /healthz.
type healthProcess struct {
	State string    `json:"state"` // starting, running, or restarting
	Since time.Time `json:"since"`
	PID   int       `json:"pid,omitempty"`
	// Deaths counts those since the start; the others are of the last one.
	Deaths    int        `json:"deaths"`
	LastDeath *time.Time `json:"last_death,omitempty"`
	LastError string     `json:"last_error,omitempty"`
	RestartAt *time.Time `json:"restart_at,omitempty"`
}

func (e *envoyProcess) health() *healthProcess {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := &healthProcess{State: "running", Since: e.since, PID: e.pid, Deaths: e.deaths}
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
