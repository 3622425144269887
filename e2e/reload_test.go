package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// setup is a configuration in parts, for tests that change one.
type setup struct {
	top       string // keys of Weir's own, a line each
	gateway   string // keys of the ai-gateway action
	providers []string
}

func (s setup) String() string {
	indent := func(n int, text string) string {
		if text == "" {
			return ""
		}
		pad := strings.Repeat(" ", n)
		return pad + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+pad) + "\n"
	}
	out := s.top + "\non_http_request:\n  - type: ai-gateway\n    config:\n" + indent(6, s.gateway) + "      providers:\n"
	for _, p := range s.providers {
		out += indent(8, "- {"+p+"}")
	}
	return out
}

// inForce counts the configurations that were put in force.
func inForce(g *gatewaytest.Gateway) int {
	return strings.Count(g.Log(), `"msg":"configuration in force"`)
}

// waitInForce makes a change and waits until it is in force.
func waitInForce(t *testing.T, g *gatewaytest.Gateway, change func()) {
	t.Helper()
	before := inForce(g)
	change()
	g.WaitLog(func([]map[string]any) bool { return inForce(g) > before }, "the change to be in force")
}

// write replaces a file at once, with the folders above it.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	next := path + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// TestReloadUnderLoad changes everything that a reload can change, with unary
// requests, streams, failovers and long streams running: none fails, none goes
// astray, none carries a key that is not its provider's.
func TestReloadUnderLoad(t *testing.T) {
	ca, newCA := recorder.NewCA(t), recorder.NewCA(t)
	providers := map[string]*recorder.Provider{}
	for _, name := range []string{"alpha", "moved", "beta", "gamma", "named", "long", "broken"} {
		providers[name] = recorder.Start(t, recorder.WithName(name))
	}
	providers["tls"] = recorder.Start(t, recorder.WithName("tls"), recorder.WithTLS("tls.internal"), recorder.WithCA(ca))
	alpha, beta, gamma, long := providers["alpha"], providers["beta"], providers["gamma"], providers["long"]
	providers["broken"].Respond(func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(http.StatusServiceUnavailable) })

	secrets := t.TempDir()
	write(t, secrets+"/beta/key", "key-of-beta-1")
	caFile := t.TempDir() + "/ca.pem"
	write(t, caFile, string(ca.PEM()))
	c := setup{
		top: fmt.Sprintf("secrets: {dir: %s}\nconnect_to: {'tls.internal:443': '%s', 'named.internal:80': 'named.localhost:%s'}",
			secrets, providers["tls"].Addr(), port(t, providers["named"])),
		gateway: "per_request_timeout: 20s\noutlier_detection: {disabled: true}",
		providers: []string{
			"id: alpha, base_url: " + alpha.URL() + ", api_keys: [{value: key-of-alpha-1}, {value: key-of-alpha-2}]",
			"id: beta, base_url: " + beta.URL() + ", api_keys: [{value: \"${secrets.get('beta', 'key')}\"}]",
			"id: tls, base_url: https://tls.internal, api_keys: [{value: key-of-tls}], tls: {ca_file: " + caFile + "}",
			"id: named, base_url: http://named.internal, api_keys: [{value: key-of-named}]",
			"id: long, base_url: " + long.URL() + ", api_keys: [{value: key-of-long}]",
			"id: broken, base_url: " + providers["broken"].URL() + ", api_keys: [{value: key-of-broken}]",
		},
	}
	keys := map[string][]string{
		"alpha": {"key-of-alpha-1", "key-of-alpha-2", "key-of-alpha-3"}, "moved": {"key-of-alpha-1", "key-of-alpha-2", "key-of-alpha-3"},
		"beta": {"key-of-beta-1", "key-of-beta-2"}, "gamma": {"key-of-gamma"}, "tls": {"key-of-tls"},
		"named": {"key-of-named"}, "long": {"key-of-long"}, "broken": {"key-of-broken"},
	}
	var all []string
	for _, values := range keys {
		all = append(all, values...)
	}
	g := gatewaytest.Start(t, c.String(), gatewaytest.Secrets(all...))

	l := newLoad(t, g.URL)
	l.chat(`{"model":"alpha:m-alpha"}`, "m-alpha", alpha, providers["moved"])
	l.chat(`{"model":"alpha:m-alpha","stream":true}`, "m-alpha", alpha, providers["moved"])
	l.chat(`{"model":"beta:m-beta"}`, "m-beta", beta)
	l.chat(`{"model":"tls:m-tls"}`, "m-tls", providers["tls"])
	l.chat(`{"model":"named:m-named","stream":true}`, "m-named", providers["named"])
	l.chat(`{"model":"broken:m-broken","models":["named:m-named"]}`, "m-named", providers["named"])
	l.chat(`{"model":"broken:m-broken","models":["alpha:m-alpha"],"stream":true}`, "m-alpha", alpha, providers["moved"])
	probe := newLoad(t, g.AdminURL)
	probe.ask(http.MethodGet, "/readyz", "", func(string) bool { return true })

	// key is what a provider is called with now.
	marked := 0
	key := func(t *testing.T, p *recorder.Provider, model string) string {
		t.Helper()
		marked++
		marker := fmt.Sprint("mark-", marked)
		if a := g.Post("/v1/chat/completions", `{"model":"`+model+`"}`, "X-Client-Request-Id", marker); a.Status != http.StatusOK {
			t.Fatalf("response %d %s", a.Status, a.Body)
		}
		for _, r := range p.Requests() {
			if r.Header.Get("X-Client-Request-Id") == marker {
				return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			}
		}
		t.Fatalf("%s received no request for %s", p.Name, model)
		return ""
	}
	wantKey := func(t *testing.T, p *recorder.Provider, model, want string) {
		t.Helper()
		if got := key(t, p, model); got != want {
			t.Errorf("%s is called with %s, want %s", p.Name, got, want)
		}
	}
	replace := func(t *testing.T, old, new string) {
		t.Helper()
		changed := false
		for i, p := range c.providers {
			c.providers[i] = strings.ReplaceAll(p, old, new)
			changed = changed || c.providers[i] != p
		}
		if !changed {
			t.Fatalf("no provider has %s", old)
		}
	}

	gate := make(chan struct{})
	var open []func() gatewaytest.Response
	hold := func(p *recorder.Provider, id string) {
		t.Helper()
		n := len(p.Requests())
		p.Script(recorder.Gated(gate))
		open = append(open, background(t, g, `{"model":"`+id+`:m-`+id+`","stream":true}`))
		p.WaitRequests(t, n+1)
	}
	var gammaLoad *load
	steps := []struct {
		name   string
		change func(t *testing.T)
		after  func(t *testing.T)
	}{
		{"add a provider", func(t *testing.T) {
			c.providers = append(c.providers, "id: gamma, base_url: "+gamma.URL()+", api_keys: [{value: key-of-gamma}]")
		}, func(t *testing.T) {
			gammaLoad = newLoad(l.t, g.URL) // beyond this stage
			gammaLoad.chat(`{"model":"gamma:m-gamma"}`, "m-gamma", gamma)
		}},
		{"rotate a key in the file", func(t *testing.T) { replace(t, "key-of-alpha-1", "key-of-alpha-3") }, func(t *testing.T) { wantKey(t, alpha, "alpha:m-alpha", "key-of-alpha-3") }},
		{"rotate a key in the secrets' folder", func(t *testing.T) { write(t, secrets+"/beta/key", "key-of-beta-2\n") }, func(t *testing.T) { wantKey(t, beta, "beta:m-beta", "key-of-beta-2") }},
		{"reorder keys", func(t *testing.T) {
			replace(t, "{value: key-of-alpha-3}, {value: key-of-alpha-2}", "{value: key-of-alpha-2}, {value: key-of-alpha-3}")
		}, func(t *testing.T) { wantKey(t, alpha, "alpha:m-alpha", "key-of-alpha-2") }},
		{"add a header, which renames every cluster", func(t *testing.T) { replace(t, "id: beta,", "id: beta, headers: {x-team-token: of-beta},") }, nil},
		{"change a header", func(t *testing.T) { replace(t, "x-team-token: of-beta", "x-team-token: of-beta-too, x-plain: plain") }, nil},
		{"timeouts", func(t *testing.T) {
			c.gateway = "per_request_timeout: 21s\ntotal_timeout: 42s\nstream_idle_timeout: 63s"
		}, nil},
		{"tls: another CA file", func(t *testing.T) {
			replace(t, caFile, caFile+".two")
			write(t, caFile+".two", string(newCA.PEM())+string(ca.PEM()))
		}, nil},
		{"tls: what is in the CA file", func(t *testing.T) { write(t, caFile+".two", string(ca.PEM())) }, nil},
		{"models", func(t *testing.T) {
			replace(t, "id: alpha,", "id: alpha, models: [{id: listed, provider_model_id: m-alpha}],")
		}, func(t *testing.T) {
			if a := g.Post("/v1/chat/completions", `{"model":"listed"}`); !strings.Contains(a.Body, alpha.ResponseText("m-alpha")) {
				t.Errorf("response %d %s", a.Status, a.Body)
			}
		}},
		{"max_body_bytes", func(t *testing.T) { c.top += "\nmax_body_bytes: 4096" }, nil},
		{"failover_on", func(t *testing.T) { c.gateway += "\nfailover_on: [503, connect_failure]" }, nil},
		{"base_url", func(t *testing.T) { replace(t, alpha.URL(), providers["moved"].URL()) }, func(t *testing.T) {
			wantKey(t, providers["moved"], "alpha:m-alpha", "key-of-alpha-2")
		}},
		{"remove a provider", func(t *testing.T) {
			gammaLoad.end()
			hold(gamma, "gamma")
			c.providers = c.providers[:len(c.providers)-1]
		}, func(t *testing.T) {
			if a := g.Post("/v1/chat/completions", `{"model":"gamma:m-gamma"}`); a.Status != http.StatusNotFound {
				t.Errorf("response %d %s after the provider was removed", a.Status, a.Body)
			}
		}},
		{"the order of providers", func(t *testing.T) { slices.Reverse(c.providers) }, nil},
		{"everything at once", func(t *testing.T) {
			replace(t, "x-team-token", "x-other-token")
			replace(t, "key-of-alpha-2", "key-of-alpha-1")
			c.gateway = "per_request_timeout: 22s"
		}, nil},
	}
	for _, s := range steps {
		stage(t, s.name, func(t *testing.T) {
			hold(long, "long")
			start, sent := time.Now(), l.sent.Load()
			waitInForce(t, g, func() {
				s.change(t)
				g.Write(c.String())
			})
			if s.after != nil {
				s.after(t)
			}
			t.Logf("%v, %d requests", time.Since(start).Round(time.Millisecond), l.sent.Load()-sent)
		})
	}
	stage(t, "streams across the reloads", func(t *testing.T) {
		l.end()
		probe.end()
		close(gate)
		for _, wait := range open {
			a := wait()
			if _, whole := content(a.Body); a.Err != nil || a.Status != http.StatusOK || !whole {
				t.Errorf("response %d, %v, %q", a.Status, a.Err, a.Body)
			}
		}
	})

	total := 0
	stage(t, "what the providers received", func(t *testing.T) {
		for name, p := range providers {
			id := name
			if id == "moved" {
				id = "alpha"
			}
			for _, r := range p.Requests() {
				total++
				if want := `"model":"m-` + id + `"`; !strings.Contains(string(r.Body), want) {
					t.Errorf("%s received %s", name, r.Body)
				}
				if got := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); !slices.Contains(keys[name], got) {
					t.Errorf("%s received the key %s", name, got)
				}
				if name != "beta" && (r.Header.Get("X-Team-Token") != "" || r.Header.Get("X-Other-Token") != "") {
					t.Errorf("%s received beta's header", name)
				}
			}
		}
	})
	t.Logf("%d reloads, %d requests and %d probes under way, %d requests at providers, %d long streams", len(steps), l.sent.Load(), probe.sent.Load(), total, len(open))
	if a := g.Admin("/healthz"); !strings.Contains(a, `"status": "ok"`) {
		t.Errorf("/healthz %s", a)
	}
}

