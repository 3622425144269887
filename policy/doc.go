// Package policy holds Weir's rules: what a configuration means, which
// providers and models may serve a request, in which order, and what each of
// them is sent. It is pure: bytes and values go in, values and coded errors
// come out; time, the environment and files are passed in.
//
// It knows no Envoy, no gRPC and no HTTP server. What the control plane and
// the request path must agree on (cluster names, metadata keys, header names)
// is defined here, once.
//
// It imports the standard library, a YAML parser, and nothing of Weir.
package policy
