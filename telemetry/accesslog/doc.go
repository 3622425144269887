// Package accesslog holds what Envoy tells of requests and of attempts at
// providers, after the fact.
//
// A record holds names, numbers and times, never a body. Strings that a client
// made are marked so; those that end in Label come from a closed set and may be
// labels of metrics.
package accesslog
