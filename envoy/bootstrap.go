package envoy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	internalv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/bootstrap/internal_listener/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	yaml "go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// ControlCluster is the static cluster for Weir's gRPC server: xDS and ext_proc use
// it.
const ControlCluster = "weir"

// LogCluster is the static cluster through which Envoy sends its access log to the
// same server. It is separate because Envoy must know, for the log alone, whether Weir
// is running: an entry that is sent after Weir has exited is lost, but Envoy keeps entries
// while the cluster has no host.
const LogCluster = "weir_log"

// KeepaliveInterval is how often Envoy pings Weir's gRPC server on a connection. By
// default grpc-go treats several pings in five minutes as an attack and closes the
// connection with all streams: the server needs a keepalive.EnforcementPolicy with a
// MinTime below this interval and PermitWithoutStream.
const KeepaliveInterval = 30 * time.Second

// streamsUnlimited is a circuit breaker threshold that is never reached: every client
// request is a stream to Weir, and Envoy's default of 1024 would refuse the next one.
const streamsUnlimited = 1 << 20

// maxSocketPath is the size of a socket address without the final NUL: 107 bytes on
// Linux, 103 on macOS.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// BootstrapOptions are the settings in which the bootstraps of two Envoys may differ.
type BootstrapOptions struct {
	NodeID         string        // names this Envoy to weir; required
	Cluster        string        // the node's cluster; "": "weir"
	Socket         string        // absolute path of the Unix socket of weir's gRPC server; required
	AdminSocket    string        // absolute path of the admin interface's Unix socket, or
	AdminAddress   string        // its host:port; neither: no admin interface
	MaxConnections int           // client connections at once, the admin's not counted; 0: MostConnections. See Divide
	ConnectTimeout time.Duration // of a connection to Socket; 0: 1s
	MaxHeap        uint64        // bytes of heap that Envoy may use; 0: DefaultMaxHeap
}

// Bootstrap returns the configuration that Envoy starts from, as YAML. It fails for
// invalid options.
func Bootstrap(o BootstrapOptions) ([]byte, error) {
	if o.NodeID == "" {
		return nil, errors.New("node id: missing")
	}
	if err := checkSocket(o.Socket); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if o.MaxConnections < 0 {
		return nil, fmt.Errorf("max connections: %d: must not be negative", o.MaxConnections)
	}
	maxHeap := cmp.Or(o.MaxHeap, DefaultMaxHeap)
	if maxHeap < MinMaxHeap {
		return nil, fmt.Errorf("an Envoy heap of %d bytes is too small: use %d bytes or more (--envoy-heap-bytes, limits.envoy_heap_bytes)", maxHeap, MinMaxHeap)
	}
	admin, err := adminInterface(o)
	if err != nil {
		return nil, err
	}
	b := &bootstrapv3.Bootstrap{
		Node:  &corev3.Node{Id: o.NodeID, Cluster: cmp.Or(o.Cluster, ControlCluster)},
		Admin: admin,
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			AdsConfig: deltaADS(),
			LdsConfig: fromADS(),
			CdsConfig: fromADS(),
		},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Clusters: []*clusterv3.Cluster{controlCluster(o), logCluster(o)},
		},
		OverloadManager:        connectionLimit(cmp.Or(o.MaxConnections, MostConnections)),
		MemoryAllocatorManager: allocator(),
		LayeredRuntime:         runtimeLayers(),
		// For listeners inside of Envoy, which begin tunnels through HTTP proxies.
		BootstrapExtensions: []*corev3.TypedExtensionConfig{{
			Name: "envoy.bootstrap.internal_listener", TypedConfig: toAny(&internalv3.InternalListener{}),
		}},
	}
	limitHeap(b.OverloadManager, maxHeap)
	if err := b.ValidateAll(); err != nil {
		return nil, err
	}
	return toYAML(b)
}

// deltaADS is the one stream that carries the whole configuration. Envoy's own
// back-off grows to 30 s, during which a restarted Weir would be without its Envoys.
func deltaADS() *corev3.ApiConfigSource {
	return &corev3.ApiConfigSource{
		ApiType:             corev3.ApiConfigSource_DELTA_GRPC,
		TransportApiVersion: corev3.ApiVersion_V3,
		GrpcServices: []*corev3.GrpcService{{
			TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
				ClusterName: ControlCluster,
				RetryPolicy: &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
					BaseInterval: durationpb.New(100 * time.Millisecond),
					MaxInterval:  durationpb.New(2 * time.Second),
				}},
			}},
		}},
	}
}

func fromADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

func controlCluster(o BootstrapOptions) *clusterv3.Cluster {
	c := toWeir(ControlCluster, o, &corev3.Http2ProtocolOptions{
		InitialStreamWindowSize: wrapperspb.UInt32(1<<31 - 1), // also what may wait in a stream
	})
	// No limit, here and for each stream above. When what waits for Weir passes a
	// limit, ext_proc tells its filter chain to pause reading, and in a provider
	// cluster's chain Envoy 1.40.0 then follows a null pointer as long as the
	// provider's connection is not established
	// (UpstreamCodecFilter::onAboveWriteBufferHighWatermark): it crashed on a 2 MB
	// failover. What waits is bounded by the listener's limit of request bodies.
	c.PerConnectionBufferLimitBytes = wrapperspb.UInt32(0)
	return c
}

// connectionLimit sets the limit of client connections. It is always set, because
// Envoy warns if there is none.
func connectionLimit(connections int) *overloadv3.OverloadManager {
	return &overloadv3.OverloadManager{ResourceMonitors: []*overloadv3.ResourceMonitor{{
		Name: "envoy.resource_monitors.global_downstream_max_connections",
		ConfigType: &overloadv3.ResourceMonitor_TypedConfig{
			TypedConfig: toAny(&connectionsv3.DownstreamConnectionsConfig{
				MaxActiveDownstreamConnections: int64(connections),
			}),
		},
	}}}
}

func adminInterface(o BootstrapOptions) (*bootstrapv3.Admin, error) {
	switch {
	case o.AdminSocket != "" && o.AdminAddress != "":
		return nil, errors.New("admin: both a socket and an address")
	case o.AdminSocket != "":
		if err := checkSocket(o.AdminSocket); err != nil {
			return nil, fmt.Errorf("admin socket: %w", err)
		}
		// Any user who can open the socket can stop Envoy and read its configuration.
		return adminOn(pipe(o.AdminSocket, 0o600)), nil
	case o.AdminAddress != "":
		host, port, err := net.SplitHostPort(o.AdminAddress)
		if err != nil {
			return nil, fmt.Errorf("admin address: %w", err)
		}
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 {
			return nil, fmt.Errorf("admin address: %s: the port must be a number from 1 to 65535", o.AdminAddress)
		}
		if net.ParseIP(host) == nil {
			return nil, fmt.Errorf("admin address: %s: Envoy listens on an IP address, not on a name", o.AdminAddress)
		}
		return adminOn(tcp(host, uint32(number))), nil
	default:
		return nil, nil
	}
}

// adminOn returns an admin interface that stays reachable when clients have used up
// their connections.
func adminOn(address *corev3.Address) *bootstrapv3.Admin {
	return &bootstrapv3.Admin{Address: address, IgnoreGlobalConnLimit: true}
}

func pipe(path string, mode uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path, Mode: mode}}}
}

func tcp(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// checkSocket rejects paths that would otherwise fail later, in Envoy.
func checkSocket(path string) error {
	switch {
	case path == "":
		return errors.New("missing")
	case !filepath.IsAbs(path):
		return fmt.Errorf("%s: not an absolute path", path)
	case len(path) > maxSocketPath:
		return fmt.Errorf("%s: %d bytes, and a Unix socket's path has at most %d: choose a shorter folder",
			path, len(path), maxSocketPath)
	default:
		return nil
	}
}

func toAny(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil { // messages built above always marshal
		panic(err)
	}
	return a
}

// toYAML converts by way of JSON, which is valid YAML: only the layout changes, and
// the fields keep the order of the protocol.
func toYAML(m proto.Message) ([]byte, error) {
	asJSON, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(asJSON, &doc); err != nil {
		return nil, err
	}
	if err := plain(&doc); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// plain removes JSON's braces, and its quotes where a string reads the same without
// them. To find out, it encodes the string by itself: for nodes, the encoder ignores
// the words that YAML 1.1, and so Envoy, reads as booleans (n, yes).
func plain(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		var alone yaml.Node
		if err := alone.Encode(n.Value); err != nil {
			return err
		}
		n.Style = alone.Style
		return nil
	}
	n.Style = 0
	for _, child := range n.Content {
		if err := plain(child); err != nil {
			return err
		}
	}
	return nil
}
