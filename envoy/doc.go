// Package envoy finds, installs, configures and supervises the Envoy that
// serves weir's traffic, and talks to its admin interface.
//
// Find gives the path of an Envoy, Bootstrap the file it starts from, Run
// keeps it running until it is told to stop. What Envoy then serves comes over
// xDS and is no concern of this package: it knows no provider, no model and no
// policy, and imports of weir only the rule for files that nobody else may touch, and how
// often something is logged.
//
// It refuses to guess: an Envoy that the user named is used or is an error, one
// that merely lies on PATH must be of the release line weir is tested with, and
// one that weir installed runs only while it is byte for byte what was pinned.
package envoy
