package config

import "go.yaml.in/yaml/v4"

// ForwardConfig lists what passes between clients and a provider in addition to what
// the APIs define. Some names never pass: see docs/api.md.
type ForwardConfig struct {
	// Request headers: all, or a list of names. A name may end in '*'.
	Headers NamesConfig `yaml:"headers,omitempty"`
	// Query parameters: all, or a list of names. A name may end in '*'.
	Query NamesConfig `yaml:"query,omitempty"`
	// Body keys that select another model or provider behind this one, such as
	// fallbacks, for access keys with a scope: all, or a list of keys. Access keys
	// without a scope may always use them.
	Body NamesConfig `yaml:"body,omitempty"`
	// Response headers: all, or a list of names. A name may end in '*'.
	ResponseHeaders NamesConfig `yaml:"response_headers,omitempty"`
}

// NamesConfig is a list of names. A name that ends in '*' matches all names that begin
// with the part before it. The word all is short for ["*"].
type NamesConfig []string

// EveryName is the pattern that matches all names. The word all means a list of it.
const EveryName = "*"

// decodeNode decodes the word all, or a list of names.
func (c *NamesConfig) decodeNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.ScalarNode && n.Value == "all" {
		*c = NamesConfig{EveryName}
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.notList(n, path, "be all, or a list of names")
		return
	}
	*c = NamesConfig{}
	for i, entry := range n.Content {
		if entry = follow(entry); !isText(entry) {
			d.mismatch(entry, IndexPath(path, i), "be a name")
			continue
		}
		*c = append(*c, entry.Value)
	}
}
