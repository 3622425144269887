package envoy

import (
	"cmp"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	// logWaiting is how much may wait in Envoy for a Weir that does not read. The rest
	// stays in the loggers, which count what they drop; it takes no more memory than
	// one of their batches.
	logWaiting = 1 << 20
	// logProbe is how often Envoy tries to reach Weir while the log cluster has no host.
	logProbe = 250 * time.Millisecond
)

// logCluster has a host only while Weir accepts connections. The first log stream that
// breaks removes the host at once, and a connection that succeeds restores it. An
// ejection that ended by itself would let Envoy send entries that are lost.
func logCluster(o BootstrapOptions) *clusterv3.Cluster {
	forever := durationpb.New(365 * 24 * time.Hour)
	c := toWeir(LogCluster, o, &corev3.Http2ProtocolOptions{InitialStreamWindowSize: wrapperspb.UInt32(logWaiting)})
	c.PerConnectionBufferLimitBytes = wrapperspb.UInt32(logWaiting)
	c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{
		HealthyPanicThreshold: &typev3.Percent{},
		// By default Envoy delays the second change of a host's health within 1 s.
		// Until its workers learn of it, they send their log to a Weir that has exited.
		UpdateMergeWindow: durationpb.New(0),
	}
	c.HealthChecks = []*corev3.HealthCheck{{
		Timeout:            durationpb.New(time.Second),
		Interval:           durationpb.New(logProbe),
		NoTrafficInterval:  durationpb.New(logProbe),
		UnhealthyThreshold: wrapperspb.UInt32(1),
		HealthyThreshold:   wrapperspb.UInt32(1),
		HealthChecker:      &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}},
	}}
	c.OutlierDetection = &clusterv3.OutlierDetection{
		Consecutive_5Xx:      wrapperspb.UInt32(1),
		Interval:             forever,
		BaseEjectionTime:     forever,
		MaxEjectionTime:      forever,
		MaxEjectionPercent:   wrapperspb.UInt32(100),
		EnforcingSuccessRate: wrapperspb.UInt32(0),
	}
	return c
}

// toWeir returns a cluster for Weir's gRPC server.
func toWeir(name string, o BootstrapOptions, http2 *corev3.Http2ProtocolOptions) *clusterv3.Cluster {
	const httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	// Detects a Weir that hangs; the socket reports one that has exited.
	http2.ConnectionKeepalive = &corev3.KeepaliveSettings{
		Interval: durationpb.New(KeepaliveInterval),
		Timeout:  durationpb.New(10 * time.Second),
	}
	return &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       durationpb.New(cmp.Or(o.ConnectTimeout, time.Second)),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: name,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
					Endpoint: &endpointv3.Endpoint{Address: pipe(o.Socket, 0)},
				},
			}}}},
		},
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections:     wrapperspb.UInt32(streamsUnlimited),
			MaxPendingRequests: wrapperspb.UInt32(streamsUnlimited),
			MaxRequests:        wrapperspb.UInt32(streamsUnlimited),
			MaxRetries:         wrapperspb.UInt32(streamsUnlimited),
		}}},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpOptions: toAny(&upstreamhttpv3.HttpProtocolOptions{
			UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{
				ExplicitHttpConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
					ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
						Http2ProtocolOptions: http2,
					},
				},
			},
		})},
	}
}
