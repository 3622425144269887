package gateway

import (
	"time"

	"weir/extproc/peers"
	"weir/policy"
	"weir/telemetry/limits"
)

var perAddress = limits.Limit{
	Name:      "client_connections_per_address",
	Advice:    "a client address has reached its number of connections: raise limits.max_client_connections_per_address if it is a proxy or a network of clients",
	OneClient: true,
}

// newPeers returns the limiter of the connections of each client address. It counts
// what it refuses.
func newPeers(r *limits.Registry) *peers.Limiter {
	reached := r.Register(perAddress)
	return peers.New(func(ip string) string { return policy.Subject("", ip) }, reached.Hit, time.Now)
}

// adoptPeers applies the limit of a policy. A connection whose end was not reported
// counts for twice the maximum age of connections, and at least for an hour.
func (g *Gateway) adoptPeers(p *policy.Policy) {
	reached, most := g.limits.Register(perAddress), p.Limits.MaxClientConnectionsPerAddress
	reached.ClearValue()
	if most > 0 {
		reached.SetValue(int64(most))
	}
	g.peers.Configure(most, max(2*p.Limits.MaxClientConnectionAge, time.Hour))
}
