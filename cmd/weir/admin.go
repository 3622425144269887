package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weir/envoy"
	"weir/policy"
	"weir/policy/config"
	"weir/telemetry/limits"
	"weir/xds"
)

// status is what /healthz tells of the configuration.
type status struct {
	mu      sync.Mutex
	version string
	since   time.Time
	// problems are those of the last attempt to change it, if that failed.
	problems []string
	failed   time.Time
}

func (s *status) adopted(p *policy.Policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version, s.since = p.Version, time.Now()
	s.problems, s.failed = nil, time.Time{}
}

// rejected says whether it is news.
func (s *status) rejected(err error) bool {
	list := []string{err.Error()}
	var problems config.Problems
	if errors.As(err, &problems) {
		list = nil
		for _, p := range problems {
			list = append(list, p.String())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.failed.IsZero() || !slices.Equal(s.problems, list)
	s.failed, s.problems = time.Now(), list
	return news
}

// recovered is told that the configuration is again the one in force, and says
// whether that is news.
func (s *status) recovered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := !s.failed.IsZero()
	s.problems, s.failed = nil, time.Time{}
	return news
}

// healthReport is the body of /healthz. Times are RFC 3339.
type healthReport struct {
	Status  string       `json:"status"` // ok, or degraded: see problems, envoys and limits
	Version string       `json:"version"`
	Ready   bool         `json:"ready"`
	Config  healthConfig `json:"config"`
	// Listen are the sockets for clients.
	Listen []string `json:"listen"`
	// Envoy is the one that `weir run` keeps running; Envoys are those that are
	// connected.
	Envoy  *healthProcess `json:"envoy,omitempty"`
	Envoys []healthEnvoy  `json:"envoys"`
	// Ejected are the providers that are tried after all others.
	Ejected []healthEjected `json:"ejected"`
	// Limits are those that were reached since the start.
	Limits []limits.Reached `json:"limits"`
}

type healthConfig struct {
	File     string     `json:"file"`
	Version  string     `json:"version"`
	Since    time.Time  `json:"since"`
	Problems []string   `json:"problems,omitempty"`
	Failed   *time.Time `json:"failed,omitempty"`
	// Warnings are those of the configuration in force.
	Warnings []string `json:"warnings,omitempty"`
}

type healthEnvoy struct {
	Node        string            `json:"node"`
	Version     string            `json:"version"`
	ConnectedAt time.Time         `json:"connected_at"`
	Synced      bool              `json:"synced"`
	Pending     []string          `json:"pending,omitempty"`
	Rejections  map[string]string `json:"rejections,omitempty"`
}

func (g *gateway) healthReport() healthReport {
	h := healthReport{Status: "ok", Version: version(), Ready: g.ready(), Listen: g.listed(), Envoys: []healthEnvoy{}, Ejected: g.ejected(), Limits: g.limits.Reached()}
	g.status.mu.Lock()
	h.Config = healthConfig{File: g.configFile, Version: g.status.version, Since: g.status.since, Problems: g.status.problems}
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
		h.Envoys = append(h.Envoys, healthEnvoy{n.Node, n.Version, n.ConnectedAt, n.Synced, n.Pending, n.Rejections})
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

// ready: Envoy has acknowledged what is in force, and nobody asked to stop.
func (g *gateway) ready() bool {
	return !g.draining.Load() && !g.envoyDown() && g.served(g.xds.Nodes())
}

// envoyDown reports whether the Envoy that this gateway runs is not running.
func (g *gateway) envoyDown() bool { return g.process != nil && !g.process.running() }

// served says whether an Envoy has all that the policy in force needs. It goes
// on having it while the next configuration is on its way to it.
func (g *gateway) served(nodes []xds.NodeStatus) bool {
	return slices.ContainsFunc(nodes, func(n xds.NodeStatus) bool { return n.Acknowledged >= g.inForce.Load() })
}

func (g *gateway) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		g.envoyLimits.read(r.Context())
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(g.healthReport())
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case g.draining.Load():
			http.Error(w, "not ready: stopping", http.StatusServiceUnavailable)
		case g.envoyDown():
			http.Error(w, "not ready: envoy is not running; see /healthz", http.StatusServiceUnavailable)
		case !g.ready():
			http.Error(w, "not ready: no envoy has acknowledged the configuration in force; see /healthz", http.StatusServiceUnavailable)
		default:
			_, _ = w.Write([]byte("ready\n"))
		}
	})
	mux.HandleFunc("POST /explain", g.explainHandler)
	metrics := promhttp.HandlerFor(g.registry, promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		g.envoyLimits.read(r.Context())
		metrics.ServeHTTP(w, r)
	})
	return toOperators(mux)
}

// toOperators keeps web pages from reading what only this machine may: see
// policy.AdmitPage.
func toOperators(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if at != nil && policy.Loopback(at.String()) && !policy.NamedInside(r.Host) {
			http.Error(w, fmt.Sprintf("%.64q may be the name of someone else: use http://127.0.0.1", r.Host), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// metrics are those of the process; extproc has its own.
type metrics struct {
	reloads *prometheus.CounterVec
}

func newMetrics(g *gateway) *metrics {
	m := &metrics{reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_config_reloads_total",
		Help: "Configurations that were put in force (accepted) or turned down (rejected).",
	}, []string{"result"})}
	count := func(which func(xds.NodeStatus) bool) func() float64 {
		return func() float64 {
			n := 0
			for _, node := range g.xds.Nodes() {
				if which(node) {
					n++
				}
			}
			return float64(n)
		}
	}
	g.registry.MustRegister(m.reloads, configInfo{g}, certificates{g},
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_envoys_connected", Help: "Envoys connected to the control plane.",
		}, count(func(xds.NodeStatus) bool { return true })),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_envoys_synced", Help: "Envoys that have acknowledged the configuration in force.",
		}, count(func(n xds.NodeStatus) bool { return n.Synced })),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_config_last_reload_successful", Help: "1 if the last configuration was put in force, 0 if it was turned down.",
		}, func() float64 {
			g.status.mu.Lock()
			defer g.status.mu.Unlock()
			if g.status.failed.IsZero() {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_build_info", Help: "Always 1.",
			ConstLabels: prometheus.Labels{"version": version(), "envoy": envoy.Version},
		}, func() float64 { return 1 }),
	)
	return m
}

// configInfo tells the version of the configuration in force.
type configInfo struct{ *gateway }

var configVersion = prometheus.NewDesc("weir_config_info", "The configuration in force, by its content's version. Always 1.", []string{"version"}, nil)

// Describe implements prometheus.Collector.
func (configInfo) Describe(to chan<- *prometheus.Desc) { to <- configVersion }

// Collect implements prometheus.Collector.
func (c configInfo) Collect(to chan<- prometheus.Metric) {
	c.status.mu.Lock()
	version := c.status.version
	c.status.mu.Unlock()
	to <- prometheus.MustNewConstMetric(configVersion, prometheus.GaugeValue, 1, version)
}

func (m *metrics) reload(accepted bool) {
	result := "rejected"
	if accepted {
		result = "accepted"
	}
	m.reloads.WithLabelValues(result).Inc()
}
