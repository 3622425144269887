package policy

import (
	"slices"
	"strings"
)

// Credentials returns the values of the secrets that requests to a cluster carry.
func (p *Policy) Credentials(cluster string) []string {
	// They are sorted by name.
	i, ok := slices.BinarySearchFunc(p.Clusters, cluster, func(c *Cluster, name string) int { return strings.Compare(c.Name, name) })
	if !ok {
		return nil
	}
	var out []string
	for _, h := range p.Clusters[i].Set {
		if h.Secret != "" {
			out = append(out, p.Secrets[h.Secret].Reveal())
		}
	}
	return out
}
