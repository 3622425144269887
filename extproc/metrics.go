package extproc

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/llm"
)

// Metrics count decisions. Every label has a closed set of values.
type Metrics struct {
	plans   prometheus.Histogram
	replies prometheus.Histogram
	refusal *prometheus.CounterVec
	retries prometheus.Counter
	held    *prometheus.CounterVec
	cut     prometheus.Counter
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		plans: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "weir_plan_duration_seconds",
			Help:    "Time to read a request body and plan its attempts.",
			Buckets: prometheus.ExponentialBuckets(1e-6, 4, 11),
		}),
		replies: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "weir_ext_proc_duration_seconds",
			Help:    "Time that Weir spends on a request: reading its headers and body, planning or refusing it, and replying to Envoy. The wait for the body is not included.",
			Buckets: prometheus.ExponentialBuckets(1e-6, 4, 11),
		}),
		refusal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_requests_refused_total",
			Help: "Requests that Weir refused, by error code.",
		}, []string{"code"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_retries_total",
			Help: "Attempts after the first that were sent to a provider.",
		}),
	}
	m.held = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_gate_answers_total",
		Help: "Responses that were held until they were judged, by verdict: passed, or the cause of the next attempt.",
	}, []string{"verdict"})
	m.cut = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "weir_streams_ended_with_error_total",
		Help: "Streams that the provider ended before their last event and that Weir ended with an error event (strict_stream_end).",
	})
	r.MustRegister(m.plans, m.replies, m.refusal, m.retries, m.held, m.cut)
	return m
}

func (m *Metrics) planned(d time.Duration) { m.plans.Observe(d.Seconds()) }

func (m *Metrics) replied(d time.Duration) { m.replies.Observe(d.Seconds()) }

func (m *Metrics) refused(code llm.Code) { m.refusal.WithLabelValues(string(code)).Inc() }

func (m *Metrics) retried() { m.retries.Inc() }

func (m *Metrics) truncated() { m.cut.Inc() }

func (m *Metrics) judged(v llm.Verdict) {
	verdict := "passed"
	if v.Failed() {
		verdict = v.Cause()
	}
	m.held.WithLabelValues(verdict).Inc()
}
