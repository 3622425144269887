package e2e

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

var resourceVersion = regexp.MustCompile(`"(version_info|last_updated)": "[^"]*"`)

// TestAccessKeysReload: a change of access keys is in force at the next request, and
// Envoy hears nothing of it. A request that runs with a key that is revoked goes on.
func TestAccessKeysReload(t *testing.T) {
	t.Parallel()
	const revoked, kept, added = "key-that-is-revoked", "key-that-is-kept-0", "key-that-is-added-0"
	p := recorder.Start(t)
	secrets := t.TempDir()
	write(t, secrets+"/clients/kept", kept)
	config := func(keys string) string {
		return fmt.Sprintf("secrets: {dir: %s}\naccess_keys:\n  - {name: kept, value: \"${secrets.get('clients', 'kept')}\"}\n%sproviders: [{id: p, base_url: %q, models: [{id: m}]}]\n", secrets, keys, p.URL())
	}
	g := gatewaytest.Start(t, config("  - {name: revoked, value: "+revoked+"}\n"))
	gate := make(chan struct{})
	p.Script(recorder.Gated(gate))
	running := open(t, http1(t), g.URL, `{"model":"p:m","stream":true}`, bearer(revoked)...)
	inUse(t, g, 1)

	// The versions of Envoy's resources, and when it took each.
	dump := func() []string {
		t.Helper()
		b, err := g.EnvoyAdmin.Get(t.Context(), "/config_dump")
		if err != nil {
			t.Fatal(err)
		}
		all := resourceVersion.FindAllString(string(b), -1)
		if len(all) < 6 { // of a cluster, the listener and the route
			t.Fatalf("too few resources: %q", all)
		}
		slices.Sort(all)
		return all
	}
	version := func() string {
		t.Helper()
		for line := range strings.Lines(g.Admin("/metrics")) {
			if strings.HasPrefix(line, "weir_config_info{") {
				return line
			}
		}
		return ""
	}
	ask := func(t *testing.T, want map[string]int) {
		t.Helper()
		for key, status := range want {
			if a := g.Post("/v1/chat/completions", `{"model":"p:m"}`, bearer(key)...); a.Status != status {
				t.Errorf("%s: %d %s, want %d", key, a.Status, a.Body, status)
			}
		}
	}
	ask(t, map[string]int{revoked: 200, kept: 200, added: 401})
	sent, dumped, before := counters(t, g), dump(), version()
	for _, change := range []struct {
		name string
		make func()
		want map[string]int
	}{
		{"one is revoked", func() { g.Write(config("")) }, map[string]int{revoked: 401, kept: 200, added: 401}},
		{"one is added", func() { g.Write(config("  - {name: added, value: " + added + "}\n")) }, map[string]int{revoked: 401, kept: 200, added: 200}},
		{"one has another value", func() { write(t, secrets+"/clients/kept", kept+"-2") }, map[string]int{kept: 401, kept + "-2": 200, added: 200}},
	} {
		stage(t, change.name, func(t *testing.T) {
			waitInForce(t, g, change.make)
			ask(t, change.want)
			if now := version(); now != before {
				t.Errorf("version %s, before %s", now, before)
			}
		})
	}
	if now := counters(t, g); !maps.Equal(now, sent) {
		t.Errorf("Envoy's counters are %v, before %v", now, sent)
	}
	if diff := cmp.Diff(dumped, dump()); diff != "" {
		t.Errorf("Envoy's resources (-before +now):\n%s", diff)
	}
	if n := metric(t, g, "weir_access_key_changes_total"); n != "3" {
		t.Errorf("%s changes of access keys", n)
	}
	close(gate)
	if body, err := io.ReadAll(running.lines); err != nil || !strings.HasSuffix(string(body), "data: [DONE]\n\n") {
		t.Errorf("the request that ran: %v, %q", err, body)
	}
}
