package envoy

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const wantBootstrap = `node:
  id: "n"
  cluster: weir
static_resources:
  clusters:
    - name: weir
      type: STATIC
      connect_timeout: 1s
      per_connection_buffer_limit_bytes: 0
      load_assignment:
        cluster_name: weir
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    pipe:
                      path: /run/weir/grpc.sock
      circuit_breakers:
        thresholds:
          - max_connections: 1048576
            max_pending_requests: 1048576
            max_requests: 1048576
            max_retries: 1048576
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config:
            http2_protocol_options:
              initial_stream_window_size: 2147483647
              connection_keepalive:
                interval: 30s
                timeout: 10s
    - name: weir_log
      type: STATIC
      connect_timeout: 1s
      per_connection_buffer_limit_bytes: 1048576
      load_assignment:
        cluster_name: weir_log
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    pipe:
                      path: /run/weir/grpc.sock
      health_checks:
        - timeout: 1s
          interval: 0.250s
          unhealthy_threshold: 1
          healthy_threshold: 1
          tcp_health_check: {}
          no_traffic_interval: 0.250s
      circuit_breakers:
        thresholds:
          - max_connections: 1048576
            max_pending_requests: 1048576
            max_requests: 1048576
            max_retries: 1048576
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config:
            http2_protocol_options:
              initial_stream_window_size: 1048576
              connection_keepalive:
                interval: 30s
                timeout: 10s
      outlier_detection:
        consecutive_5xx: 1
        interval: 31536000s
        base_ejection_time: 31536000s
        max_ejection_percent: 100
        enforcing_success_rate: 0
        max_ejection_time: 31536000s
      common_lb_config:
        healthy_panic_threshold: {}
        update_merge_window: 0s
dynamic_resources:
  lds_config:
    ads: {}
    resource_api_version: V3
  cds_config:
    ads: {}
    resource_api_version: V3
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    grpc_services:
      - envoy_grpc:
          cluster_name: weir
          retry_policy:
            retry_back_off:
              base_interval: 0.100s
              max_interval: 2s
layered_runtime:
  layers:
    - name: weir
      static_layer:
        http.max_requests_per_io_cycle: 1
        overload.premature_reset_total_stream_count: 10000000
        re2.max_program_size.error_level: 100000
admin:
  address:
    pipe:
      path: /run/weir/admin.sock
      mode: 384
  ignore_global_conn_limit: true
overload_manager:
  refresh_interval: 0.100s
  resource_monitors:
    - name: envoy.resource_monitors.global_downstream_max_connections
      typed_config:
        '@type': type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
        max_active_downstream_connections: "50000"
    - name: envoy.resource_monitors.fixed_heap
      typed_config:
        '@type': type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig
        max_heap_size_bytes: "1073741824"
  actions:
    - name: envoy.overload_actions.shrink_heap
      triggers:
        - name: envoy.resource_monitors.fixed_heap
          threshold:
            value: 0.5
      typed_config:
        '@type': type.googleapis.com/envoy.config.overload.v3.ShrinkHeapConfig
        timer_interval: 1s
        max_unfreed_memory_bytes: "67108864"
    - name: envoy.overload_actions.reduce_timeouts
      triggers:
        - name: envoy.resource_monitors.fixed_heap
          scaled:
            scaling_threshold: 0.8
            saturation_threshold: 0.95
      typed_config:
        '@type': type.googleapis.com/envoy.config.overload.v3.ScaleTimersOverloadActionConfig
        timer_scale_factors:
          - timer: HTTP_DOWNSTREAM_CONNECTION_IDLE
            min_timeout: 1s
          - timer: HTTP_DOWNSTREAM_STREAM_IDLE
            min_timeout: 10s
          - timer: HTTP_DOWNSTREAM_STREAM_FLUSH
            min_timeout: 1s
    - name: envoy.overload_actions.reset_high_memory_stream
      triggers:
        - name: envoy.resource_monitors.fixed_heap
          scaled:
            scaling_threshold: 0.8
            saturation_threshold: 0.95
    - name: envoy.overload_actions.disable_http_keepalive
      triggers:
        - name: envoy.resource_monitors.fixed_heap
          threshold:
            value: 0.9
    - name: envoy.overload_actions.stop_accepting_requests
      triggers:
        - name: envoy.resource_monitors.fixed_heap
          threshold:
            value: 0.9
    - name: envoy.overload_actions.reject_incoming_connections
      triggers:
        - name: envoy.resource_monitors.fixed_heap
          threshold:
            value: 0.97
  loadshed_points:
    - name: envoy.load_shed_points.http_connection_manager_decode_headers
      triggers:
        - name: envoy.resource_monitors.fixed_heap
          threshold:
            value: 0.9
    - name: envoy.load_shed_points.hcm_ondata_creating_codec
      triggers:
        - name: envoy.resource_monitors.fixed_heap
          threshold:
            value: 0.97
    - name: envoy.load_shed_points.http1_server_abort_dispatch
      triggers:
        - name: envoy.resource_monitors.fixed_heap
          threshold:
            value: 0.95
  buffer_factory_config:
    minimum_account_to_track_power_of_two: 16
bootstrap_extensions:
  - name: envoy.bootstrap.internal_listener
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener
memory_allocator_manager:
  bytes_to_release: "67108864"
  memory_release_interval: 1s
  max_unfreed_memory_bytes: "67108864"
`

