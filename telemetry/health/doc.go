// Package health decides which clusters are ejected. A cluster whose attempts failed
// several times in a row is tried after all others, until a request that probes it
// succeeds. A model that its provider limits is ejected by itself.
//
// The package observes the attempts that Envoy logs. It is asked while a request is
// planned; asking changes nothing: it is a look-up of the cluster in a map, the load
// of two pointers, and another look-up for a cluster with a limited model. The caller
// that makes the attempt claims the probe.
//
// Its clock is passed in. It starts no goroutine and stores nothing: after a restart all
// clusters are in use. It does not know Envoy or metrics.
package health
