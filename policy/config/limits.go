package config

import "time"

// LimitsConfig bounds what clients use of the gateway.
type LimitsConfig struct {
	// Maximum concurrent requests of all clients together, 1 to 100000. Further
	// requests get 503 overloaded.
	MaxRequests int `yaml:"max_requests,omitempty"`
	// Maximum concurrent requests of one access key; without access keys, of one client
	// address. Further requests get 429 rate_limit. At most max_requests.
	MaxRequestsPerKey int `yaml:"max_requests_per_key,omitempty"`
	// Maximum bytes of request bodies in memory, of all clients together; at least
	// max_body_bytes. Further requests get 503 overloaded.
	MaxBufferedBodyBytes int64 `yaml:"max_buffered_body_bytes,omitempty"`
	// Maximum bytes of request bodies in memory for one access key; without access
	// keys, for one client address. From max_body_bytes to max_buffered_body_bytes.
	// Further requests get 429 rate_limit.
	MaxBufferedBodyBytesPerKey int64 `yaml:"max_buffered_body_bytes_per_key,omitempty"`
	// Maximum time that a request over a limit waits before it is refused, 1ms to 5s.
	MaxWait time.Duration `yaml:"max_wait,omitempty"`
	// Maximum file descriptors of Envoy. It limits the connections to clients and
	// providers. 0: for `weir run` the hard limit of the process (ulimit -Hn), for
	// `weir serve` and `weir bootstrap` 65536. Not reloaded.
	OpenFiles int `yaml:"open_files,omitempty"`
	// Maximum concurrent connections of clients. Envoy closes further ones at once. 0:
	// half of what open_files leaves, at most 50000. Not reloaded.
	MaxClientConnections int `yaml:"max_client_connections,omitempty"`
	// Maximum concurrent connections of one client address, 1 to 1048576. Envoy closes
	// further ones at once. An IPv6 address counts by its first 64 bits. 0: no limit.
	MaxClientConnectionsPerAddress int `yaml:"max_client_connections_per_address,omitempty"`
	// Maximum concurrent connections to one host of a provider. Further requests wait
	// for a free connection. 0: what open_files leaves, divided by the number of hosts,
	// at most 2048.
	MaxProviderConnections int `yaml:"max_provider_connections,omitempty"`
	// Maximum time for the first byte of a connection, for a TLS handshake, and for the
	// headers of a request from their first byte; 1ms to 24h.
	ClientHeadersTimeout time.Duration `yaml:"client_headers_timeout,omitempty"`
	// Maximum time from the first byte of a request to the end of its body; 1ms to 24h.
	ClientBodyTimeout time.Duration `yaml:"client_body_timeout,omitempty"`
	// Maximum time that a connection without a running request stays open; 1ms to 24h.
	ClientIdleTimeout time.Duration `yaml:"client_idle_timeout,omitempty"`
	// Age at which Envoy asks the client to close a connection; 1ms to 24h. Running
	// requests are completed.
	MaxClientConnectionAge time.Duration `yaml:"max_client_connection_age,omitempty"`
	// Maximum heap of Envoy, in bytes, at least 64 MiB. Near it, Envoy refuses requests
	// with 503 overloaded and ends the largest. Default: half of the memory of the
	// control group or the machine. Not reloaded.
	EnvoyHeapBytes int64 `yaml:"envoy_heap_bytes,omitempty"`
	// Memory that Weir itself tries to stay under, in bytes, at least 64 MiB. The
	// environment variable GOMEMLIMIT overrides it. Default: a quarter of the memory of
	// the control group or the machine. Not reloaded.
	WeirMemoryBytes int64 `yaml:"weir_memory_bytes,omitempty"`
	// Maximum number of headers of a request, 20 to 1000. A request with more gets 431.
	MaxRequestHeaders int `yaml:"max_request_headers,omitempty"`
	// Maximum size of a request's headers, names and values together, from 4 KiB to 512
	// KiB. A request with larger headers gets 431.
	MaxRequestHeaderBytes int `yaml:"max_request_header_bytes,omitempty"`
	// Maximum concurrent requests on one HTTP/2 connection of a client, 1 to 10000.
	MaxStreamsPerConnection int `yaml:"max_streams_per_connection,omitempty"`
	// For one HTTP/2 stream: maximum bytes that a client may send before Envoy has
	// passed them on, and maximum bytes of the response that wait in Envoy; from 65535
	// bytes to 16 MiB.
	StreamWindowBytes int `yaml:"stream_window_bytes,omitempty"`
	// For one HTTP/2 connection: maximum bytes that a client may send before Envoy has
	// passed them on; from stream_window_bytes to 64 MiB.
	ConnectionWindowBytes int `yaml:"connection_window_bytes,omitempty"`
	// Maximum bytes of responses that wait in Envoy for one client connection, from 64
	// KiB to 64 MiB.
	ClientBufferBytes int `yaml:"client_buffer_bytes,omitempty"`
}