// TestFailoverAcrossReload reloads while a request's first attempt hangs: its
// second must go where it was planned to go.
func TestFailoverAcrossReload(t *testing.T) {
	t.Parallel()
	first := recorder.Start(t, recorder.WithName("first"))
	second := recorder.Start(t, recorder.WithName("second"))
	other := recorder.Start(t, recorder.WithName("other"))
	block := map[string]string{
		"first":  "id: first, base_url: " + first.URL() + ", api_keys: [{value: key-of-first}]",
		"second": "id: second, base_url: '" + second.URL() + "/old?v=1', api_keys: [{value: key-of-second}], headers: {x-plain: old}",
	}
	// The first provider fails in every case, and has to be tried first in the next.
	before := setup{gateway: "per_request_timeout: 30s\noutlier_detection: {disabled: true}", providers: []string{block["first"], block["second"]}}
	g := gatewaytest.Start(t, before.String(), gatewaytest.Secrets("key-of-first", "key-of-second"))
	cases := []struct {
		name  string
		after setup
		key   string
	}{
		{"removed", setup{providers: []string{block["first"]}}, "key-of-second"},
		{"both removed", setup{}, "key-of-second"},
		{"moved", setup{providers: []string{block["first"], strings.Replace(block["second"], second.URL(), other.URL(), 1)}}, "key-of-second"},
		{"its key rotated", setup{providers: []string{block["first"], strings.Replace(block["second"], "key-of-second", "new-key-of-second", 1)}}, "new-key-of-second"},
		{"every cluster renamed", setup{providers: []string{block["first"], block["second"] + ", auth: {header: x-new-key}"}}, "key-of-second"},
		{"no failover any more", setup{gateway: "failover_on: ['599']", providers: before.providers}, "key-of-second"},
	}
	for _, c := range cases {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, ", stream ", stream), func(t *testing.T) {
				for _, p := range []*recorder.Provider{first, second, other} {
					p.Reset()
				}
				gate := make(chan struct{})
				first.Script(func(x *recorder.Exchange) {
					select {
					case <-gate:
						recorder.Error(http.StatusServiceUnavailable)(x)
					case <-x.HTTP.Context().Done():
					}
				})
				answer := background(t, g, fmt.Sprintf(`{"model":"first:m","models":["second:n"],"stream":%v}`, stream))
				first.WaitRequests(t, 1)
				g.Reload(c.after.String())
				close(gate)
				a := answer()
				if text, whole := content(a.Body); a.Status != http.StatusOK || !whole || text != second.ResponseText("n") || a.Header.Get("X-Weir-Attempts") != "2" {
					t.Fatalf("response %d %s %v", a.Status, a.Body, a.Header)
				}
				r := second.Last(t)
				if got := r.Header.Get("Authorization"); got != "Bearer "+c.key {
					t.Errorf("second received the key %q", got)
				}
				if r.Path != "/old/v1/chat/completions?v=1" || r.Header.Get("X-Plain") != "old" || r.Authority != second.Addr() {
					t.Errorf("second received %s at %s, %v", r.Path, r.Authority, r.Header)
				}
				if n := len(other.Requests()); n != 0 {
					t.Errorf("other received %d requests", n)
				}
				g.Reload(before.String())
			})
		}
	}
}

