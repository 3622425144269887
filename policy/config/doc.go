// Package config decodes a configuration file, YAML or JSON, to a Config, and reports every
// problem with its line and path. It has the types of the file, whose comments are the
// descriptions in the schema; the values with rules of their own (base URLs, secrets,
// strings with ${…}); and the defaults and bounds of fields.
//
// It checks each value on its own. Package policy compiles a Config to a Policy, and checks
// what fields mean together. Nothing here reads files or the environment, except through
// the functions in SecretStore.
package config
