// Package telemetry makes metrics, rolling numbers and log lines of what Envoy
// logged.
//
// The metrics of requests to models are those of OpenTelemetry's conventions
// for generative AI, in Prometheus' spelling; Weir's own begin with weir_. Every
// label has a closed set of values, and each metric a bound on its series.
//
// The log is JSON, one line for each attempt and each request, of fixed fields:
// names, numbers and times, nothing of what a client or a model said. Telemetry
// never waits for who reads it: lines that find no room are dropped and counted.
package telemetry
