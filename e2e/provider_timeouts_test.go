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
        - {id: local, base_url: "http://named.internal", per_request_timeout: 45s, stream_idle_timeout: 2s, strict_stream_end: true}
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

// TestProviderStrictEnd: strict_stream_end of a provider holds for its own streams, whatever
// attempt they are, and not for those of others.
func TestProviderStrictEnd(t *testing.T) {
	t.Parallel()
	loose := recorder.Start(t, recorder.WithName("loose"))
	strict := recorder.Start(t, recorder.WithName("strict"))
	g := gatewaytest.Start(t, fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      outlier_detection: {disabled: true}
      providers:
        - {id: loose, base_url: %s}
        - {id: strict, base_url: %s, strict_stream_end: true}
`, loose.URL(), strict.URL()))
	half := "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half\"}}]}\n\n"
	for _, c := range []struct {
		models        string
		loose, strict recorder.Response
		want          bool
	}{
		{`"strict:m"`, nil, recorder.Events(half), true},
		{`"loose:m"`, recorder.Events(half), nil, false},
		{`"strict:m","loose:m"`, nil, recorder.Events(half), true},
		{`"loose:m","strict:m"`, recorder.Events(half), nil, false},
		{`"loose:m","strict:m"`, recorder.Error(503), recorder.Events(half), true},
		{`"strict:m","loose:m"`, recorder.Events(half), recorder.Error(503), false},
	} {
		loose.Reset()
		strict.Reset()
		if c.loose != nil {
			loose.Script(c.loose)
		}
		if c.strict != nil {
			strict.Script(c.strict)
		}
		r := g.Post("/v1/chat/completions", fmt.Sprintf(`{"models":[%s],"messages":[],"stream":true}`, c.models))
		if got := strings.Contains(r.Body, `"stream_truncated"`); r.Status != 200 || r.Err != nil || got != c.want || !strings.HasPrefix(r.Body, half) {
			t.Errorf("%s: %d, %v, error event %t, want %t: %s", c.models, r.Status, r.Err, got, c.want, r.Body)
		}
	}
}
