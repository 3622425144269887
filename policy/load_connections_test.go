package policy

import (
	"strings"
	"testing"
	"time"

	"weir/llm"
	"weir/llm/body"
)

func TestConnections(t *testing.T) {
	for _, c := range []struct {
		fields string
		want   Connections
		err    string
	}{
		{"base_url: http://p.internal", Connections{IdleTimeout: 1500 * time.Millisecond, MaxDuration: 10 * time.Minute}, ""},
		{"base_url: https://p.example", Connections{IdleTimeout: 50 * time.Second, MaxDuration: 10 * time.Minute}, ""},
		{"base_url: http://p.internal, http2: true, idle_timeout: 20s, max_connection_duration: 1m", Connections{HTTP2: true, IdleTimeout: 20 * time.Second, MaxDuration: time.Minute}, ""},
		{"base_url: http://p.internal, idle_timeout: 9ms", Connections{}, "providers[0].idle_timeout: 9ms is out of range: write a duration from 10ms to 1h"},
		{"base_url: http://p.internal, idle_timeout: 61m", Connections{}, "providers[0].idle_timeout: 1h1m0s is out of range: write a duration from 10ms to 1h"},
		{"base_url: http://p.internal, max_connection_duration: 999ms", Connections{}, "providers[0].max_connection_duration: 999ms is out of range: write a duration from 1s to 24h"},
		{"base_url: http://p.internal, max_connection_duration: 25h", Connections{}, "providers[0].max_connection_duration: 25h0m0s is out of range: write a duration from 1s to 24h"},
		{"base_url: http://p.internal, http2: maybe", Connections{}, "providers[0].http2: "},
	} {
		p, _, problems := Load(newWorld().source("providers: [{id: p, " + c.fields + "}]"))
		if c.err != "" {
			if err := problems.Err(); err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %s", c.fields, err, c.err)
			}
			continue
		}
		if err := problems.Err(); err != nil {
			t.Errorf("%s: %v", c.fields, err)
			continue
		}
		for _, cluster := range p.Clusters {
			if cluster.Provider == "p" && cluster.Connections != c.want {
				t.Errorf("%s: %+v, want %+v", c.fields, cluster.Connections, c.want)
			}
		}
	}
}

// An HTTP/2 connection of the client is no place to hold a response.
func TestNothingIsHeldForMultiplexedClients(t *testing.T) {
	p := newWorld().load(t, "providers: [{id: a, base_url: http://a.internal, models: [{id: m}]}, {id: b, base_url: http://b.internal, models: [{id: m}]}]")
	for _, multiplexed := range []bool{false, true} {
		var parsed body.Body
		if err := body.ReadJSON([]byte(`{"model":"m"}`), &parsed); err != nil {
			t.Fatal(err)
		}
		plan, err := p.Plan(&Request{Endpoint: llm.EndpointAt(llm.ChatCompletionsPath), Body: &parsed, Multiplexed: multiplexed, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if plan.Gate.Hold == multiplexed {
			t.Errorf("multiplexed %t: held %t", multiplexed, plan.Gate.Hold)
		}
	}
}
