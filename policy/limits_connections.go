package policy

import "time"

// ConnectionLimits bound how many connections there are, and for how long.
type ConnectionLimits struct {
	// 0 where the configuration leaves it to what the process finds.
	OpenFiles, MaxClientConnections, MaxProviderConnections int
	// MaxClientConnectionsPerAddress is 0 where there is no such limit.
	MaxClientConnectionsPerAddress int

	ClientHeadersTimeout, ClientBodyTimeout, ClientIdleTimeout time.Duration
	MaxClientConnectionAge                                     time.Duration
}

// Defaults and bounds of ConnectionLimits.
const (
	// DefaultOpenFiles is for an Envoy that Weir does not start.
	DefaultOpenFiles = 65536
	minOpenFiles     = 256
	// What the kernel's fs.nr_open is unless somebody raised it.
	maxOpenFiles = 1 << 20

	DefaultClientHeadersTimeout = 10 * time.Second
	DefaultClientBodyTimeout    = 5 * time.Minute
	// DefaultClientIdleTimeout is longer than the idle timeouts of the clients
	// that pool connections (at most 5 minutes: openai-node's agent, OkHttp) and
	// of load balancers, so that these close first: a request that is sent while
	// the gateway closes is lost.
	DefaultClientIdleTimeout      = 310 * time.Second
	DefaultMaxClientConnectionAge = time.Hour
)

// connectionLimits reads the limits of connections.
func (l *loader) connectionLimits(p *Policy) {
	c := l.cfg.Limits
	number := func(path string, value, least int) int {
		if value != 0 && (value < least || value > maxOpenFiles) {
			l.problem(path, "must be from %d to %d", least, maxOpenFiles)
		}
		return value
	}
	p.Limits.ConnectionLimits = ConnectionLimits{
		OpenFiles:                      number("limits.open_files", c.OpenFiles, minOpenFiles),
		MaxClientConnections:           number("limits.max_client_connections", c.MaxClientConnections, 1),
		MaxClientConnectionsPerAddress: number("limits.max_client_connections_per_address", c.MaxClientConnectionsPerAddress, 1),
		MaxProviderConnections:         number("limits.max_provider_connections", c.MaxProviderConnections, 1),
		ClientHeadersTimeout:           l.duration("limits.client_headers_timeout", c.ClientHeadersTimeout, DefaultClientHeadersTimeout),
		ClientBodyTimeout:              l.duration("limits.client_body_timeout", c.ClientBodyTimeout, DefaultClientBodyTimeout),
		ClientIdleTimeout:              l.duration("limits.client_idle_timeout", c.ClientIdleTimeout, DefaultClientIdleTimeout),
		MaxClientConnectionAge:         l.duration("limits.max_client_connection_age", c.MaxClientConnectionAge, DefaultMaxClientConnectionAge),
	}
}

// connections shows the limits of connections that are in force.
func setConnectionLimits(c *LimitsConfig, l ConnectionLimits) {
	c.ClientHeadersTimeout, c.ClientBodyTimeout = l.ClientHeadersTimeout, l.ClientBodyTimeout
	c.ClientIdleTimeout, c.MaxClientConnectionAge = l.ClientIdleTimeout, l.MaxClientConnectionAge
}
