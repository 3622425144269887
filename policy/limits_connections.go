package policy

import (
	"time"

	"weir/policy/config"
)

// ConnectionLimits bound how many connections there are, and for how long.
type ConnectionLimits struct {
	// 0: not configured, the process decides.
	OpenFiles, MaxClientConnections, MaxProviderConnections int
	// MaxClientConnectionsPerAddress is 0 where there is no such limit.
	MaxClientConnectionsPerAddress int

	ClientHeadersTimeout, ClientBodyTimeout, ClientIdleTimeout time.Duration
	MaxClientConnectionAge                                     time.Duration
}

// connectionLimits reads the limits of connections.
func (l *loader) connectionLimits(p *Policy) {
	c := l.cfg.Limits
	number := func(path string, value, least int) int {
		if value != 0 && (value < least || value > config.MaxOpenFiles) {
			l.problem(path, "must be from %d to %d", least, config.MaxOpenFiles)
		}
		return value
	}
	p.Limits.ConnectionLimits = ConnectionLimits{
		OpenFiles:                      number("limits.open_files", c.OpenFiles, config.MinOpenFiles),
		MaxClientConnections:           number("limits.max_client_connections", c.MaxClientConnections, 1),
		MaxClientConnectionsPerAddress: number("limits.max_client_connections_per_address", c.MaxClientConnectionsPerAddress, 1),
		MaxProviderConnections:         number("limits.max_provider_connections", c.MaxProviderConnections, 1),
		ClientHeadersTimeout:           l.duration("limits.client_headers_timeout", c.ClientHeadersTimeout, config.DefaultClientHeadersTimeout),
		ClientBodyTimeout:              l.duration("limits.client_body_timeout", c.ClientBodyTimeout, config.DefaultClientBodyTimeout),
		ClientIdleTimeout:              l.duration("limits.client_idle_timeout", c.ClientIdleTimeout, config.DefaultClientIdleTimeout),
		MaxClientConnectionAge:         l.duration("limits.max_client_connection_age", c.MaxClientConnectionAge, config.DefaultMaxClientConnectionAge),
	}
}

// setConnectionLimits writes the effective limits of connections into a configuration.
func setConnectionLimits(c *config.LimitsConfig, l ConnectionLimits) {
	c.ClientHeadersTimeout, c.ClientBodyTimeout = l.ClientHeadersTimeout, l.ClientBodyTimeout
	c.ClientIdleTimeout, c.MaxClientConnectionAge = l.ClientIdleTimeout, l.MaxClientConnectionAge
}
