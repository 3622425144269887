// Package health decides which clusters are ejected: those whose attempts
// failed several times in a row are tried after all others, until a request
// that probes them finds them well.
//
// It learns from what Envoy logs of attempts, and is asked while a request is
// planned, which takes the load of one pointer. It keeps time by the clock that
// it is given, starts no goroutine, and keeps nothing: a restart begins with
// all clusters in use. It knows no Envoy and no metrics.
package health
