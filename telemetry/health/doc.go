// Package health decides which clusters are ejected. A cluster whose attempts failed
// several times in a row is tried after all others, until a request that probes it
// succeeds. A model that its provider limits is ejected by itself.
//
// The package learns from what Envoy logs of attempts, and is asked while a request is
// planned. Asking changes nothing: it is a look-up of the cluster in a map, the load
// of two pointers, and another look-up for a cluster with a limited model. The caller
// that makes the attempt claims the probe.
//
// Time is the clock that it is given. It starts no goroutine and stores nothing: after
// a restart all clusters are in use. It does not know Envoy or metrics, and imports
// identity, policy and telemetry/accesslog.
package health
