package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// load sends requests without pause until it ends, and complains of each that
// does not get the answer it must get.
type load struct {
	t     *testing.T
	url   string
	stop  chan struct{}
	group sync.WaitGroup
	sent  atomic.Int64
}

func newLoad(t *testing.T, url string) *load {
	l := &load{t: t, url: url, stop: make(chan struct{})}
	t.Cleanup(l.end)
	return l
}

// end waits for the answers to what was sent.
func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.group.Wait()
}

// ask sends one request after another on a connection that is kept.
func (l *load) ask(method, path, body string, right func(answer string) bool) {
	l.group.Go(func() {
		transport := &http.Transport{DisableCompression: true}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: gatewaytest.Patience}
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			req, err := http.NewRequestWithContext(l.t.Context(), method, l.url+path, strings.NewReader(body))
			if err != nil {
				l.t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			if err != nil {
				l.t.Errorf("%s %s: %v", path, body, err)
				return
			}
			answer, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			l.sent.Add(1)
			if err != nil || resp.StatusCode != http.StatusOK || !right(string(answer)) {
				l.t.Errorf("%s %s: %s, %v, %s", path, body, resp.Status, err, answer)
				return
			}
		}
	})
}

// chat asks for one completion after another, and each must be of one of these
// providers.
func (l *load) chat(body, model string, from ...*recorder.Provider) {
	l.ask(http.MethodPost, "/v1/chat/completions", body, func(answer string) bool {
		text, whole := content(answer)
		return whole && slices.ContainsFunc(from, func(p *recorder.Provider) bool { return text == p.AnswerText(model) })
	})
}

// content is the text of a chat completion, or of a stream of them, and whether
// it came to its end.
func content(answer string) (text string, whole bool) {
	type completion struct {
		Choices []struct{ Message, Delta struct{ Content string } }
	}
	var c completion
	if json.Unmarshal([]byte(answer), &c) == nil && len(c.Choices) == 1 {
		return c.Choices[0].Message.Content, true
	}
	for line := range strings.Lines(answer) {
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		var c completion
		switch {
		case !ok:
		case data == "[DONE]":
			return text, true
		case json.Unmarshal([]byte(data), &c) != nil:
			return text, false
		case len(c.Choices) == 1:
			text += c.Choices[0].Delta.Content
		}
	}
	return text, false
}

// background sends a request and gives what waits for its answer.
func background(t *testing.T, g *gatewaytest.Gateway, body string) func() gatewaytest.Answer {
	t.Helper()
	done := make(chan gatewaytest.Answer, 1)
	go func() {
		defer close(done) // Post may end the goroutine
		done <- g.Post("/v1/chat/completions", body)
	}()
	return func() gatewaytest.Answer {
		t.Helper()
		select {
		case a := <-done:
			return a
		case <-time.After(gatewaytest.Patience):
			t.Fatalf("no answer to %s", body)
			return gatewaytest.Answer{}
		}
	}
}

