// Package policy holds Weir's rules: what a configuration means, which providers and models
// may serve a request, in which order, and what each of them receives. Load compiles a
// configuration to an immutable Policy. Policy.Plan returns the ordered attempts of one
// request.
//
// The package is pure: time, randomness, the environment and files are passed in, and
// loading calls nothing else. It does not know Envoy, gRPC, SQL or an HTTP server.
package policy
