// Package metadata holds what crosses Envoy between two calls to Weir: the plan of
// a request, what to do with its response, and what the access log tells of it,
// with the names of the metadata fields and headers that carry them. The request
// path writes it, the control plane tells Envoy where it is, and telemetry reads
// it, so that no memory of Weir ties these steps together.
//
// It holds plain structs and their encoding and makes no decisions. It never holds
// a credential.
package metadata
