package xds_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"weir/policy"
	"weir/xds"
)

func TestConnectionsPerHost(t *testing.T) {
	providers := func(n int, form string) string {
		var b strings.Builder
		b.WriteString("providers:\n")
		for i := range n {
			fmt.Fprintf(&b, "- "+form+"\n", i)
		}
		return b.String()
	}
	for _, c := range []struct {
		config string
		total  int
		want   int
	}{
		{"listen: 127.0.0.1:1\n", 1000, 2048}, // no host, no connection
		{providers(1, "{id: p%d, base_url: http://10.0.0.1}"), 0, 2048},
		{providers(1, "{id: p%d, base_url: http://10.0.0.1}"), 464, 464},
		{providers(2, "{id: p%d, base_url: http://10.0.0.1}"), 464, 232},
		{providers(3, "{id: p%d, base_url: http://10.0.0.1}"), 464, 116},
		{providers(4, "{id: p%d, base_url: http://10.0.0.1}"), 464, 116},
		{providers(5, "{id: p%d, base_url: http://10.0.0.1}"), 464, 64},
		{providers(1000, "{id: p%d, base_url: http://10.0.0.1}"), 9952, 64},
		{providers(60, "{id: p%d, base_url: http://10.0.0.1}"), 400000, 2048},
		{providers(60, "{id: p%d, base_url: http://10.0.0.1}"), 16, 16},
		// Clusters of one name share their connections.
		{providers(3, "{id: p%d, base_url: http://models.internal, api_keys: [{value: a}, {value: b}]}"), 464, 464},
		{providers(3, "{id: p%d, base_url: https://models.internal, api_keys: [{value: a}, {value: b}]}"), 464, 464},
		{providers(1, "{id: p%d, base_url: https://models.internal}") + "- {id: q, base_url: http://models.internal:443}\n", 464, 232},
		{"limits: {max_provider_connections: 7}\n" + providers(2, "{id: p%d, base_url: http://10.0.0.1}"), 464, 7},
		{"limits: {max_provider_connections: 300}\n" + providers(2, "{id: p%d, base_url: http://10.0.0.1}"), 464, 232},
	} {
		p := load(t, c.config)
		if got := xds.ConnectionsPerHost(p, c.total); got != c.want {
			t.Errorf("%d of %d for\n%s", got, c.total, c.config)
		}
	}
}

// Every cluster that keeps connections has the limit.
func TestBreakers(t *testing.T) {
	p := load(t, "providers: [{id: a, base_url: http://10.0.0.1}, {id: b, base_url: https://models.internal}]\n")
	set, err := xds.Resources(p, nil, xds.Options{Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}, ConnectionsPerHost: 9})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, r := range set.Clusters {
		c := r.(*clusterv3.Cluster)
		for _, limit := range c.CircuitBreakers.GetThresholds() {
			seen++
			if limit.MaxConnections.Value != 9 || limit.MaxPendingRequests.Value != 9 {
				t.Errorf("%s: %v", c.Name, limit)
			}
		}
	}
	if seen != 3 { // one of a, two of b
		t.Errorf("%d clusters with limits", seen)
	}
}

func load(t *testing.T, config string) *policy.Policy {
	t.Helper()
	p, _, problems := policy.Load(policy.Source{File: "weir.yaml", Data: []byte(config), Getenv: func(string) string { return "" }, ReadFile: os.ReadFile})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}
