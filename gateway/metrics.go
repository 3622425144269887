package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"weir/envoy"
	"weir/policy"
	"weir/xds"
)

// metrics are those of the configuration and of the connected Envoys.
type metrics struct {
	reloads    *prometheus.CounterVec
	keyChanges prometheus.Counter
}

func newMetrics(registry prometheus.Registerer, s *status, nodes func() []xds.NodeStatus, current *current) *metrics {
	m := &metrics{
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_config_reloads_total",
			Help: "Configurations that were applied (accepted) or rejected.",
		}, []string{"result"}),
		keyChanges: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_access_key_changes_total",
			Help: "Accepted reloads that changed only access keys. They send nothing to Envoy.",
		}),
	}
	count := func(which func(xds.NodeStatus) bool) func() float64 {
		return func() float64 {
			n := 0
			for _, node := range nodes() {
				if which(node) {
					n++
				}
			}
			return float64(n)
		}
	}
	registry.MustRegister(m.reloads, m.keyChanges, configInfo{s}, certificates{current.Load},
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_envoys_connected", Help: "Envoys connected to the control plane.",
		}, count(func(xds.NodeStatus) bool { return true })),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_envoys_synced", Help: "Envoys that have acknowledged the current configuration.",
		}, count(func(n xds.NodeStatus) bool { return n.Synced })),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_config_last_reload_successful", Help: "1 if the last configuration was applied, 0 if it was rejected.",
		}, func() float64 {
			if s.report().Failed == nil {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_access_keys", Help: "Current access keys.",
		}, func() float64 { return float64(s.report().AccessKeys.Count) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_build_info", Help: "The versions of Weir and Envoy. Always 1.",
			ConstLabels: prometheus.Labels{"version": Version(), "envoy": envoy.Version},
		}, func() float64 { return 1 }),
	)
	return m
}

// configInfo collects the version of the current configuration.
type configInfo struct{ status *status }

var configVersion = prometheus.NewDesc("weir_config_info", "The version of the current configuration, which is a hash of its content. Always 1.", []string{"version"}, nil)

// Describe implements prometheus.Collector.
func (configInfo) Describe(to chan<- *prometheus.Desc) { to <- configVersion }

// Collect implements prometheus.Collector.
func (c configInfo) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(configVersion, prometheus.GaugeValue, 1, c.status.report().Version)
}

func (m *metrics) reload(accepted bool) {
	result := "rejected"
	if accepted {
		result = "accepted"
	}
	m.reloads.WithLabelValues(result).Inc()
}

// certificates collects when the certificates of the current policy expire.
type certificates struct{ current func() *policy.Policy }

var certificateExpiry = prometheus.NewDesc("weir_certificate_expiry_timestamp_seconds",
	"When the certificate in a file expires, as a Unix time.", []string{"file"}, nil)

// Describe implements prometheus.Collector.
func (certificates) Describe(to chan<- *prometheus.Desc) { to <- certificateExpiry }

// Collect implements prometheus.Collector.
func (c certificates) Collect(to chan<- prometheus.Metric) {
	p := c.current()
	if p == nil {
		return
	}
	for _, e := range p.Expiries {
		to <- prometheus.MustNewConstMetric(certificateExpiry, prometheus.GaugeValue, float64(e.NotAfter.Unix()), e.File)
	}
}
