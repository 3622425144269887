package config

import (
	_ "embed"
)

//go:embed schema.json
var schemaJSON string

// Schema is the JSON Schema (draft 2020-12) of the configuration file, for
// editors. It knows names, types, ranges and forms; what only a whole file
// shows, such as an id that stands twice, Load alone knows. `make schema`
// writes it from Config.
func Schema() string { return schemaJSON }
