// Package telemetry turns the records of package accesslog into metrics, rolling
// numbers and log lines.
//
// The metrics of requests to models follow OpenTelemetry's conventions for generative
// AI, in Prometheus' spelling; Weir's own begin with weir_. Every label has a closed
// set of values, and the series of each metric are bounded.
//
// The log is JSON, one line for each attempt and each request, with fixed fields:
// names, numbers and times, never contents of requests or responses. Telemetry never
// waits for a reader of the log: lines that do not fit into the buffer are dropped and
// counted.
package telemetry
