// Package accesslog receives Envoy's access log and turns its entries into records of
// requests and of attempts at providers.
//
// Envoy logs requests and attempts separately and in no fixed order; a Receiver joins
// them by request id and passes them to a Sink. A record holds names, numbers and
// times, never a body. The doc comments of its fields say which strings a client made;
// those that end in Label come from a closed set and may be labels of metrics.
//
// The package makes no metrics and writes no log. It imports llm, metadata, policy and
// internal/protofield.
package accesslog