func port(t *testing.T, p *recorder.Provider) string {
	t.Helper()
	_, port, err := net.SplitHostPort(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return port
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
	key := func(p *recorder.Provider, model string) string {
		t.Helper()
		marked++
		marker := fmt.Sprint("mark-", marked)
		if a := g.Post("/v1/chat/completions", `{"model":"`+model+`"}`, "X-Marker", marker); a.Status != http.StatusOK {
			t.Fatalf("answer %d %s", a.Status, a.Body)
		}
		for _, r := range p.Requests() {
			if r.Header.Get("X-Marker") == marker {
				return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			}
		}
		t.Fatalf("%s received no request for %s", p.Name, model)
		return ""
	}
	wantKey := func(p *recorder.Provider, model, want string) {
		t.Helper()
		if got := key(p, model); got != want {
			t.Errorf("%s is called with %s, want %s", p.Name, got, want)
		}
	}
	replace := func(old, new string) {
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
	var open []func() gatewaytest.Answer
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
		change func()
		after  func()
	}{
		{"add a provider", func() {
			c.providers = append(c.providers, "id: gamma, base_url: "+gamma.URL()+", api_keys: [{value: key-of-gamma}]")
		}, func() {
			gammaLoad = newLoad(t, g.URL)
			gammaLoad.chat(`{"model":"gamma:m-gamma"}`, "m-gamma", gamma)
		}},
		{"rotate a key in the file", func() { replace("key-of-alpha-1", "key-of-alpha-3") }, func() { wantKey(alpha, "alpha:m-alpha", "key-of-alpha-3") }},
		{"rotate a key in the secrets' folder", func() { write(t, secrets+"/beta/key", "key-of-beta-2\n") }, func() { wantKey(beta, "beta:m-beta", "key-of-beta-2") }},
		{"reorder keys", func() {
			replace("{value: key-of-alpha-3}, {value: key-of-alpha-2}", "{value: key-of-alpha-2}, {value: key-of-alpha-3}")
		}, func() { wantKey(alpha, "alpha:m-alpha", "key-of-alpha-2") }},
		{"add a header, which renames every cluster", func() { replace("id: beta,", "id: beta, headers: {x-team-token: of-beta},") }, nil},
		{"change a header", func() { replace("x-team-token: of-beta", "x-team-token: of-beta-too, x-plain: plain") }, nil},
		{"timeouts", func() { c.gateway = "per_request_timeout: 21s\ntotal_timeout: 42s\nstream_idle_timeout: 63s" }, nil},
		{"tls: another CA file", func() {
			replace(caFile, caFile+".two")
			write(t, caFile+".two", string(newCA.PEM())+string(ca.PEM()))
		}, nil},
		{"tls: what is in the CA file", func() { write(t, caFile+".two", string(ca.PEM())) }, nil},
		{"models", func() { replace("id: alpha,", "id: alpha, models: [{id: listed, provider_model_id: m-alpha}],") }, func() {
			if a := g.Post("/v1/chat/completions", `{"model":"listed"}`); !strings.Contains(a.Body, alpha.AnswerText("m-alpha")) {
				t.Errorf("answer %d %s", a.Status, a.Body)
			}
		}},
		{"max_body_bytes", func() { c.top += "\nmax_body_bytes: 4096" }, nil},
		{"failover_on", func() { c.gateway += "\nfailover_on: [503, connect_failure]" }, nil},
		{"base_url", func() { replace(alpha.URL(), providers["moved"].URL()) }, func() {
			wantKey(providers["moved"], "alpha:m-alpha", "key-of-alpha-2")
		}},
		{"remove a provider", func() {
			gammaLoad.end()
			hold(gamma, "gamma")
			c.providers = c.providers[:len(c.providers)-1]
		}, func() {
			if a := g.Post("/v1/chat/completions", `{"model":"gamma:m-gamma"}`); a.Status != http.StatusNotFound {
				t.Errorf("answer %d %s after the provider was removed", a.Status, a.Body)
			}
		}},
		{"the order of providers", func() { slices.Reverse(c.providers) }, nil},
		{"everything at once", func() {
			replace("x-team-token", "x-other-token")
			replace("key-of-alpha-2", "key-of-alpha-1")
			c.gateway = "per_request_timeout: 22s"
		}, nil},
	}
	for _, s := range steps {
		hold(long, "long")
		start, sent := time.Now(), l.sent.Load()
		waitInForce(t, g, func() {
			s.change()
			g.Write(c.String())
		})
		if s.after != nil {
			s.after()
		}
		t.Logf("%s: %v, %d requests", s.name, time.Since(start).Round(time.Millisecond), l.sent.Load()-sent)
	}
	l.end()
	probe.end()
	close(gate)
	for _, wait := range open {
		a := wait()
		if _, whole := content(a.Body); a.Err != nil || a.Status != http.StatusOK || !whole {
			t.Errorf("a stream across reloads: %d, %v, %q", a.Status, a.Err, a.Body)
		}
	}

	total := 0
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
	t.Logf("%d reloads, %d requests and %d probes under way, %d requests at providers, %d long streams", len(steps), l.sent.Load(), probe.sent.Load(), total, len(open))
	if a := g.Admin("/healthz"); !strings.Contains(a, `"status": "ok"`) {
		t.Errorf("/healthz %s", a)
	}
}

// TestFailoverAcrossReload reloads while a request's first attempt hangs: its
// second must go where it was planned to go.
func TestFailoverAcrossReload(t *testing.T) {
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
				if text, whole := content(a.Body); a.Status != http.StatusOK || !whole || text != second.AnswerText("n") || a.Header.Get("X-Weir-Attempts") != "2" {
					t.Fatalf("answer %d %s %v", a.Status, a.Body, a.Header)
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

// TestOnlyWhatChangedIsSent reads Envoy's own counters: nothing that did not
// change is sent to it again, and no connection is lost that could be kept.
func TestOnlyWhatChangedIsSent(t *testing.T) {
	alpha, beta := recorder.Start(t, recorder.WithName("alpha")), recorder.Start(t, recorder.WithName("beta"))
	secrets := t.TempDir()
	write(t, secrets+"/store/key", "key-of-alpha-1")
	c := setup{
		// With one worker thread, each provider has one pool of connections.
		top: fmt.Sprintf("envoy: {concurrency: 1}\nsecrets: {dir: %s}\nconnect_to: {'beta.internal:80': 'beta.localhost:%s'}", secrets, port(t, beta)),
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
				t.Fatalf("answer %d %s", a.Status, a.Body)
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

// healthOf is what /healthz says.
type healthOf struct {
	Status string
	Ready  bool
	Config struct {
		Version  string
		Problems []string
	}
	Envoys []struct {
		Node       string
		Synced     bool
		Pending    []string
		Rejections map[string]string
	}
}

func health(t *testing.T, g *gatewaytest.Gateway) healthOf {
	t.Helper()
	var h healthOf
	if err := json.Unmarshal([]byte(g.Admin("/healthz")), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// metric gives the line of a metric.
func metric(t *testing.T, g *gatewaytest.Gateway, name string) string {
	t.Helper()
	for line := range strings.Lines(g.Admin("/metrics")) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Errorf("no metric %s", name)
	return ""
}

const rejection = "configuration rejected, the one before stays in force"

// rejected counts the configurations that were turned down.
func rejected(g *gatewaytest.Gateway) int {
	return strings.Count(g.Log(), `"msg":"`+rejection+`"`)
}

func waitRejected(t *testing.T, g *gatewaytest.Gateway, change func()) {
	t.Helper()
	before := rejected(g)
	change()
	g.WaitLog(func([]map[string]any) bool { return rejected(g) > before }, "the change to be rejected")
}

func TestBadFileChangesNothing(t *testing.T) {
	p := recorder.Start(t)
	good := setup{providers: []string{"id: alpha, base_url: " + p.URL() + ", api_keys: [{value: key-of-alpha}]"}}
	g := gatewaytest.Start(t, good.String(), gatewaytest.Secrets("key-of-alpha", "literal-of-a-bad-file"))
	version := health(t, g).Config.Version
	config := filepath.Base(g.Config)
	cases := []struct {
		name, config string
		want         []string // problems, each with its place
	}{
		{"two problems", strings.ReplaceAll(good.String(), p.URL(), "ftp://x") + "max_body_bytes: 3\n", []string{
			config + ":6: on_http_request[0].config.providers[0].base_url: ", config + ":7: max_body_bytes: must be from 1024",
		}},
		{"an unknown field", "listn: x\n" + good.String(), []string{config + `:1: unknown field "listn"`}},
		{"not YAML", "\"on_http\n", []string{config + ":2: not valid YAML"}},
		{"a missing secret", strings.ReplaceAll(good.String(), "key-of-alpha", `"${secrets.get('store', 'key')}"`), []string{
			config + `:6: on_http_request[0].config.providers[0].api_keys[0].value: secret "key" of store "store" is missing`,
		}},
		{"a bad secret", strings.ReplaceAll(good.String(), "key-of-alpha", `" literal-of-a-bad-file"`), []string{
			config + ":6: on_http_request[0].config.providers[0].api_keys[0].value: ",
		}},
		{"empty", "", []string{"is empty"}},
	}
	l := newLoad(t, g.URL)
	l.chat(`{"model":"alpha:m"}`, "m", p)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			waitRejected(t, g, func() { g.Write(c.config) })
			h := health(t, g)
			if h.Status != "degraded" || !h.Ready || h.Config.Version != version {
				t.Errorf("/healthz %+v", h)
			}
			if len(h.Config.Problems) != len(c.want) {
				t.Fatalf("problems %q, want %q", h.Config.Problems, c.want)
			}
			for i, want := range c.want {
				if got := h.Config.Problems[i]; !strings.Contains(got, want) {
					t.Errorf("problem %q, want %q", got, want)
				}
				if reason := g.Field(rejection, "reason"); !strings.Contains(reason, h.Config.Problems[i]) {
					t.Errorf("the log says %q, not %q", reason, h.Config.Problems[i])
				}
			}
			if got := metric(t, g, "weir_config_last_reload_successful"); got != "0" {
				t.Errorf("weir_config_last_reload_successful %s", got)
			}
			if got := metric(t, g, `weir_config_info{version="`+version+`"}`); got != "1" {
				t.Errorf("weir_config_info %s", got)
			}
			waitRejected(t, g, func() { hup(t, g) })

			waitInForce(t, g, func() { g.Write(good.String()) })
			if h := health(t, g); h.Status != "ok" || len(h.Config.Problems) != 0 || h.Config.Version != version {
				t.Errorf("/healthz %+v after the good file is back", h)
			}
			if got := metric(t, g, "weir_config_last_reload_successful"); got != "1" {
				t.Errorf("weir_config_last_reload_successful %s", got)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		waitRejected(t, g, func() {
			if err := os.Remove(g.Config); err != nil {
				t.Fatal(err)
			}
		})
		waitInForce(t, g, func() { g.Write(good.String()) })
	})
	l.end()
	if l.sent.Load() == 0 {
		t.Error("no request was sent meanwhile")
	}
	if got, want := metric(t, g, `weir_config_reloads_total{result="rejected"}`), fmt.Sprint(rejected(g)); got != want {
		t.Errorf("weir_config_reloads_total of rejected is %s, want %s", got, want)
	}
}

// TestFilesAreNoticed changes files in the ways in which people, editors and
// Kubernetes do.
func TestFilesAreNoticed(t *testing.T) {
	p := recorder.Start(t)
	// config has a header with this value, and a key from the secrets' folder.
	config := func(secrets, value string) string {
		return setup{top: "secrets: {dir: " + secrets + "}", providers: []string{
			"id: alpha, base_url: " + p.URL() + ", api_keys: [{value: \"${secrets.get('store', 'key')}\"}], headers: {x-value: " + value + "}",
		}}.String()
	}
	start := func(t *testing.T, file string) *gatewaytest.Gateway {
		t.Helper()
		g := gatewaytest.New(t, "", gatewaytest.Env("WEIR_TEST", t.Name()))
		g.Config = file
		g.Launch("run", "-c", file)
		g.WaitReady()
		return g
	}
	// sees waits until a change is in force, and looks at what arrives.
	sees := func(t *testing.T, g *gatewaytest.Gateway, key, value string, change func()) {
		t.Helper()
		waitInForce(t, g, change)
		if a := g.Post("/v1/chat/completions", `{"model":"alpha:m"}`); a.Status != http.StatusOK {
			t.Fatalf("answer %d %s", a.Status, a.Body)
		}
		r := p.Last(t)
		if r.Header.Get("Authorization") != "Bearer "+key || r.Header.Get("X-Value") != value {
			t.Errorf("key %q and value %q arrived, want %q and %q", r.Header.Get("Authorization"), r.Header.Get("X-Value"), key, value)
		}
	}
	overwrite := func(t *testing.T, path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(t *testing.T, target, path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path+".next"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".next", path); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("plain files", func(t *testing.T) {
		dir := t.TempDir()
		file, secrets := dir+"/weir.yaml", dir+"/secrets"
		write(t, secrets+"/store/key", "key-1")
		write(t, file, config(secrets, "v1"))
		g := start(t, file)
		sees(t, g, "key-1", "v2", func() { write(t, file, config(secrets, "v2")) })
		sees(t, g, "key-1", "v3", func() { overwrite(t, file, config(secrets, "v3")) })
		sees(t, g, "key-2", "v3", func() { write(t, secrets+"/store/key", "key-2\n") })
		sees(t, g, "key-3", "v3", func() { overwrite(t, secrets+"/store/key", "key-3") })
		t.Run("in a folder that is made anew", func(t *testing.T) {
			waitRejected(t, g, func() {
				if err := os.RemoveAll(secrets); err != nil {
					t.Fatal(err)
				}
			})
			sees(t, g, "key-4", "v3", func() { write(t, secrets+"/store/key", "key-4") })
			sees(t, g, "key-5", "v3", func() { write(t, secrets+"/store/key", "key-5") })
		})
		t.Run("in a folder that is exchanged", func(t *testing.T) {
			write(t, dir+"/other/store/key", "key-6")
			sees(t, g, "key-6", "v3", func() {
				if err := os.Rename(secrets+"/store", dir+"/old"); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(dir+"/other/store", secrets+"/store"); err != nil {
					t.Fatal(err)
				}
			})
			sees(t, g, "key-7", "v3", func() { write(t, secrets+"/store/key", "key-7") })
		})
		t.Run("in a folder that the configuration did not name before", func(t *testing.T) {
			fresh := dir + "/fresh/folder"
			write(t, fresh+"/store/key", "key-8")
			sees(t, g, "key-8", "v4", func() { write(t, file, config(fresh, "v4")) })
			sees(t, g, "key-9", "v4", func() { write(t, fresh+"/store/key", "key-9") })
		})
		t.Run("a secret that was missing", func(t *testing.T) {
			missing := dir + "/not/there"
			waitRejected(t, g, func() { write(t, file, config(missing, "v5")) })
			sees(t, g, "key-10", "v5", func() { write(t, missing+"/store/key", "key-10") })
			sees(t, g, "key-11", "v5", func() { write(t, missing+"/store/key", "key-11") })
			secrets = missing
		})
		t.Run("in a folder that is never quiet", func(t *testing.T) {
			done, busy := make(chan struct{}), sync.WaitGroup{}
			busy.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-done:
						return
					case <-time.After(10 * time.Millisecond):
						_ = os.WriteFile(dir+"/busy.log", fmt.Append(nil, i), 0o600)
					}
				}
			})
			sees(t, g, "key-11", "v6", func() { write(t, file, config(secrets, "v6")) })
			close(done)
			busy.Wait()
		})
		t.Run("SIGHUP", func(t *testing.T) {
			sees(t, g, "key-11", "v6", func() { hup(t, g) })
		})
	})

	t.Run("access keys", func(t *testing.T) {
		dir := t.TempDir()
		const first, second = "the-first-key-of-a-client", "the-second-key-of-a-client"
		write(t, dir+"/secrets/clients/a", first)
		write(t, dir+"/weir.yaml", setup{
			top:       "secrets: {dir: secrets}\naccess_keys: [{name: a, value: \"${secrets.get('clients', 'a')}\"}]",
			providers: []string{"id: alpha, base_url: " + p.URL()},
		}.String())
		g := start(t, dir+"/weir.yaml")
		waitInForce(t, g, func() { write(t, dir+"/secrets/clients/a", second) })
		for key, want := range map[string]int{first: http.StatusUnauthorized, second: http.StatusOK} {
			if a := g.Post("/v1/chat/completions", `{"model":"alpha:m"}`, "Authorization", "Bearer "+key); a.Status != want {
				t.Errorf("answer %d to %s, want %d", a.Status, key, want)
			}
		}
	})

	// A Kubernetes volume: what is seen are links into a link, ..data, to a
	// folder with the present state; the kubelet makes a new folder, moves the
	// link and deletes the old folder.
	t.Run("Kubernetes volumes", func(t *testing.T) {
		dir := t.TempDir()
		mount := func(volume, state string, files map[string]string) {
			for name, text := range files {
				write(t, filepath.Join(dir, volume, state, name), text)
			}
			old, _ := os.Readlink(filepath.Join(dir, volume, "..data"))
			link(t, state, filepath.Join(dir, volume, "..data"))
			if old != "" {
				if err := os.RemoveAll(filepath.Join(dir, volume, old)); err != nil {
					t.Fatal(err)
				}
			}
		}
		mount("config", "..1", map[string]string{"weir.yaml": config(dir+"/secrets", "v1")})
		link(t, "..data/weir.yaml", dir+"/config/weir.yaml")
		mount("secrets", "..1", map[string]string{"store/key": "key-1"})
		link(t, "..data/store", dir+"/secrets/store")
		g := start(t, dir+"/config/weir.yaml")
		for i := 2; i < 5; i++ {
			state, key, value := fmt.Sprint("..", i), fmt.Sprint("key-", i), fmt.Sprint("v", i)
			sees(t, g, fmt.Sprint("key-", i-1), value, func() {
				mount("config", state, map[string]string{"weir.yaml": config(dir+"/secrets", value)})
			})
			sees(t, g, key, value, func() { mount("secrets", state, map[string]string{"store/key": key}) })
		}
	})

	t.Run("a link to a release", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir+"/releases/1/weir.yaml", config("secrets", "v1"))
		write(t, dir+"/releases/2/weir.yaml", config("secrets", "v2"))
		write(t, dir+"/etc/secrets/store/key", "key-1")
		link(t, "releases/1", dir+"/current")
		link(t, dir+"/current/weir.yaml", dir+"/etc/weir.yaml")
		g := start(t, dir+"/etc/weir.yaml")
		sees(t, g, "key-1", "v2", func() { link(t, "releases/2", dir+"/current") })
		sees(t, g, "key-1", "v3", func() { write(t, dir+"/releases/2/weir.yaml", config("secrets", "v3")) })
	})
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
		t.Errorf("answer %d %s to a new request", a.Status, a.Body)
	}
	_, _ = io.WriteString(conn, body[5:])
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if text, _ := content(string(answer)); err != nil || resp.StatusCode != http.StatusOK || text != p.AnswerText("m") {
		t.Errorf("answer %d %s, %v", resp.StatusCode, answer, err)
	}
	if got := p.Last(t).Header.Get("Authorization"); got != "Bearer key-of-alpha" {
		t.Errorf("the provider received the key %q", got)
	}
}
