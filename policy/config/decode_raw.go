package config

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// RawValue is a value of the configuration as JSON, for a request body. Mappings keep the
// order of their keys, and numbers keep their digits (1.10 stays 1.10) if JSON allows it.
type RawValue json.RawMessage

// MarshalJSON returns the value unchanged, or null if there is none.
func (r RawValue) MarshalJSON() ([]byte, error) { return json.RawMessage(r).MarshalJSON() }

// MarshalYAML returns the value as YAML.
func (r RawValue) MarshalYAML() (any, error) {
	if !json.Valid(r) {
		return nil, nil
	}
	return jsonNodes(r), nil
}

func (r *RawValue) decodeNode(d *decoder, n *yaml.Node, path string) {
	var b bytes.Buffer
	d.raw(&b, n, path)
	if json.Valid(b.Bytes()) { // not valid if a part of it is a problem
		*r = b.Bytes()
	}
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// raw writes a node as JSON.
func (d *decoder) raw(b *bytes.Buffer, n *yaml.Node, path string) {
	switch {
	case n.Kind == yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			d.rawChild(b, item, IndexPath(path, i))
		}
		b.WriteByte(']')
	case n.Kind == yaml.MappingNode:
		b.WriteByte('{')
		for i, e := range d.entries(n, path) {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, e.key)
			b.WriteByte(':')
			d.rawChild(b, e.value, JoinPath(path, e.key))
		}
		b.WriteByte('}')
	case (n.Tag == intTag || n.Tag == floatTag) && jsonNumber.MatchString(n.Value):
		b.WriteString(n.Value)
	default:
		writeJSON(b, d.plain(n, path))
	}
}

func (d *decoder) rawChild(b *bytes.Buffer, n *yaml.Node, path string) {
	if n, leave := d.enter(n, path); n != nil {
		d.raw(b, n, path)
		leave()
	}
}

// writeJSON writes a scalar without HTML escapes, so that a provider receives the text of
// the file.
func writeJSON(b *bytes.Buffer, v any) {
	var s strings.Builder
	e := json.NewEncoder(&s)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // strings, finite numbers, booleans and nil always encode
		panic(err)
	}
	b.WriteString(strings.TrimSuffix(s.String(), "\n"))
}
