package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"strconv"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	aggregatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/aggregate/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"weir/policy"
)

const (
	// minLookup is the shortest time between two look-ups of a name, even if its TTL
	// is shorter or 0.
	minLookup = 5 * time.Second
	// A name that does not resolve is looked up again after failedLookup, and then
	// after longer times. Envoy keeps the addresses that it has.
	failedLookup    = time.Second
	maxFailedLookup = 10 * time.Second
)

// lookedUp puts a cluster in front of two others: one that looks up its host, and one
// that refuses every connection and takes over if the name has never resolved. A
// cluster without hosts would end a request at once, but a refused connection leads to
// the next attempt.
//
// With both hosts in one cluster, Envoy would consider the cluster ready before the
// name is resolved and fail the first requests. With two, it acknowledges a cluster
// when its host is resolved, or known not to resolve.
//
// Envoy connects with the options of the cluster that has the host, and runs the
// filters of the one in front. So the latter has no TLS context, which would take as
// much memory as the rest of it.
//
// The name of the host's cluster does not depend on keys and headers: if only those
// change, nothing is looked up again.
func (b *builder) lookedUp(out *clusterv3.Cluster, c *policy.Cluster) *clusterv3.Cluster {
	host := proto.CloneOf(out)
	host.Metadata = nil
	host.ClusterDiscoveryType = custom("envoy.cluster.dns", b.pack(&dnsclusterv3.DnsCluster{
		// All addresses of both families are one host: a connection tries them in
		// turn, 300 ms apart (RFC 8305), so an attempt fails only if all of them do.
		DnsLookupFamily:              dnsv3.DnsLookupFamily_ALL,
		AllAddressesInSingleEndpoint: true,
		RespectDnsTtl:                true,
		DnsMinRefreshRate:            duration(minLookup),
		DnsRefreshRate:               duration(minLookup),
		DnsFailureRefreshRate:        &dnsclusterv3.DnsCluster_RefreshRate{BaseInterval: duration(failedLookup), MaxInterval: duration(maxFailedLookup)},
		TypedDnsResolverConfig: b.extension("envoy.network.dns_resolver.cares", &caresv3.CaresDnsResolverConfig{
			QueryTimeoutSeconds: wrapperspb.UInt64(1),
			QueryTries:          number(2),
		}),
	}))
	host.Name = ""
	host.LoadAssignment = assignment("", endpoint(c.DialHost, c.DialPort))
	sum := sha256.Sum256(b.pack(host).Value)
	host.Name = "weir/host/" + net.JoinHostPort(c.DialHost, strconv.Itoa(c.DialPort)) + "/" + hex.EncodeToString(sum[:8])
	host.LoadAssignment.ClusterName = host.Name

	out.TransportSocket, out.UpstreamConnectionOptions, out.UpstreamBindConfig = nil, nil, nil
	out.LbPolicy = clusterv3.Cluster_CLUSTER_PROVIDED
	out.ClusterDiscoveryType = custom("envoy.clusters.aggregate", b.pack(&aggregatev3.ClusterConfig{
		Clusters: []string{host.Name, refusingCluster},
	}))
	return host
}

func custom(name string, config *anypb.Any) *clusterv3.Cluster_ClusterType {
	return &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{Name: name, TypedConfig: config}}
}
