// Package policy holds Weir's rules: what a configuration means, which providers
// and models may serve a request, in which order, and what each of them is sent.
// Load compiles a configuration to an immutable Policy; Policy.Plan makes the
// ordered attempts of one request.
//
// It is pure: values in, values and coded errors out; time, randomness, the
// environment and files are passed in. It knows no Envoy, no gRPC, no SQL and no
// HTTP server.
package policy
