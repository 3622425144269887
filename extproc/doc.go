// Package extproc answers the questions that Envoy asks on the request path:
// who serves this request (once per request, from the listener's filter), and
// what does a later attempt send (once per retry, from a cluster's filter).
//
// It keeps nothing between the two: the plan travels with the request, as
// dynamic metadata. It sees no response. It imports policy, never xds.
package extproc
