package xds_test

import (
	"bytes"
	"net/netip"
	"os"
	"slices"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"google.golang.org/protobuf/proto"

	"weir/policy"
	"weir/xds"
)

// TestEnvoyGetsWhatWasBuilt: what is kept of the clusters is not the messages,
// but Envoy gets the bytes of these.
func TestEnvoyGetsWhatWasBuilt(t *testing.T) {
	p, _, problems := policy.Load(policy.Source{File: "weir.yaml", Getenv: func(string) string { return "" }, ReadFile: os.ReadFile, Data: []byte(`
allow_http_hosts: [192.0.2.1]
on_http_request:
- type: ai-gateway
  config:
    providers:
    - {id: named, base_url: "https://provider.internal/v1", tls: {insecure_skip_verify: true}, api_keys: [{value: one}, {value: two}]}
    - {id: address, base_url: "http://192.0.2.1:8080", headers: {x-team: a}}
    - {id: local, base_url: "http://localhost:11434"}
`)})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	set, err := xds.Resources(p, nil, xds.Options{ControlCluster: "weir", LogCluster: "weir-log", Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}})
	if err != nil {
		t.Fatal(err)
	}
	built := map[string]*clusterv3.Cluster{}
	var names []string
	for _, r := range set.Clusters {
		c := r.(*clusterv3.Cluster)
		built[c.Name], names = c, append(names, c.Name)
	}
	slices.Sort(names)

	s := newTestServer(t)
	s.mustPublish(t, set)
	c := s.connect(t, "one")
	c.subscribe(clusters)
	for _, r := range c.expect(clusters, names, nil).GetResources() {
		bytesBuilt, err := cachev3.MarshalResource(built[r.GetName()])
		if err != nil {
			t.Fatal(err)
		}
		if got := r.GetResource().GetValue(); !bytes.Equal(got, bytesBuilt) {
			t.Errorf("%s: %d bytes, want %d", r.GetName(), len(got), len(bytesBuilt))
		}
		if r.GetVersion() != cachev3.HashResource(bytesBuilt) {
			t.Errorf("%s: version %s", r.GetName(), r.GetVersion())
		}
		got := &clusterv3.Cluster{}
		if err := r.GetResource().UnmarshalTo(got); err != nil || !proto.Equal(got, built[r.GetName()]) {
			t.Errorf("%s: got %v (%v)\nwant %v", r.GetName(), got, err, built[r.GetName()])
		}
	}
}
