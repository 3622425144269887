package policy

import (
	"cmp"
	"time"

	"weir/policy/config"
)

// connections reads how the connections to a provider are made and how long
// they are kept.
func (b *clusterBuilder) connections(c config.ProviderConfig, base config.BaseURL, path string) Connections {
	idle := config.DefaultPlainIdleTimeout
	if base.TLS() {
		idle = config.DefaultTLSIdleTimeout
	}
	out := Connections{
		HTTP2:       c.HTTP2,
		IdleTimeout: cmp.Or(c.IdleTimeout, idle),
		MaxDuration: cmp.Or(c.MaxConnectionDuration, config.DefaultMaxConnectionDuration),
	}
	if out.IdleTimeout < 10*time.Millisecond || out.IdleTimeout > time.Hour {
		b.problem(path+".idle_timeout", "%s is out of range: write a duration from 10ms to 1h", out.IdleTimeout)
	}
	if out.MaxDuration < time.Second || out.MaxDuration > 24*time.Hour {
		b.problem(path+".max_connection_duration", "%s is out of range: write a duration from 1s to 24h", out.MaxDuration)
	}
	return out
}
