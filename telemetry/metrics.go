package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Names, labels and bucket boundaries of the gen_ai metrics are those of
// OpenTelemetry's "Semantic conventions for generative AI metrics"
// (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/, status:
// development). Dots are underscores and a unit is a suffix, except one in
// braces, which has none ("Prometheus and OpenMetrics Compatibility",
// https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/).
var (
	tokenBuckets      = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
	durationBuckets   = []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	firstTokenBuckets = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	perTokenBuckets   = []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}
)

// The labels of the gen_ai metrics.
const (
	operationLabel = "gen_ai_operation_name"
	providerLabel  = "gen_ai_provider_name"  // the configured id
	askedLabel     = "gen_ai_request_model"  // what the client asked for
	modelLabel     = "gen_ai_response_model" // what was sent to the provider
	tokenTypeLabel = "gen_ai_token_type"     // input, output
	errorTypeLabel = "error_type"            // an accesslog cause; empty, which is absent, for success
)

type metrics struct {
	tokens, duration, firstToken, perToken *series[prometheus.Observer]

	attempts, failovers, unconnected, requests, unknown, estimated, truncated *series[prometheus.Counter]

	clientGone, attemptRecords, requestRecords, dropped, suppressed prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	histogram := func(name, help string, buckets []float64, names ...string) *series[prometheus.Observer] {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, names)
		r.MustRegister(h)
		return newSeries(len(names), h.WithLabelValues).forgettable(names, h.DeleteLabelValues)
	}
	counters := func(name, help string, names ...string) *series[prometheus.Counter] {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, names)
		r.MustRegister(c)
		return newSeries(len(names), c.WithLabelValues).forgettable(names, c.DeleteLabelValues)
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	records := counters("weir_access_log_records_total", "Access log records received from Envoy.", "kind")
	return &metrics{
		tokens: histogram("gen_ai_client_token_usage",
			"Tokens of a request, as the provider counted them.",
			tokenBuckets, operationLabel, providerLabel, askedLabel, modelLabel, tokenTypeLabel),
		duration: histogram("gen_ai_server_request_duration_seconds",
			"Time from the start of a request that reached a provider to its end.",
			durationBuckets, operationLabel, providerLabel, askedLabel, modelLabel, errorTypeLabel),
		firstToken: histogram("gen_ai_server_time_to_first_token_seconds",
			"Time from the start of a request to the first byte of a streamed response.",
			firstTokenBuckets, operationLabel, providerLabel, askedLabel, modelLabel),
		perToken: histogram("gen_ai_server_time_per_output_token_seconds",
			"Time for each output token after the first of a streamed response.",
			perTokenBuckets, operationLabel, providerLabel, askedLabel, modelLabel),
		attempts: counters("weir_attempts_total",
			"Attempts at providers, by outcome: ok or the cause of the failure.", "provider", "model", "outcome"),
		failovers: counters("weir_failovers_total",
			"Attempts that failed and were followed by another.", "provider", "cause"),
		unconnected: counters("weir_connect_failures_total",
			"Attempts for which no connection was made, by reason: dns, refused, unreachable, tls, timeout or other.", "provider", "reason"),
		requests: counters("weir_requests_total",
			"Requests, by the class of the status sent to the client (none if no status was sent) and Weir's error code.",
			"operation", "status", "code"),
		unknown: counters("weir_tokens_unknown_total",
			"Responses that did not state all of their token usage.", "provider", "operation"),
		estimated: counters("weir_tokens_estimated_total",
			"Tokens that responses did not state, by estimate. gen_ai_client_token_usage does not include them.", "provider", "operation", tokenTypeLabel),
		truncated: counters("weir_streams_truncated_total",
			"Streams that the provider ended without the last event of their API. Counted only where telemetry.stream_end or strict_stream_end is on.", "provider", "operation"),
		clientGone: counter("weir_client_gone_total",
			"Requests whose client disconnected before the response was complete."),
		dropped: counter("weir_access_log_lines_dropped_total",
			"Log lines that were not written because the destination was too slow or gone."),
		suppressed: counter("weir_access_log_lines_suppressed_total",
			"Log lines of refused requests without an access key that were suppressed because there were many of the same kind."),
		attemptRecords: records.get(labels{"attempt"}),
		requestRecords: records.get(labels{"request"}),
	}
}

// statusClass returns the label of a status.
func statusClass(status int) string {
	if status < 100 || status > 599 {
		return "none"
	}
	return [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}[status/100-1]
}
