package xds_test

import (
	"fmt"
	"strings"
	"testing"

	"weir/policy"
	"weir/xds"
)

// Check finds what is wrong inside of messages that are packed in others, and
// says which cluster it belongs to.
func TestCheck(t *testing.T) {
	load := func() *policy.Policy {
		p, _, problems := policy.Load(policy.Source{
			File: "weir.yaml", Data: []byte("providers: [{id: a, base_url: http://a.internal, api_keys: [{value: k}]}, {id: b, base_url: http://b.internal}]"),
			Getenv: func(string) string { return "" }, ReadFile: func(string) ([]byte, error) { return nil, nil },
		})
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		return p
	}
	if found := xds.Check(load()); len(found) > 0 {
		t.Errorf("in a good configuration: %v", found)
	}
	p := load()
	for _, c := range p.Clusters {
		if c.Provider == "a" {
			c.Set = append(c.Set, policy.ClusterHeader{Name: "x-long", Value: strings.Repeat("secret", 4000)}, policy.ClusterHeader{Name: "x-broken", Value: "a\nb"})
		}
	}
	found := xds.Check(p)
	if len(found) != 2 {
		t.Fatalf("found %v", found)
	}
	for i, want := range []string{"16384 bytes", "regex"} {
		if policy.ProviderOf(found[i].Cluster) != "a" || !strings.Contains(found[i].Reason, want) {
			t.Errorf("found %v, want one of a about %s", found[i], want)
		}
	}
	if strings.Contains(fmt.Sprint(found), "secret") {
		t.Errorf("shows a value: %v", found)
	}
}
