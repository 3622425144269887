// Package soak runs the gateway for a while under everything that an edge meets
// at once: small and large requests, streams, failing providers, clients that
// are slow or leave or send rubbish, reloads, and kills of Weir and of Envoy.
//
// It fails if one request had an outcome that it must not have, or if memory,
// descriptors, goroutines or clusters grew. `make soak` runs it for ten
// minutes, `make test` for less than one. There is nothing but tests in it.
package soak
