package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestProviderTimeouts: each attempt at a complete response has its provider's
// per_request_timeout, whatever came before it. Streams have the longest of their attempts,
// and each its provider's stream_idle_timeout.
func TestProviderTimeouts(t *testing.T) {
	t.Parallel()
	const (
		short = time.Second
		load  = 3 * time.Second // of the local model
	)
	cloud := recorder.Start(t, recorder.WithName("cloud"))
	local := recorder.Start(t, recorder.WithName("local"))
	_, port, _ := strings.Cut(strings.TrimPrefix(local.URL(), "http://"), ":")
	g := gatewaytest.Start(t, fmt.Sprintf(`
connect_to: {"named.internal:80": "localhost:%s"}
allow_http_hosts: [named.internal]
on_http_request:
  - type: ai-gateway
    config:
      total_timeout: 1m
      stream_idle_timeout: 40s
      outlier_detection: {disabled: true}
      providers:
        - {id: cloud, base_url: %s, per_request_timeout: %s}
        - {id: local, base_url: "http://named.internal", per_request_timeout: 45s, stream_idle_timeout: 2s}
`, port, cloud.URL(), short))
	loading := func(x *recorder.Exchange) {
		select {
		case <-time.After(load):
			recorder.Default(x)
		case <-x.HTTP.Context().Done():
		}
	}
	for _, c := range []struct {
		name, models string
		cloud, local recorder.Response
		stream       bool
		want         string // status, attempts
		least, most  time.Duration
	}{
		{"the first attempt is short", `"cloud:m","local:m"`, recorder.Silence, loading, false, "200 2", short + load, 20 * time.Second},
		{"the second attempt is short", `"local:m","cloud:m"`, recorder.Silence, recorder.ResetBeforeHeaders, false, "504 2", short, 20 * time.Second},
		{"the only attempt is long", `"local:m"`, nil, loading, false, "200 1", load, 20 * time.Second},
		{"the only attempt is short", `"cloud:m"`, recorder.Silence, nil, false, "504 1", short, 20 * time.Second},
		{"a stream that loads", `"local:m","cloud:m"`, nil, loading, true, "200 1", load, 20 * time.Second},
		{"a stream at a short one", `"cloud:m"`, recorder.Silence, nil, true, "504 1", short, 20 * time.Second},
		{"a stream that takes longer than its provider's timeout", `"cloud:m"`, recorder.SlowEvents(6, short/4), nil, true, "200 1", short * 5 / 4, 20 * time.Second},
		{"a silence of the second provider", `"cloud:m","local:m"`, recorder.ResetBeforeHeaders, recorder.StallMidStream(2), true, "200 2 cut", 2 * time.Second, 20 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud.Reset()
			local.Reset()
			if c.cloud != nil {
				cloud.Script(c.cloud)
			}
			if c.local != nil {
				local.Script(c.local)
			}
			start := time.Now()
			r := g.Post("/v1/chat/completions", fmt.Sprintf(`{"models":[%s],"messages":[],"stream":%t}`, c.models, c.stream))
			took := time.Since(start)
			got := fmt.Sprint(r.Status, " ", r.Header.Get("X-Weir-Attempts"))
			if r.Err != nil {
				got += " cut"
			}
			if got != c.want || took < c.least || took > c.most {
				t.Errorf("%s after %v, want %s after %v to %v: %s", got, took, c.want, c.least, c.most, r.Body)
			}
		})
	}
}
