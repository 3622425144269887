package main

import (
	"github.com/prometheus/client_golang/prometheus"
)

// certificates tells when the certificates of the current policy expire.
type certificates struct{ *gateway }

var certificateExpiry = prometheus.NewDesc("weir_certificate_expiry_timestamp_seconds",
	"When the certificates of a file expire, as a Unix time.", []string{"file"}, nil)

// Describe implements prometheus.Collector.
func (certificates) Describe(to chan<- *prometheus.Desc) { to <- certificateExpiry }

// Collect implements prometheus.Collector.
func (c certificates) Collect(to chan<- prometheus.Metric) {
	p := c.current.Load()
	if p == nil {
		return
	}
	for _, e := range p.Expiries {
		to <- prometheus.MustNewConstMetric(certificateExpiry, prometheus.GaugeValue, float64(e.NotAfter.Unix()), e.File)
	}
}
