// Package envoy finds, installs, configures and supervises the Envoy that serves
// Weir's traffic, and talks to its admin interface.
//
// Find returns the path of an Envoy, Bootstrap the configuration file that it starts
// from, and Run keeps it running until it is told to stop. What Envoy serves comes
// over xDS: the package knows no providers, models or policies.
//
// It does not guess. An Envoy that the user named is used, or is an error. One that
// was found on PATH must be of the release line that Weir is tested with. One that
// Weir installed runs only if its checksum is the pinned one.
package envoy
