package config

import (
	"go.yaml.in/yaml/v4"

	"weir/llm"
)

// DefaultFailover returns the failures that lead to the next attempt if failover_on is
// absent: those that the request itself did not cause.
func DefaultFailover() FailoverConfig {
	return FailoverConfig{"connect_failure", "reset", "timeout", "401", "402", "403", "404", "408", "409", "410", "429", "5xx",
		llm.CauseInvalidKey, llm.CauseAccount, llm.CauseRegion, llm.CauseUnknownModel, llm.CauseUnsupportedFeature, llm.CauseContext}
}

// decodeNode decodes statuses as numbers or strings.
func (f *FailoverConfig) decodeNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind != yaml.SequenceNode {
		d.notList(n, path, "be a list of statuses and causes")
		return
	}
	*f = FailoverConfig{}
	for i, entry := range n.Content {
		if entry = follow(entry); entry.Kind != yaml.ScalarNode {
			d.mismatch(entry, IndexPath(path, i), "be a status or a cause")
			continue
		}
		*f = append(*f, entry.Value)
	}
}
