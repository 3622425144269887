package config

import (
	_ "embed"
)

//go:embed schema.json
var schemaJSON string

// Schema returns the JSON Schema (draft 2020-12) of the configuration file, for editors. It
// covers names, types, ranges and formats. Only policy.Load checks rules that need the whole
// file, such as unique ids. `make schema` generates it from Config: the descriptions are the
// comments of the fields.
func Schema() string { return schemaJSON }
