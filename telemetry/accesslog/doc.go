// Package accesslog receives Envoy's access log and turns its entries into records of
// requests and of attempts at providers.
//
// Envoy logs requests and attempts separately and in no fixed order; a Receiver joins
// them by request id and passes them to a Sink. A record holds names, numbers and
// times, never a body. The comments of its fields say which strings come from a client;
// fields whose names end in Label have a closed set of values and may be labels of
// metrics.
//
// The package makes no metrics and writes no log.
package accesslog
