package config

import "time"

// LimitsConfig bounds what clients may take of the gateway.
type LimitsConfig struct {
	// Requests that run at once, of all clients together, 1 to 100000. More get 503
	// overloaded.
	MaxRequests int `yaml:"max_requests,omitempty"`
	// Requests of one access key that run at once; without access keys, of one client
	// address. More get 429 rate_limit. At most max_requests.
	MaxRequestsPerKey int `yaml:"max_requests_per_key,omitempty"`
	// Bytes of request bodies that are held at once, of all clients together, from
	// max_body_bytes on. More get 503 overloaded.
	MaxBufferedBodyBytes int64 `yaml:"max_buffered_body_bytes,omitempty"`
	// Bytes of request bodies that are held at once for one access key; without access
	// keys, for one client address. More get 429 rate_limit. From max_body_bytes to
	// max_buffered_body_bytes.
	MaxBufferedBodyBytesPerKey int64 `yaml:"max_buffered_body_bytes_per_key,omitempty"`
	// How long a request waits for room before it is refused, 1ms to 5s.
	MaxWait time.Duration `yaml:"max_wait,omitempty"`
	// File descriptors that Envoy may have open; connections to clients and to
	// providers are limited to what fits. 0: for `weir run` the limit of the process
	// (ulimit -Hn), for `weir serve` and `weir bootstrap` 65536. It is not reloaded.
	OpenFiles int `yaml:"open_files,omitempty"`
	// Connections of clients at once; further ones are closed at once. 0: half of
	// what open_files leaves, at most 50000. It is not reloaded.
	MaxClientConnections int `yaml:"max_client_connections,omitempty"`
	// Connections of one client address at once, 1 to 1048576; further ones are
	// closed at once. Addresses of IPv6 count by their first 64 bits. 0: any number.
	MaxClientConnectionsPerAddress int `yaml:"max_client_connections_per_address,omitempty"`
	// Connections to one host of a provider at once; further requests wait for one
	// that is free. 0: what open_files leaves, divided by the number of hosts, at
	// most 2048.
	MaxProviderConnections int `yaml:"max_provider_connections,omitempty"`
	// How long a connection may take to its first byte, a TLS handshake to its end,
	// and a request from its first byte to the end of its headers; 1ms to 24h.
	ClientHeadersTimeout time.Duration `yaml:"client_headers_timeout,omitempty"`
	// How long a request may take from its first byte to the end of its body; 1ms to
	// 24h.
	ClientBodyTimeout time.Duration `yaml:"client_body_timeout,omitempty"`
	// How long a connection without a running request stays open; 1ms to 24h.
	ClientIdleTimeout time.Duration `yaml:"client_idle_timeout,omitempty"`
	// Age at which Envoy asks the client to close a connection; running requests
	// are completed; 1ms to 24h.
	MaxClientConnectionAge time.Duration `yaml:"max_client_connection_age,omitempty"`
	// Heap that Envoy may use, in bytes, from 64 MiB on. Near it, Envoy refuses requests
	// with 503 overloaded and ends the largest. Without it, half of the memory of the
	// control group or the machine. It is not reloaded.
	EnvoyHeapBytes int64 `yaml:"envoy_heap_bytes,omitempty"`
	// Memory that Weir itself tries to stay under, in bytes, from 64 MiB on.
	// GOMEMLIMIT in the environment overrides it. Without both, a quarter of the
	// memory of the control group or the machine. It is not reloaded.
	WeirMemoryBytes int64 `yaml:"weir_memory_bytes,omitempty"`
	// Headers of a request, 20 to 1000. More get 431.
	MaxRequestHeaders int `yaml:"max_request_headers,omitempty"`
	// Bytes of a request's headers, names and values together, from 4 KiB to 512 KiB.
	// More get 431.
	MaxRequestHeaderBytes int `yaml:"max_request_header_bytes,omitempty"`
	// Requests at once on one HTTP/2 connection of a client, 1 to 10000.
	MaxStreamsPerConnection int `yaml:"max_streams_per_connection,omitempty"`
	// For one HTTP/2 stream, bytes that a client may send before Envoy has passed
	// them on, and bytes of the response that wait in Envoy; from 65535 bytes to
	// 16 MiB.
	StreamWindowBytes int `yaml:"stream_window_bytes,omitempty"`
	// For one HTTP/2 connection, bytes that a client may send before Envoy has
	// passed them on; from stream_window_bytes to 64 MiB.
	ConnectionWindowBytes int `yaml:"connection_window_bytes,omitempty"`
	// Bytes of responses that wait in Envoy for one client connection, from 64 KiB to
	// 64 MiB.
	ClientBufferBytes int `yaml:"client_buffer_bytes,omitempty"`
}