// KeyLimitsConfig bounds what one access key uses of the gateway.
type KeyLimitsConfig struct {
	// Maximum concurrent requests, in place of limits.max_requests_per_key.
	MaxRequests int `yaml:"max_requests,omitempty"`
	// Maximum bytes of request bodies in memory, in place of
	// limits.max_buffered_body_bytes_per_key.
	MaxBufferedBodyBytes int64 `yaml:"max_buffered_body_bytes,omitempty"`
}

// Defaults of limits. The limits per key are half of the limits for all. The limits in bytes
// grow with max_body_bytes, so that two of the largest bodies fit, and one for each key.
const (
	DefaultMaxRequests          = 4096
	DefaultMaxBufferedBodyBytes = 256 << 20
	DefaultMaxWait              = 300 * time.Millisecond
	MaxMaxRequests              = 100_000
	MaxMaxBufferedBodyBytes     = 1 << 40
	MaxMaxWait                  = 5 * time.Second
)

// Defaults of the limits on a client's connection.
const (
	DefaultMaxRequestHeaders       = 100
	DefaultMaxRequestHeaderBytes   = 60 << 10
	DefaultMaxStreamsPerConnection = 100
	// DefaultStreamWindowBytes allows an upload of 5 MB/s at a round-trip time of 50 ms.
	DefaultStreamWindowBytes     = 256 << 10
	DefaultConnectionWindowBytes = 1 << 20
	DefaultClientBufferBytes     = 256 << 10
)

// Bounds of the limits on a client's connection and on memory.
const (
	MinMaxRequestHeaders, MaxMaxRequestHeaders             = 20, 1000
	MinMaxRequestHeaderBytes, MaxMaxRequestHeaderBytes     = 4 << 10, 512 << 10
	MinMaxStreamsPerConnection, MaxMaxStreamsPerConnection = 1, 10_000
	MinStreamWindowBytes, MaxStreamWindowBytes             = 1<<16 - 1, 16 << 20 // the minimum of Envoy
	MaxConnectionWindowBytes                               = 64 << 20
	MinClientBufferBytes, MaxClientBufferBytes             = 64 << 10, 64 << 20
	// MinMemoryBytes is twice what an idle Envoy uses.
	MinMemoryBytes, MaxMemoryBytes = 64 << 20, 1 << 40
)

// Defaults and bounds of the limits on connections.
const (
	// DefaultOpenFiles is for an Envoy that Weir does not start.
	DefaultOpenFiles = 65536
	MinOpenFiles     = 256
	// MaxOpenFiles is the default of the kernel's fs.nr_open.
	MaxOpenFiles = 1 << 20

	DefaultClientHeadersTimeout = 10 * time.Second
	DefaultClientBodyTimeout    = 5 * time.Minute
	// DefaultClientIdleTimeout is longer than the idle timeouts of clients that pool
	// connections (at most 5 minutes: openai-node's agent, OkHttp) and of load balancers.
	// They must close first, because a request that is sent while the gateway closes the
	// connection is lost.
	DefaultClientIdleTimeout      = 310 * time.Second
	DefaultMaxClientConnectionAge = time.Hour
)
