package xds

import (
	"cmp"
	"math/bits"
	"net/netip"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"weir/policy"
)

// DefaultProviderConnections bounds the connections to one host where neither the
// configuration nor the file descriptors do.
const DefaultProviderConnections = 2048

// minProviderConnections is the minimum for each host, however many hosts there are:
// they are not all busy at once, and a running request of a client over HTTP/1.1 also
// takes a descriptor of the clients' share.
const minProviderConnections = 64

// unlimited disables a circuit breaker of Envoy's. Its default of 3 retries is meant
// for a mesh; here, a plan bounds the attempts of a request, and connections bound the
// requests.
const unlimited = 1 << 30

// breakers bounds the connections to one host, and the requests that wait for one: as
// many as there may be connections, because a request also waits while its own
// connection is being made. A request beyond that gets the flag UO, which Envoy 1.40
// never follows with another attempt (RetryStateImpl::wouldRetryFromReset).
//
// Envoy makes at least one connection for each of its workers.
func (b *builder) breakers() *clusterv3.CircuitBreakers {
	most := number(cmp.Or(b.options.ConnectionsPerHost, DefaultProviderConnections))
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections: most, MaxPendingRequests: most,
		MaxRequests: number(unlimited), MaxRetries: number(unlimited),
	}}}
}

// ConnectionsPerHost returns how many connections there may be to one host of a
// provider, so that the hosts of a policy together have at most total, unless that
// leaves too few for one host. If total is 0, there is no limit for all hosts
// together.
//
// The number of hosts is rounded up to a power of two: each change of the result
// changes every cluster, and Envoy then looks up every name again and closes every
// idle connection.
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

// hosts returns the number of hosts for which connections are kept. Clusters that
// differ only in keys and headers share their connections if the host has to be looked
// up: see lookedUp.
func hosts(p *policy.Policy) int {
	type host struct {
		name string
		port int
		tls  policy.ClusterTLS
	}
	shared, own := map[host]bool{}, 0
	for _, c := range p.Clusters {
		if _, err := netip.ParseAddr(c.DialHost); err == nil || c.DialHost == "localhost" || c.Proxy != nil {
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
