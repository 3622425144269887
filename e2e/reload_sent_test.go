package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestOnlyWhatChangedIsSent reads Envoy's own counters: nothing that did not
// change is sent to it again, and no connection is lost that could be kept.
func TestOnlyWhatChangedIsSent(t *testing.T) {
	alpha, beta := recorder.Start(t, recorder.WithName("alpha")), recorder.Start(t, recorder.WithName("beta"))
	secrets := t.TempDir()
	write(t, secrets+"/store/key", "key-of-alpha-1")
	c := setup{
		// With one worker thread, each provider has one pool of connections. By
		// default the limit of each depends on how many providers there are.
		top: fmt.Sprintf("envoy: {concurrency: 1}\nlimits: {max_provider_connections: 100}\nsecrets: {dir: %s}\nconnect_to: {'beta.internal:80': 'beta.localhost:%s'}", secrets, port(t, beta)),
		providers: []string{
			"id: alpha, base_url: " + alpha.URL() + ", api_keys: [{value: \"${secrets.get('store', 'key')}\"}]",
			"id: beta, base_url: http://beta.internal, api_keys: [{value: key-of-beta-1}]",
		},
	}
	g := gatewaytest.Start(t, c.String())
	conns := func() [2]int {
		t.Helper()
		for _, body := range []string{`{"model":"alpha:m"}`, `{"model":"beta:m"}`} {
			if a := g.Post("/v1/chat/completions", body); a.Status != http.StatusOK {
				t.Fatalf("response %d %s", a.Status, a.Body)
			}
		}
		return [2]int{alpha.Conns(), beta.Conns()}
	}
	route := map[string]int{"http.weir.rds.weir.config_reload": 1}
	cases := []struct {
		name   string
		change func()
		want   map[string]int
		conns  [2]int // that are new
	}{
		{"nothing", func() { hup(t, g) }, map[string]int{}, [2]int{}},
		{"a comment", func() { c.top += "\n# comment" }, map[string]int{}, [2]int{}},
		{"a key in the secrets' folder", func() { write(t, secrets+"/store/key", "key-of-alpha-2") }, map[string]int{"sds.weir/alpha/#.update_success": 1}, [2]int{}},
		{"a key in the file", func() { c.providers[1] = strings.Replace(c.providers[1], "beta-1", "beta-2", 1) }, map[string]int{"sds.weir/beta/#.update_success": 1}, [2]int{}},
		{"models", func() { c.providers[1] += ", models: [{id: m}]" }, map[string]int{}, [2]int{}},
		{"failover_on", func() { c.gateway = "failover_on: [500]" }, route, [2]int{}},
		{"timeouts", func() { c.gateway = "per_request_timeout: 20s" }, route, [2]int{}},
		{"max_body_bytes", func() { c.top += "\nmax_body_bytes: 4096" }, route, [2]int{}},
		// All strip the same headers. The connections to a host that is looked
		// up belong to the cluster of that host, which does not change.
		{"a header of one provider", func() { c.providers[1] += ", headers: {x-plain: a}" }, map[string]int{
			"cluster_manager.cds.update_success": 1, "cluster_manager.cluster_added": 2,
		}, [2]int{1, 0}},
		{"the value of that header", func() { c.providers[1] = strings.Replace(c.providers[1], "x-plain: a", "x-plain: b", 1) }, map[string]int{
			"cluster_manager.cds.update_success": 1, "cluster_manager.cluster_added": 1,
		}, [2]int{}},
		{"another provider", func() {
			c.providers = append(c.providers, "id: gamma, base_url: "+alpha.URL()+", api_keys: [{value: key-of-gamma}]")
		}, map[string]int{
			"cluster_manager.cds.update_success": 1, "cluster_manager.cluster_added": 1, "sds.weir/gamma/#.update_success": 1,
		}, [2]int{}},
		{"that provider is gone", func() { c.providers = c.providers[:2] }, map[string]int{}, [2]int{}}, // it retires
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			hadConns, had := conns(), counters(t, g)
			waitInForce(t, g, func() {
				tc.change()
				g.Write(c.String())
			})
			diff := map[string]int{}
			for name, n := range counters(t, g) {
				if n != had[name] {
					diff[name] = n - had[name]
				}
			}
			if d := cmp.Diff(tc.want, diff); d != "" {
				t.Errorf("what Envoy received (-want +got):\n%s", d)
			}
			now := conns()
			if got := [2]int{now[0] - hadConns[0], now[1] - hadConns[1]}; got != tc.conns {
				t.Errorf("new connections: %v, want %v", got, tc.conns)
			}
		})
	}
}

func hup(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	if err := g.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// counters are Envoy's own of what it received and did, without those that are
// zero.
func counters(t *testing.T, g *gatewaytest.Gateway) map[string]int {
	t.Helper()
	const filter = `^(cluster_manager\.cluster_|cluster_manager\.cds\.update|listener_manager\.(listener_|lds\.update)|http\.weir\.rds\..*(update|config_reload)$|.*sds\..*\.update).*`
	body, err := g.EnvoyAdmin.Get(t.Context(), "/stats?"+url.Values{"format": {"json"}, "type": {"Counters"}, "filter": {filter}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Stats []struct {
			Name  string
			Value int
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, s := range answer.Stats {
		_, last, _ := cutLast(s.Name, ".")
		switch last {
		case "update_attempt", "update_time", "cluster_updated", "cluster_updated_via_merge", "update_duration", "listener_create_success":
			continue // requests, and updates of hosts
		}
		if s.Value != 0 {
			counts[hexName.ReplaceAllString(s.Name, "#")] += s.Value
		}
	}
	return counts
}

var hexName = regexp.MustCompile(`[0-9a-f]{16}`)

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}