// TestUploadAcrossReload: a request that is still being sent keeps the policy
// that was in force when it began.
func TestUploadAcrossReload(t *testing.T) {
	p := recorder.Start(t)
	g := gatewaytest.Start(t, setup{providers: []string{"id: alpha, base_url: " + p.URL() + ", api_keys: [{value: key-of-alpha}]"}}.String())
	body := `{"model":"alpha:m"}`
	conn := g.Dial()
	fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:5])
	gatewaytest.Eventually(t, "Weir to have the headers", func() bool {
		stats, err := g.EnvoyAdmin.Get(t.Context(), "/stats?usedonly&filter=ext_proc.streams_started")
		return err == nil && strings.Contains(string(stats), "streams_started: 1")
	})
	g.Reload(setup{}.String())
	if a := g.Post("/v1/chat/completions", body); a.Status != http.StatusNotFound {
		t.Errorf("response %d %s to a new request", a.Status, a.Body)
	}
	_, _ = io.WriteString(conn, body[5:])
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if text, _ := content(string(answer)); err != nil || resp.StatusCode != http.StatusOK || text != p.ResponseText("m") {
		t.Errorf("response %d %s, %v", resp.StatusCode, answer, err)
	}
	if got := p.Last(t).Header.Get("Authorization"); got != "Bearer key-of-alpha" {
		t.Errorf("the provider received the key %q", got)
	}
}
