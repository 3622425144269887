package gateway

import (
	"sync/atomic"

	"weir/extproc"
	"weir/policy"
)

// configuration is a compiled configuration.
type configuration struct {
	policy.Loaded
	// measured are the numbers of the policy, from when it is adopted.
	measured *measured
}

// current is the configuration of new requests. Its policy and its access keys
// change in one step: no request is admitted by the policy of one configuration and the
// access keys of another.
type current struct {
	pointer atomic.Pointer[configuration]
}

// load returns the configuration; it is empty before the first.
func (c *current) load() configuration {
	if now := c.pointer.Load(); now != nil {
		return *now
	}
	return configuration{}
}

// Load returns the policy, or nil before the first.
func (c *current) Load() *policy.Policy { return c.load().Policy }

// forRequest returns the policy, keys and numbers for a request.
func (c *current) forRequest() extproc.Current {
	now := c.pointer.Load() // it is set before the first request
	return extproc.Current{Policy: now.Policy, Keys: now.Keys.Index, Numbers: now.measured}
}

// keyName returns the name of the access key with an id, or "".
func (c *current) keyName(id string) string {
	if keys := c.load().Keys; keys != nil {
		if k := keys.ByID(id); k != nil {
			return k.Name
		}
	}
	return ""
}

func (c *current) store(next configuration) { c.pointer.Store(&next) }

// adoptKeys makes access keys the current ones. Envoys do not have access
// keys, so nothing is compiled, sent or waited for. Running requests continue.
func (g *Gateway) adoptKeys(next configuration) {
	g.current.store(next)
	g.health.Adopt(next.Policy, next.Keys.Index)
	g.reloading.refused = ""
	g.status.adoptedKeys(next.Keys)
	if rejected := g.publisher.server.Rejection(); rejected != nil {
		g.status.relocated(g.publisher.located(next.Loaded, rejected))
	}
	g.metrics.reload(true)
	g.metrics.keyChanges.Inc()
	g.logInForce(next, "changed", "access keys")
}

// logInForce logs that a configuration is the current one.
func (g *Gateway) logInForce(c configuration, more ...any) {
	if name := c.Policy.ProxyVariable; name != "" {
		more = append(more, "https_proxy_from", name)
	}
	g.log.Info("configuration in force", append([]any{
		"config", g.options.ConfigFile, "version", c.Policy.Version, "clusters", len(c.Policy.Clusters), "access_keys", c.Keys.Len(),
	}, more...)...)
}
