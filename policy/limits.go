package policy

import (
	"fmt"
	"net/netip"
	"time"
)

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
	maxMaxRequests              = 100_000
	maxMaxBufferedBodyBytes     = 1 << 40
	maxMaxWait                  = 5 * time.Second
)

// RequestLimits bound how many requests run at once, and how many bytes of
// their bodies are held.
type RequestLimits struct {
	Requests  int
	BodyBytes int64
}

// Limits are those of the gateway as a whole, and of a client that has none of
// its own.
type Limits struct {
	Total, PerKey RequestLimits
	// MaxWait is how long a request waits for room.
	MaxWait time.Duration
	ConnectionLimits
}

// limits reads the limits, before access keys are read.
func (l *loader) limits(p *Policy) {
	c := l.cfg.Limits
	body := int64(p.MaxBodyBytes)
	total := RequestLimits{DefaultMaxRequests, max(DefaultMaxBufferedBodyBytes, 2*body)}
	if c.MaxRequests != 0 {
		total.Requests = c.MaxRequests
		if c.MaxRequests < 1 || c.MaxRequests > maxMaxRequests {
			l.problem("limits.max_requests", "must be from 1 to %d", maxMaxRequests)
		}
	}
	if c.MaxBufferedBodyBytes != 0 {
		total.BodyBytes = c.MaxBufferedBodyBytes
		l.bufferedBytes("limits.max_buffered_body_bytes", c.MaxBufferedBodyBytes, body, maxMaxBufferedBodyBytes, "")
	}
	p.Limits.Total = total
	half := RequestLimits{max(1, total.Requests/2), max(body, total.BodyBytes/2)}
	p.Limits.PerKey = l.keyLimits(p, "limits.max_requests_per_key", "limits.max_buffered_body_bytes_per_key",
		KeyLimitsConfig{c.MaxRequestsPerKey, c.MaxBufferedBodyBytesPerKey}, half)
	l.connectionLimits(p)
	p.Limits.MaxWait = DefaultMaxWait
	if c.MaxWait != 0 {
		p.Limits.MaxWait = c.MaxWait
		if c.MaxWait < time.Millisecond || c.MaxWait > maxMaxWait {
			l.problem("limits.max_wait", "%s is out of range: write a duration from 1ms to %s", c.MaxWait, maxMaxWait)
		}
	}
}

// keyLimits reads the limits of a key, or of keys without their own.
func (l *loader) keyLimits(p *Policy, atRequests, atBytes string, c KeyLimitsConfig, otherwise RequestLimits) RequestLimits {
	out := otherwise
	if c.MaxRequests != 0 {
		out.Requests = c.MaxRequests
		if most := p.Limits.Total.Requests; c.MaxRequests < 1 || c.MaxRequests > most {
			l.problem(atRequests, "must be from 1 to limits.max_requests, which is %d", most)
		}
	}
	if c.MaxBufferedBodyBytes != 0 {
		out.BodyBytes = c.MaxBufferedBodyBytes
		l.bufferedBytes(atBytes, c.MaxBufferedBodyBytes, int64(p.MaxBodyBytes), p.Limits.Total.BodyBytes, "limits.max_buffered_body_bytes")
	}
	return out
}

// bufferedBytes checks a number of bytes: the largest body must fit.
func (l *loader) bufferedBytes(at string, value, least, most int64, mostName string) {
	to := fmt.Sprint(most)
	if mostName != "" {
		to = mostName + ", which is " + to
	}
	if value < least || value > most {
		l.problem(at, "must be from max_body_bytes, which is %d, to %s", least, to)
	}
}

// Subject names whose limits count for a request: the access key's id, or where
// there is none the client's address. Addresses of IPv6 count by their first 64
// bits: a client has at least so many.
func Subject(keyID, clientIP string) string {
	if keyID != "" {
		return keyID
	}
	ip, err := netip.ParseAddr(clientIP)
	if err != nil || ip.Is4() {
		return "address " + clientIP
	}
	if ip = ip.Unmap(); ip.Is4() {
		return "address " + ip.String()
	}
	prefix, _ := ip.WithZone("").Prefix(64) // of IPv6 there is one
	return "address " + prefix.String()
}

// LimitsOf returns the limits of an access key; nil is a client without one.
func (p *Policy) LimitsOf(key *AccessKey) RequestLimits {
	if key == nil {
		return p.Limits.PerKey
	}
	return key.Limits
}
