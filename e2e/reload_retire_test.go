package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"weir/gateway/retire"
	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

var activeClusters = regexp.MustCompile(`cluster_manager\.active_clusters: ([0-9]+)`)

func clustersOf(t *testing.T, g *gatewaytest.Gateway) int {
	t.Helper()
	stats, err := g.EnvoyAdmin.Get(t.Context(), "/stats?filter=cluster_manager.active_clusters")
	if err != nil {
		t.Fatal(err)
	}
	m := activeClusters.FindSubmatch(stats)
	if m == nil {
		t.Fatalf("no number of clusters in %s", stats)
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

// Reloads that replace all clusters, under load: no request is lost, and Envoy
// keeps a bounded number of clusters, and none of the old ones for long.
func TestManyReloads(t *testing.T) {
	t.Parallel()
	const providers, reloads = 40, 12
	p, down := recorder.Start(t), gatewaytest.FreeAddr(t)
	config := func(generation int) string {
		var b strings.Builder
		b.WriteString("telemetry: {access_log: 'off'}\non_http_request:\n  - type: ai-gateway\n    config:\n      only_allow_configured_providers: true\n      outlier_detection: {disabled: true}\n      providers:\n")
		fmt.Fprintf(&b, "        - {id: down, base_url: 'http://%s', headers: {x-generation: '%d'}, models: [{id: m}]}\n", down, generation)
		for i := range providers {
			fmt.Fprintf(&b, "        - {id: p%d, base_url: %q, headers: {x-generation: '%d'}, models: [{id: m}]}\n", i, p.URL(), generation)
		}
		return b.String()
	}
	g := gatewaytest.Start(t, config(0))
	before := clustersOf(t, g)
	l := newLoad(t, g.URL)
	l.chat(`{"model":"p1:m","messages":[]}`, "m", p)
	l.chat(`{"model":"m","messages":[]}`, "m", p) // after a failed attempt
	most := 0
	for i := range reloads {
		g.Reload(config(i + 1))
		most = max(most, clustersOf(t, g))
	}
	if limit := before + (retire.MaxWhole+1)*(providers+1); most > limit {
		t.Errorf("%d clusters while reloading, want at most %d", most, limit)
	}
	gatewaytest.Eventually(t, "the old clusters to go", func() bool { return clustersOf(t, g) == before })
	l.end()
	t.Logf("%d requests; %d clusters before, at most %d", l.sent.Load(), before, most)
	if got := p.Last(t).Header.Get("X-Generation"); got != strconv.Itoa(reloads) {
		t.Errorf("the last request had the configuration %s", got)
	}
}

// A request that waits for its first attempt finds the cluster of its second one,
// however long ago the configuration was replaced; the others are gone by then.
func TestFailoverToReplacedCluster(t *testing.T) {
	t.Parallel()
	slow, spare, other := recorder.Start(t, recorder.WithName("slow")), recorder.Start(t, recorder.WithName("spare")), recorder.Start(t, recorder.WithName("other"))
	release := make(chan struct{})
	slow.Respond(func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		<-release
		panic(http.ErrAbortHandler)
	})
	const config = "on_http_request: [{type: ai-gateway, config: {only_allow_configured_providers: true, providers: [%s]}}]"
	provider := func(id string, p *recorder.Provider) string {
		return fmt.Sprintf("{id: %s, base_url: %q, models: [{id: m}]}", id, p.URL())
	}
	g := gatewaytest.Start(t, fmt.Sprintf(config, strings.Join([]string{provider("slow", slow), provider("spare", spare), provider("unused", other)}, ", ")))
	answer := background(t, g, `{"models":["slow:m","spare:m"],"messages":[]}`)
	slow.WaitRequests(t, 1)
	g.Reload(fmt.Sprintf(config, provider("next", other)))
	has := func(id string) bool {
		clusters, err := g.EnvoyAdmin.Get(t.Context(), "/clusters")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(clusters), "weir/"+id+"/")
	}
	gatewaytest.Eventually(t, "what nobody needs to go", func() bool { return !has("unused") })
	if !has("spare") {
		t.Error("the cluster of the next attempt is gone")
	}
	close(release)
	if a := answer(); a.Status != 200 || a.Header.Get("X-Weir-Provider") != "spare" || a.Header.Get("X-Weir-Attempts") != "2" {
		t.Errorf("response %d %s of %s", a.Status, a.Body, a.Header.Get("X-Weir-Provider"))
	}
	gatewaytest.Eventually(t, "the rest to go", func() bool { return !has("spare") && !has("slow") })
}
