package retire

import (
	"slices"
	"sync"
	"time"

	"weir/policy"
)

// Credentials tracks credentials that requests may carry although the current policy does
// not have them: those of the replaced policies, and of the one that is about to become
// current. A provider may repeat them in a response.
//
// They are kept for longer than the clusters of a Book: a running request no longer
// needs its cluster, but its response may still contain the credential. Its methods may
// be called concurrently.
type Credentials struct {
	now func() time.Time

	mu    sync.RWMutex
	until map[string]map[string]time.Time // by cluster and value
}

// NewCredentials returns an empty set.
func NewCredentials(now func() time.Time) *Credentials {
	return &Credentials{now: now, until: map[string]map[string]time.Time{}}
}

// Keep keeps the credentials of a policy that another one does not have, for d.
func (c *Credentials) Keep(p, other *policy.Policy, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	until := c.now().Add(d)
	for _, cluster := range p.Clusters {
		has := other.Credentials(cluster.Name)
		for _, value := range p.Credentials(cluster.Name) {
			if slices.Contains(has, value) {
				continue
			}
			values := c.until[cluster.Name]
			if values == nil {
				values = map[string]time.Time{}
				c.until[cluster.Name] = values
			}
			if until.After(values[value]) {
				values[value] = until
			}
		}
	}
}

// Of returns the kept credentials of a cluster.
func (c *Credentials) Of(cluster string) []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []string
	for value := range c.until[cluster] {
		out = append(out, value)
	}
	return out
}

// Sweep drops the credentials whose time is over.
func (c *Credentials) Sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for cluster, values := range c.until {
		for value, until := range values {
			if !until.After(now) {
				delete(values, value)
			}
		}
		if len(values) == 0 {
			delete(c.until, cluster)
		}
	}
}