// KeyLimitsConfig bounds what one access key may take of the gateway.
type KeyLimitsConfig struct {
	// Requests that run at once, instead of limits.max_requests_per_key.
	MaxRequests int `yaml:"max_requests,omitempty"`
	// Bytes of request bodies that are held at once, instead of
	// limits.max_buffered_body_bytes_per_key.
	MaxBufferedBodyBytes int64 `yaml:"max_buffered_body_bytes,omitempty"`
}

// Defaults of limits. Those of a key are half of the whole's. Bytes grow with
// max_body_bytes: two of the largest bodies always fit, one of them of a key.
const (
	DefaultMaxRequests          = 4096
	DefaultMaxBufferedBodyBytes = 256 << 20
	DefaultMaxWait              = 300 * time.Millisecond
	MaxMaxRequests              = 100_000
	MaxMaxBufferedBodyBytes     = 1 << 40
	MaxMaxWait                  = 5 * time.Second
)

// Defaults of the limits of a client's connection.
const (
	DefaultMaxRequestHeaders       = 100
	DefaultMaxRequestHeaderBytes   = 60 << 10
	DefaultMaxStreamsPerConnection = 100
	// DefaultStreamWindowBytes lets an upload over 50 ms of network run with 5 MB/s.
	DefaultStreamWindowBytes     = 256 << 10
	DefaultConnectionWindowBytes = 1 << 20
	DefaultClientBufferBytes     = 256 << 10
)

const (
	MinMaxRequestHeaders, MaxMaxRequestHeaders             = 20, 1000
	MinMaxRequestHeaderBytes, MaxMaxRequestHeaderBytes     = 4 << 10, 512 << 10
	MinMaxStreamsPerConnection, MaxMaxStreamsPerConnection = 1, 10_000
	MinStreamWindowBytes, MaxStreamWindowBytes             = 1<<16 - 1, 16 << 20 // Envoy takes no smaller window
	MaxConnectionWindowBytes                               = 64 << 20
	MinClientBufferBytes, MaxClientBufferBytes             = 64 << 10, 64 << 20
	// minMemoryBytes is the least that makes sense: an idle Envoy takes half of it.
	MinMemoryBytes, MaxMemoryBytes = 64 << 20, 1 << 40
)

// Defaults and bounds of ConnectionLimits.
const (
	// DefaultOpenFiles is for an Envoy that Weir does not start.
	DefaultOpenFiles = 65536
	MinOpenFiles     = 256
	// What the kernel's fs.nr_open is unless somebody raised it.
	MaxOpenFiles = 1 << 20

	DefaultClientHeadersTimeout = 10 * time.Second
	DefaultClientBodyTimeout    = 5 * time.Minute
	// DefaultClientIdleTimeout is longer than the idle timeouts of the clients
	// that pool connections (at most 5 minutes: openai-node's agent, OkHttp) and
	// of load balancers, so that these close first: a request that is sent while
	// the gateway closes is lost.
	DefaultClientIdleTimeout      = 310 * time.Second
	DefaultMaxClientConnectionAge = time.Hour
)
