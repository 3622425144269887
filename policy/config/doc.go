// Package config reads a configuration file: YAML or JSON into a Config, with
// every problem at its line and path. It holds the types of the file, from whose
// comments the schema is generated, the values that need rules of their own (base
// URLs, secrets, strings with ${…}), and the defaults and bounds of fields.
//
// It reads one value at a time. What fields mean together is package policy's
// matter, which compiles a Config to a Policy.
package config
