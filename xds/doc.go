// Package xds is the control plane: it turns a policy into Envoy resources
// (clusters, secrets, one listener and its routes) and serves them over one
// delta ADS stream, gated on acknowledgement.
//
// It imports policy, never extproc: what the two must agree on is defined in
// policy. It refuses state-of-the-world discovery.
package xds
