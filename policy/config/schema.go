package config

import (
	_ "embed"
)

//go:embed schema.json
var schemaJSON string

// Schema is the JSON Schema (draft 2020-12) of the configuration file, for
// editors. It covers names, types, ranges and formats. Rules that need the whole
// file, such as unique ids, are checked by policy.Load only. `make schema`
// writes it from Config.
func Schema() string { return schemaJSON }
