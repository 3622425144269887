package policy

import (
	"strings"
	"testing"

	"weir/policy/config"
)

func TestClientLimits(t *testing.T) {
	load := func(limits string) (*Policy, config.Problems) {
		p, _, problems := Load(Source{File: "weir.yaml", Data: []byte("limits: {" + limits + "}"), Getenv: func(string) string { return "" }})
		return p, problems
	}
	p, problems := load("")
	if problems != nil {
		t.Fatal(problems)
	}
	if p.Client.RequestHeaders != 100 || p.Client.RequestHeaderBytes != 61440 || p.Client.Streams != 100 || p.EnvoyHeapBytes != 0 || p.WeirMemoryBytes != 0 {
		t.Errorf("%+v", p.Client)
	}
	p, problems = load("envoy_heap_bytes: 67108864, weir_memory_bytes: 1073741824, max_request_headers: 20, max_request_header_bytes: 4096, " +
		"max_streams_per_connection: 1, stream_window_bytes: 65535, connection_window_bytes: 65535, client_buffer_bytes: 65536")
	if problems != nil {
		t.Fatal(problems)
	}
	if want := (ClientLimits{20, 4096, 1, 65535, 65535, 65536}); p.Client != want || p.EnvoyHeapBytes != 64<<20 || p.WeirMemoryBytes != 1<<30 {
		t.Errorf("%+v, want %+v", p.Client, want)
	}
	for _, c := range []struct{ limits, want string }{
		{"envoy_heap_bytes: 1000", "limits.envoy_heap_bytes: must be from 67108864 to 1099511627776"},
		{"weir_memory_bytes: -1", "limits.weir_memory_bytes: must be from 67108864 to"},
		{"max_request_headers: 19", "limits.max_request_headers: must be from 20 to 1000"},
		{"max_request_header_bytes: 600000", "limits.max_request_header_bytes: must be from 4096 to 524288"},
		{"max_streams_per_connection: 10001", "limits.max_streams_per_connection: must be from 1 to 10000"},
		{"stream_window_bytes: 65534", "limits.stream_window_bytes: must be from 65535 to 16777216"},
		{"stream_window_bytes: 1048576, connection_window_bytes: 1000000", "limits.connection_window_bytes: must be from limits.stream_window_bytes, which is 1048576, to 67108864"},
		{"client_buffer_bytes: 1", "limits.client_buffer_bytes: must be from 65536 to 67108864"},
	} {
		if _, problems := load(c.limits); problems == nil || !strings.Contains(problems.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.limits, problems, c.want)
		}
	}
}
