package xds

import (
	"cmp"
	"math/bits"
	"net/netip"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"weir/policy"
)

// DefaultProviderConnections bounds the connections to one host where neither
// the configuration nor the descriptors do.
const DefaultProviderConnections = 2048

// minProviderConnections are for each host, however many hosts there are: not
// all of them are busy at once, and a running request of a client over HTTP/1.1
// takes a descriptor of the clients' share, too.
const minProviderConnections = 64

// unlimited takes a circuit breaker of Envoy's out of the way. Its default of 3
// retries is made for a mesh: a plan bounds the attempts of a request. Requests
// are bounded by the connections that they need.
const unlimited = 1 << 30

// breakers bounds the connections to one host, and the requests that wait for
// one: as many as there may be connections, because a request whose connection
// is being made waits, too. The request after that gets UO, which Envoy 1.40
// never follows with another attempt (RetryStateImpl::wouldRetryFromReset).
//
// Envoy makes one connection for each of its workers all the same.
func (b *builder) breakers() *clusterv3.CircuitBreakers {
	most := number(cmp.Or(b.options.ConnectionsPerHost, DefaultProviderConnections))
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections: most, MaxPendingRequests: most,
		MaxRequests: number(unlimited), MaxRetries: number(unlimited),
	}}}
}

// ConnectionsPerHost returns how many connections there may be to one host of a
// provider, so that those to all hosts of a policy are at most total together,
// unless that leaves too few for one. total is 0 where there is no such limit.
//
// The number of hosts counts as the next power of two: each change of the result
// changes every cluster, and Envoy then looks up every name again and gives up
// every idle connection.
func ConnectionsPerHost(p *policy.Policy, total int) int {
	most := p.Limits.MaxProviderConnections
	if most == 0 {
		most = DefaultProviderConnections
	}
	if hosts := hosts(p); total > 0 && hosts > 0 {
		share := max(total/(1<<bits.Len(uint(hosts-1))), minProviderConnections)
		most = min(most, share, max(total, 1))
	}
	return most
}

// hosts counts what connections are kept for. Clusters that differ in keys and
// headers alone share their connections if the host has to be looked up: see
// lookedUp.
func hosts(p *policy.Policy) int {
	type host struct {
		name string
		port int
		tls  policy.ClusterTLS
	}
	shared, own := map[host]bool{}, 0
	for _, c := range p.Clusters {
		if _, err := netip.ParseAddr(c.DialHost); err == nil || c.DialHost == "localhost" {
			own++
			continue
		}
		h := host{name: c.DialHost, port: c.DialPort}
		if c.TLS != nil {
			h.tls = *c.TLS
			h.tls.CA = "tls" + h.tls.CA
		}
		shared[h] = true
	}
	return own + len(shared)
}
