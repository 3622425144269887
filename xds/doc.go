// Package xds is the control plane: it turns a policy into Envoy resources (clusters,
// secrets, one listener and its routes) and serves them over one delta ADS stream.
// Publish returns when the Envoys have acknowledged them.
//
// It refuses state-of-the-world discovery. It never imports extproc: what the two must
// agree on is defined in metadata.
package xds
