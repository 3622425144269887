// Package extproc answers the questions that Envoy asks on the request path:
// who serves this request (once per request, from the listener's filter), and
// what does a later attempt send (once per retry, from a cluster's filter).
// Of responses it sees the beginning, where another attempt could follow, and
// failures, which must not carry the provider's key to the client.
//
// It keeps nothing between these: the plan travels with the request, as dynamic
// metadata. It imports policy, never xds.
package extproc
