// Package xds is the control plane: it turns a policy into Envoy resources (clusters,
// secrets, one listener and its routes) and serves them over one delta ADS stream.
// Publish returns when the Envoys have acknowledged them.
//
// It refuses state-of-the-world discovery. It shares no code with the request path: what
// the two must agree on is in package metadata.
package xds