func TestBootstrap(t *testing.T) {
	got, err := Bootstrap(BootstrapOptions{
		NodeID: "n", // which YAML 1.1 takes for false
		Socket: "/run/weir/grpc.sock", AdminSocket: "/run/weir/admin.sock",
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantBootstrap, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Envoy must take every form without a warning: users read its log.
func TestBootstrapIsValidForEnvoy(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]BootstrapOptions{
		"no admin":     {},
		"admin socket": {AdminSocket: "/run/weir/admin.sock"},
		"admin TCP":    {AdminAddress: "[::1]:9901"},
		"all options": {
			Cluster: "yes", AdminAddress: "127.0.0.1:9901",
			MaxConnections: 7, ConnectTimeout: 1500 * time.Millisecond, MaxHeap: 256 << 20,
		},
		"odd names": {NodeID: "~: \"ü\n\t😀#'", Cluster: "0x10", AdminSocket: "/run/weir #1/%2f\\é.sock"},
	} {
		t.Run(name, func(t *testing.T) {
			if o.NodeID == "" {
				o.NodeID = "n"
			}
			o.Socket = "/run/weir/grpc.sock"
			b, err := Bootstrap(o)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "envoy.yaml")
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), realEnvoy(t),
				"--mode", "validate", "--config-path", file, "--log-level", "warning").CombinedOutput()
			if want := "configuration '" + file + "' OK\n"; err != nil || string(out) != want {
				t.Errorf("%v: %s\n%s", err, out, b)
			}
		})
	}
}

func TestBootstrapRefuses(t *testing.T) {
	long := "/" + strings.Repeat("x", maxSocketPath)
	for _, c := range []struct {
		change func(*BootstrapOptions)
		want   string
	}{
		{func(o *BootstrapOptions) { o.NodeID = "" }, "node id: missing"},
		{func(o *BootstrapOptions) { o.Socket = "" }, "socket: missing"},
		{func(o *BootstrapOptions) { o.Socket = "grpc.sock" }, "socket: grpc.sock: not an absolute path"},
		{func(o *BootstrapOptions) { o.Socket = long }, "choose a shorter folder"},
		{func(o *BootstrapOptions) { o.AdminSocket = long }, "admin socket: /xxx"},
		{func(o *BootstrapOptions) { o.AdminSocket, o.AdminAddress = "/a", "127.0.0.1:1" }, "admin: both a socket and an address"},
		{func(o *BootstrapOptions) { o.AdminAddress = "127.0.0.1" }, "admin address: address 127.0.0.1: missing port"},
		{func(o *BootstrapOptions) { o.AdminAddress = "127.0.0.1:0" }, "the port must be a number from 1 to 65535"},
		{func(o *BootstrapOptions) { o.AdminAddress = "127.0.0.1:http" }, "the port must be a number from 1 to 65535"},
		{func(o *BootstrapOptions) { o.AdminAddress = "localhost:9901" }, "Envoy listens on an IP address"},
		{func(o *BootstrapOptions) { o.MaxConnections = -1 }, "max connections: -1"},
		{func(o *BootstrapOptions) { o.MaxHeap = 1 << 20 }, "an Envoy heap of 1048576 bytes is too small: use 67108864 bytes or more (--envoy-heap-bytes, limits.envoy_heap_bytes)"},
		{func(o *BootstrapOptions) { o.ConnectTimeout = -1 }, "ConnectTimeout"},
	} {
		o := BootstrapOptions{NodeID: "n", Socket: "/run/weir/grpc.sock"}
		c.change(&o)
		if b, err := Bootstrap(o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q\n%s", o, err, c.want, b)
		}
	}
}

// Strings must reach Envoy as they are, whatever YAML makes of them unquoted.
func TestEnvoyReadsNames(t *testing.T) {
	t.Parallel()
	path := realEnvoy(t)
	for _, name := range []string{
		"n", "Yes", "off", "true", "~", "null", "1", "010", "0x10", "1e3", ".5", ".inf", "1:30", "1_0", "2026-01-01",
		" a ", "a: b #c", "- a", "{a}", "@type", "a\n b\n", "\t\"'\\", "\u0001ü😀\u2028",
	} {
		t.Run(name, func(t *testing.T) {
			dir := shortDir(t)
			o := BootstrapOptions{NodeID: name, Cluster: name, Socket: dir + "/none.sock", AdminSocket: dir + "/admin.sock"}
			b, err := Bootstrap(o)
			if err != nil {
				t.Fatal(err)
			}
			now, ended := make(chan struct{}), make(chan error, 1)
			go func() { ended <- Run(context.Background(), Config{Path: path, Bootstrap: b, Dir: dir, Now: now}) }()
			admin := NewAdmin(o.AdminSocket)
			var info struct {
				Node struct{ ID, Cluster string }
			}
			until(t, "envoy answers", func() error {
				body, err := admin.Get(t.Context(), "/server_info")
				if err != nil {
					return err
				}
				return json.Unmarshal(body, &info)
			})
			if info.Node.ID != name || info.Node.Cluster != name {
				t.Errorf("got %q\n%s", info.Node, b)
			}
			close(now)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// A path of the greatest length must really work.
func TestLongestSocketPath(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	name := strings.Repeat("s", maxSocketPath-len(dir)-1)
	e := startEnvoy(t, Config{Dir: dir}, filepath.Join(dir, name))
	if _, err := e.admin.Get(context.Background(), "/ready"); err != nil {
		t.Error(err)
	}
}
