// Package health decides which clusters are ejected: those whose attempts
// failed several times in a row are tried after all others, until a request
// that probes them finds them well. So is a model of a cluster that its provider
// limits, by itself.
//
// It learns from what Envoy logs of attempts, and is asked while a request is
// planned, which changes nothing: a look-up of the cluster in a map, the load of two
// pointers, and another look-up for a cluster of which some model was limited.
// Whoever makes the attempt claims the probe. It keeps time by the clock that it is
// given, starts no goroutine, and keeps nothing: a restart begins with
// all clusters in use. It knows no Envoy and no metrics.
package health
