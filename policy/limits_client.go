package policy

import "fmt"

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
	minMaxRequestHeaders, maxMaxRequestHeaders             = 20, 1000
	minMaxRequestHeaderBytes, maxMaxRequestHeaderBytes     = 4 << 10, 512 << 10
	minMaxStreamsPerConnection, maxMaxStreamsPerConnection = 1, 10_000
	minStreamWindowBytes, maxStreamWindowBytes             = 1<<16 - 1, 16 << 20 // Envoy takes no smaller window
	maxConnectionWindowBytes                               = 64 << 20
	minClientBufferBytes, maxClientBufferBytes             = 64 << 10, 64 << 20
	// minMemoryBytes is the least that makes sense: an idle Envoy takes half of it.
	minMemoryBytes, maxMemoryBytes = 64 << 20, 1 << 40
)

// ClientLimits bound what one connection of a client may take.
type ClientLimits struct {
	RequestHeaders, RequestHeaderBytes       int
	Streams                                  int
	StreamWindowBytes, ConnectionWindowBytes int
	BufferBytes                              int
}

// clientLimits reads the limits of connections.
func (l *loader) clientLimits(p *Policy) {
	c := l.cfg.Limits
	p.Client = ClientLimits{
		RequestHeaders:     l.within("limits.max_request_headers", c.MaxRequestHeaders, DefaultMaxRequestHeaders, minMaxRequestHeaders, maxMaxRequestHeaders),
		RequestHeaderBytes: l.within("limits.max_request_header_bytes", c.MaxRequestHeaderBytes, DefaultMaxRequestHeaderBytes, minMaxRequestHeaderBytes, maxMaxRequestHeaderBytes),
		Streams:            l.within("limits.max_streams_per_connection", c.MaxStreamsPerConnection, DefaultMaxStreamsPerConnection, minMaxStreamsPerConnection, maxMaxStreamsPerConnection),
		StreamWindowBytes:  l.within("limits.stream_window_bytes", c.StreamWindowBytes, DefaultStreamWindowBytes, minStreamWindowBytes, maxStreamWindowBytes),
		BufferBytes:        l.within("limits.client_buffer_bytes", c.ClientBufferBytes, DefaultClientBufferBytes, minClientBufferBytes, maxClientBufferBytes),
	}
	window := p.Client.StreamWindowBytes
	p.Client.ConnectionWindowBytes = max(DefaultConnectionWindowBytes, window)
	if c.ConnectionWindowBytes != 0 {
		p.Client.ConnectionWindowBytes = c.ConnectionWindowBytes
		if c.ConnectionWindowBytes < window || c.ConnectionWindowBytes > maxConnectionWindowBytes {
			l.problem("limits.connection_window_bytes", "must be from limits.stream_window_bytes, which is %d, to %d", window, maxConnectionWindowBytes)
		}
	}
	p.EnvoyHeapBytes = uint64(l.within("limits.envoy_heap_bytes", int(c.EnvoyHeapBytes), 0, minMemoryBytes, maxMemoryBytes))
	p.WeirMemoryBytes = uint64(l.within("limits.weir_memory_bytes", int(c.WeirMemoryBytes), 0, minMemoryBytes, maxMemoryBytes))
}

// within returns a number of the configuration, or its default where it is 0.
func (l *loader) within(path string, value, otherwise, least, most int) int {
	if value == 0 {
		return otherwise
	}
	if value < least || value > most {
		l.problem(path, "must be from %d to %d", least, most)
		return otherwise
	}
	return value
}

// AdmitHeaders checks the number and the size of a request's headers, those that
// Envoy adds left out.
func (p *Policy) AdmitHeaders(n, size int) error {
	if n <= p.Client.RequestHeaders && size <= p.Client.RequestHeaderBytes {
		return nil
	}
	return p.HeadersTooLarge()
}

// HeadersTooLarge is the refusal of a request whose headers are over a limit.
func (p *Policy) HeadersTooLarge() *Error {
	size := fmt.Sprintf("%d bytes", p.Client.RequestHeaderBytes)
	if p.Client.RequestHeaderBytes%1024 == 0 {
		size = fmt.Sprintf("%d KiB", p.Client.RequestHeaderBytes/1024)
	}
	err := Errorf(RequestTooLarge, "the request headers are larger than %s, or more than %d", size, p.Client.RequestHeaders)
	err.status = 431
	return err
}

// effectiveLimits are the limits with their defaults written out.
func (p *Policy) effectiveLimits() LimitsConfig {
	c := p.Config.Limits
	c.MaxRequestHeaders, c.MaxRequestHeaderBytes = p.Client.RequestHeaders, p.Client.RequestHeaderBytes
	c.MaxStreamsPerConnection = p.Client.Streams
	c.StreamWindowBytes, c.ConnectionWindowBytes = p.Client.StreamWindowBytes, p.Client.ConnectionWindowBytes
	c.ClientBufferBytes = p.Client.BufferBytes
	return c
}
