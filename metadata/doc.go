// Package metadata defines what crosses Envoy between two calls to Weir: the plan of a
// request, how to follow its response, and what the access log says about it, with the
// names of the metadata fields and headers that carry these. The request path writes
// them, the control plane tells Envoy where they are, and telemetry reads them, so that no
// memory of Weir has to tie these steps together.
//
// The values are plain structs with one encoding, which is text: see Plan, Gate, Cause and
// LogContext. A value that is damaged, or that another version of Weir wrote, is refused
// as a whole: a Plan is then an error, the others are empty. The package decides nothing,
// and no value holds a credential.
package metadata
