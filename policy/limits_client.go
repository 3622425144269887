package policy

import (
	"fmt"

	"weir/llm"
	"weir/policy/config"
)

// ClientLimits bound what one connection of a client may use.
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
		RequestHeaders:     l.within("limits.max_request_headers", c.MaxRequestHeaders, config.DefaultMaxRequestHeaders, config.MinMaxRequestHeaders, config.MaxMaxRequestHeaders),
		RequestHeaderBytes: l.within("limits.max_request_header_bytes", c.MaxRequestHeaderBytes, config.DefaultMaxRequestHeaderBytes, config.MinMaxRequestHeaderBytes, config.MaxMaxRequestHeaderBytes),
		Streams:            l.within("limits.max_streams_per_connection", c.MaxStreamsPerConnection, config.DefaultMaxStreamsPerConnection, config.MinMaxStreamsPerConnection, config.MaxMaxStreamsPerConnection),
		StreamWindowBytes:  l.within("limits.stream_window_bytes", c.StreamWindowBytes, config.DefaultStreamWindowBytes, config.MinStreamWindowBytes, config.MaxStreamWindowBytes),
		BufferBytes:        l.within("limits.client_buffer_bytes", c.ClientBufferBytes, config.DefaultClientBufferBytes, config.MinClientBufferBytes, config.MaxClientBufferBytes),
	}
	window := p.Client.StreamWindowBytes
	p.Client.ConnectionWindowBytes = max(config.DefaultConnectionWindowBytes, window)
	if c.ConnectionWindowBytes != 0 {
		p.Client.ConnectionWindowBytes = c.ConnectionWindowBytes
		if c.ConnectionWindowBytes < window || c.ConnectionWindowBytes > config.MaxConnectionWindowBytes {
			l.problem("limits.connection_window_bytes", "must be from limits.stream_window_bytes, which is %d, to %d", window, config.MaxConnectionWindowBytes)
		}
	}
	p.EnvoyHeapBytes = uint64(l.within("limits.envoy_heap_bytes", int(c.EnvoyHeapBytes), 0, config.MinMemoryBytes, config.MaxMemoryBytes))
	p.WeirMemoryBytes = uint64(l.within("limits.weir_memory_bytes", int(c.WeirMemoryBytes), 0, config.MinMemoryBytes, config.MaxMemoryBytes))
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

// admitHeaders checks the number and the size of a request's headers, without those
// that Envoy adds.
func (p *Policy) admitHeaders(n, size int) error {
	if n <= p.Client.RequestHeaders && size <= p.Client.RequestHeaderBytes {
		return nil
	}
	return p.HeadersTooLarge()
}

// HeadersTooLarge returns the error for a request whose headers exceed a limit.
func (p *Policy) HeadersTooLarge() *llm.Error {
	size := fmt.Sprintf("%d bytes", p.Client.RequestHeaderBytes)
	if p.Client.RequestHeaderBytes%1024 == 0 {
		size = fmt.Sprintf("%d KiB", p.Client.RequestHeaderBytes/1024)
	}
	err := llm.Errorf(llm.RequestTooLarge, "the request headers are larger than %s, or more than %d", size, p.Client.RequestHeaders)
	err.StatusCode = 431
	return err
}

// effectiveLimits are the limits with their defaults written out.
func (p *Policy) effectiveLimits() config.LimitsConfig {
	c := p.Config.Limits
	c.MaxRequestHeaders, c.MaxRequestHeaderBytes = p.Client.RequestHeaders, p.Client.RequestHeaderBytes
	c.MaxStreamsPerConnection = p.Client.Streams
	c.StreamWindowBytes, c.ConnectionWindowBytes = p.Client.StreamWindowBytes, p.Client.ConnectionWindowBytes
	c.ClientBufferBytes = p.Client.BufferBytes
	return c
}
