// Package metadata defines what Envoy carries from one call of Weir to the next: the plan
// of a request, how to follow its response, and what the access log says about it; and the
// names of the metadata fields and headers that carry these. The request path writes them,
// the control plane tells Envoy where they are, and telemetry reads them. So Weir keeps no
// state between these steps.
//
// The values are plain structs with one encoding, which is text: see Plan, Gate, Cause and
// LogContext. A value that is damaged, or that another version of Weir wrote, is rejected
// as a whole: decoding a Plan then fails, and the others are empty. The package makes no
// decisions, and no value holds a credential.
package metadata
