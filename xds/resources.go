package xds

import (
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"

	"weir/metadata"
	"weir/policy"
)

// Names of resources that do not depend on the configuration.
const (
	ListenerName = "weir"
	RouteName    = "weir"
	// noPlanCluster is the cluster for requests without a plan. It has no endpoint, so
	// Envoy itself responds with an error.
	noPlanCluster   = "weir/no-plan"
	refusingCluster = metadata.RefusingCluster
)

// Options are the inputs of Resources besides the policy.
type Options struct {
	// ControlCluster is the bootstrap's cluster that leads back to Weir.
	ControlCluster string
	// LogCluster is the one through which access logs go there.
	LogCluster string
	// Listen are the sockets for clients, with their ports decided; not empty. An
	// unspecified IPv6 address serves IPv4 as well.
	Listen []netip.AddrPort
	// ConnectionsPerHost bounds the connections to one host of a provider; 0 means
	// DefaultProviderConnections.
	ConnectionsPerHost int
}

// decisionTimeout bounds one message of an ext_proc exchange. It is not for planning
// (microseconds) but for moving the largest body on a busy machine.
const decisionTimeout = 10 * time.Second

// Resources builds what Envoy needs for a policy. The clusters and secrets of
// the retiring policies stay, for requests that were planned with them.
func Resources(p *policy.Policy, retiring []*policy.Policy, o Options) (Set, error) {
	b := &builder{policy: p, options: o}
	set := Set{Listeners: []types.Resource{b.listener()}}
	seen := map[string]bool{}
	addClusters := func(clusters []*clusterv3.Cluster) {
		for _, cluster := range clusters {
			if !seen[cluster.Name] {
				seen[cluster.Name] = true
				set.Clusters = append(set.Clusters, cluster)
			}
		}
	}
	for _, from := range append([]*policy.Policy{p}, retiring...) {
		if from.Roots != "" && !seen[rootsSecret] {
			seen[rootsSecret] = true
			set.Secrets = append(set.Secrets, authorities(rootsSecret, from.Roots))
		}
		for _, c := range from.Clusters {
			addClusters(b.clusters(c))
			if c.Proxy != nil && !seen[tunnelName(c)] {
				seen[tunnelName(c)] = true
				addClusters(b.proxyClusters(c.Proxy))
				set.Listeners = append(set.Listeners, b.tunnel(c))
			}
		}
		for name, value := range from.Secrets {
			if !seen[name] {
				seen[name] = true
				set.Secrets = append(set.Secrets, genericSecret(name, value))
			}
		}
		for name, cert := range from.Certificates {
			if !seen[name] {
				seen[name] = true
				set.Secrets = append(set.Secrets, certificateSecret(name, cert))
			}
		}
	}
	for _, secret := range listenSecrets(p.ListenTLS) {
		set.Secrets = append(set.Secrets, secret)
	}
	set.Clusters = append(set.Clusters, b.noPlan(), refusing())
	set.Routes = []types.Resource{b.routes()}
	return set, b.err
}

// builder keeps the first error of packing a message, so that the functions below read
// like the configuration that they build.
type builder struct {
	policy  *policy.Policy
	options Options
	err     error
	check   *checker // nil: nothing is checked
	// retry and gate are the same in every cluster, so they are built once.
	retry, gate *hcmv3.HttpFilter
}
