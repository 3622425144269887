package retire

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"weir/policy"
)

func TestCredentials(t *testing.T) {
	load := func(key, provider string) *policy.Policy {
		p, _, problems := policy.Load(policy.Source{
			File: "weir.yaml", Getenv: func(string) string { return "" }, ReadFile: func(string) ([]byte, error) { return nil, nil },
			Data: fmt.Appendf(nil, "providers: [{id: %s, base_url: http://a.internal, api_keys: [{value: %s}]}, {id: other, base_url: http://b.internal, api_keys: [{value: same}]}]", provider, key),
		})
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		return p
	}
	cluster := func(p *policy.Policy, provider string) string {
		i := slices.IndexFunc(p.Clusters, func(c *policy.Cluster) bool { return c.Provider == provider })
		return p.Clusters[i].Name
	}
	now := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	c := NewCredentials(func() time.Time { return now })
	want := func(p *policy.Policy, provider string, values ...string) {
		t.Helper()
		c.Sweep()
		got := c.Of(cluster(p, provider))
		slices.Sort(got)
		if !slices.Equal(got, values) {
			t.Errorf("%q, want %q", got, values)
		}
	}
	first, second, renamed := load("one", "a"), load("two", "a"), load("two", "b")
	c.Keep(first, second, time.Minute)
	want(first, "a", "one")
	want(first, "other")
	now = now.Add(30 * time.Second)
	c.Keep(second, first, time.Second)
	c.Keep(second, renamed, time.Minute)
	c.Keep(second, first, time.Second) // the longer time stays
	want(first, "a", "one", "two")
	now = now.Add(45 * time.Second)
	want(first, "a", "two")
	now = now.Add(15 * time.Second)
	want(first, "a")
	if len(c.until) != 0 {
		t.Errorf("%d clusters are kept", len(c.until))
	}
}
