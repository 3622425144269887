package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/envoy"
	"weir/gateway/retire"
	"weir/internal/gatewaytest"
	"weir/internal/recorder"
	"weir/policy"
	"weir/xds"
)

// TestTwoEnvoys: both get everything, and a change waits for both. For an Envoy that
// hangs, it waits for a bounded time.
func TestTwoEnvoys(t *testing.T) {
	b := newRig(t, provider("first", "http://127.0.0.1:1"))
	b.serve()
	_, admin := b.envoy("one")
	pid, hangingAdmin := b.envoy("two")
	for name, a := range map[string]*envoy.Admin{"one": admin, "two": hangingAdmin} {
		dump, err := a.ConfigDump(t.Context())
		if err != nil || !strings.Contains(string(dump), "weir/first/") {
			t.Errorf("%s: %v, no cluster of the provider", name, err)
		}
	}

	// A change waits for both.
	send(t, pid, syscall.SIGSTOP)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	version := b.current.Load().Version
	b.config = provider("second", "http://127.0.0.1:1")
	b.publisher.timeout = gatewaytest.Patience
	done := make(chan struct{})
	go func() {
		b.reload(t.Context(), false)
		close(done)
	}()
	b.wait("one to have the change", func(nodes []xds.NodeStatus) bool {
		return nodes[0].Node == "one" && nodes[0].Acknowledged == 2 && nodes[1].Acknowledged == 1
	})
	if got := b.current.Load().Version; got != version {
		t.Error("the change is in force before both have it")
	}
	if code, body := b.get("/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d %s", code, body)
	}
	send(t, pid, syscall.SIGCONT)
	<-done
	if got := b.current.Load().Version; got == version || !b.publisher.server.Synced() {
		t.Errorf("version %s, nodes %+v", got, b.publisher.server.Nodes())
	}

	// It does not wait forever.
	send(t, pid, syscall.SIGSTOP)
	b.publisher.timeout = 500 * time.Millisecond
	b.config = provider("third", "http://127.0.0.1:1")
	start := time.Now()
	b.reload(t.Context(), false)
	if took := time.Since(start); took < b.publisher.timeout || took > time.Minute {
		t.Errorf("the change took %v, with a bound of %v", took, b.publisher.timeout)
	}
	if p := b.current.Load(); len(p.Clusters) != 1 || p.Clusters[0].Provider != "third" {
		t.Error("the change is not in force")
	}
	if !strings.Contains(b.log.String(), `xds: not acknowledged by envoy \"two\"`) {
		t.Error("the log does not name the Envoy that hangs")
	}
	if code, body := b.get("/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if _, body := b.get("/healthz"); !strings.Contains(body, `"status": "degraded"`) {
		t.Errorf("/healthz: %s", body)
	}
	if _, body := b.get("/metrics"); !strings.Contains(body, "\nweir_envoys_connected 2\n") || !strings.Contains(body, "\nweir_envoys_synced 1\n") {
		t.Error("/metrics does not count the Envoys")
	}
	send(t, pid, syscall.SIGCONT)
	b.wait("both to be synced", func(nodes []xds.NodeStatus) bool {
		return len(nodes) == 2 && nodes[0].Synced && nodes[1].Synced
	})
	if _, body := b.get("/healthz"); !strings.Contains(body, `"status": "ok"`) {
		t.Errorf("/healthz: %s", body)
	}
}

// TestNotReadyWithoutAcknowledgement: the only Envoy hangs, so none has the current
// configuration.
func TestNotReadyWithoutAcknowledgement(t *testing.T) {
	b := newRig(t, provider("first", "http://127.0.0.1:1"))
	b.serve()
	if code, _ := b.get("/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz without an Envoy: %d", code)
	}
	pid, _ := b.envoy("one")
	if code, _ := b.get("/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d", code)
	}
	send(t, pid, syscall.SIGSTOP)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	b.publisher.timeout = 100 * time.Millisecond
	b.config = provider("second", "http://127.0.0.1:1")
	b.reload(t.Context(), false)
	if code, body := b.get("/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz with an Envoy that hangs: %d %s", code, body)
	}
	send(t, pid, syscall.SIGCONT)
	gatewaytest.Eventually(t, "being ready", func() bool { code, _ := b.get("/readyz"); return code == http.StatusOK })
	b.stopping.asked.Store(true)
	if code, body := b.get("/readyz"); code != http.StatusServiceUnavailable || body != "not ready: stopping\n" {
		t.Errorf("/readyz while stopping: %d %s", code, body)
	}
}

// TestRetire: the clusters of an old policy are removed when its last request must have
// begun its last attempt. A response that still runs on them continues.
func TestRetire(t *testing.T) {
	t.Run("by address", func(t *testing.T) { testRetire(t, "127.0.0.1") })
	t.Run("by name", func(t *testing.T) { testRetire(t, "retire.localhost") })
}

func testRetire(t *testing.T, host string) {
	p := recorder.Start(t)
	_, port, _ := net.SplitHostPort(p.Addr())
	timeouts := "limits: {client_body_timeout: 1ms}\nconnect_to: {'old.internal:80': '" + net.JoinHostPort(host, port) + "'}\n" +
		"on_http_request: [{type: ai-gateway, config: {total_timeout: 100ms, per_request_timeout: 100ms, "
	b := newRig(t, timeouts+"providers: [{id: old, base_url: http://old.internal}]}}]\n")
	b.serve()
	_, admin := b.envoy("one")
	gate := make(chan struct{})
	p.Script(recorder.Gated(gate))
	resp, err := b.ask(`{"model":"old:m","stream":true}`)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(err, resp)
	}
	defer resp.Body.Close()

	b.config = timeouts + "providers: [{id: new, base_url: " + p.URL() + "}]}}]\n"
	b.reload(t.Context(), false)
	has := func(provider string) bool {
		clusters, err := admin.Get(t.Context(), "/clusters")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(clusters), "weir/"+provider+"/") || provider == "old" && strings.Contains(string(clusters), "weir/host/")
	}
	if !has("old") || !has("new") {
		t.Errorf("after the change Envoy has old %v, new %v", has("old"), has("new"))
	}
	b.later.Store(int64(retire.Longest(b.current.Load())))
	b.retire(t.Context())
	if has("old") || !has("new") || len(b.book.Kept()) != 0 {
		t.Errorf("after it retired Envoy has old %v, new %v", has("old"), has("new"))
	}
	close(gate)
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(body), "data: [DONE]\n\n") {
		t.Errorf("the stream on the old cluster: %v, %q", err, body)
	}
	if code, _ := b.get("/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d", code)
	}
}

// TestRotatedKeyOfRequestsInFlight: a response may repeat the key that its request
// was sent with, even when nothing else of the old policy is needed any more.
func TestRotatedKeyOfRequestsInFlight(t *testing.T) {
	const one, two = "sk-one-0123456789", "sk-two-0123456789"
	p := recorder.Start(t)
	b := newRig(t, "providers: [{id: p, base_url: "+p.URL()+", api_keys: [{value: "+one+"}]}]\n")
	b.serve()
	b.envoy("one")
	arrived, answer := make(chan struct{}), make(chan struct{})
	p.Respond(func(w http.ResponseWriter, r *http.Request, _ []byte) {
		close(arrived)
		<-answer
		w.Header().Set("X-Request-Id", r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "bad key "+r.Header.Get("Authorization"))
	})
	type answered struct {
		resp *http.Response
		err  error
	}
	done := make(chan answered, 1)
	go func() {
		resp, err := b.ask(`{"model":"p:m"}`)
		done <- answered{resp, err}
	}()
	<-arrived
	b.config = strings.Replace(b.config, one, two, 1)
	b.reload(t.Context(), false)
	b.later.Store(int64(retire.Longest(b.current.Load())))
	b.retire(t.Context())
	if len(b.book.Kept()) != 0 {
		t.Fatal("the old policy is still needed")
	}
	close(answer)
	a := <-done
	if a.err != nil {
		t.Fatal(a.err)
	}
	defer a.resp.Body.Close()
	body, err := io.ReadAll(a.resp.Body)
	if err != nil || a.resp.StatusCode != http.StatusUnauthorized || string(body) != "bad key [redacted]" && string(body) != "bad key Bearer [redacted]" {
		t.Errorf("%v, %d, %q", err, a.resp.StatusCode, body)
	}
	if id := a.resp.Header.Get("X-Request-Id"); strings.Contains(id, one) {
		t.Errorf("X-Request-Id: %s", id)
	}
}

// TestReloadOfFixedFields: a change that needs a restart is logged, once for each reload
// of a changed configuration, until the running value is configured again.
func TestReloadOfFixedFields(t *testing.T) {
	const before = "limits: {client_idle_timeout: 1m}\n"
	b := newRig(t, before)
	b.config = "limits: {client_idle_timeout: 2m}\n"
	b.reload(t.Context(), false)
	if strings.Contains(b.log.String(), "has changed: restart") {
		t.Error("a timeout is reloaded")
	}
	b.config = `admin: {listen: "127.0.0.1:9999"}
shutdown_timeout: 20s
telemetry: {access_log: off, window: 5m}
envoy: {path: /opt/envoy, concurrency: 3, log_level: info, socket: /run/other.sock, users: ["101"]}
limits: {weir_memory_bytes: 200000000, envoy_heap_bytes: 300000000, open_files: 5000, max_client_connections: 10}
`
	b.reload(t.Context(), false)
	want := map[string]string{
		"admin.listen":            `weir to apply it" in_force=127.0.0.1:8081 configured=127.0.0.1:9999`,
		"shutdown_timeout":        `weir to apply it" in_force=10s configured=20s`,
		"telemetry.access_log":    `weir to apply it" in_force=stdout configured=off`,
		"telemetry.window":        `weir to apply it" in_force=1m0s configured=5m0s`,
		"envoy.path":              `weir to apply it" in_force=default configured=/opt/envoy`,
		"envoy.concurrency":       `weir to apply it" in_force=default configured=3`,
		"envoy.log_level":         `weir to apply it" in_force=default configured=info`,
		"envoy.socket":            `weir to apply it" in_force=default configured=/run/other.sock`,
		"envoy.users":             `weir to apply it" in_force=default configured=[101]`,
		"limits.open_files":       `weir and envoy to apply it" in_force=default configured=5000`,
		"limits.envoy_heap_bytes": `weir and envoy to apply it" in_force=default configured=300000000`,

		"limits.weir_memory_bytes":      `weir to apply it" in_force=default configured=200000000`,
		"limits.max_client_connections": `weir and envoy to apply it" in_force=default configured=10`,
	}
	for _, field := range b.fixed {
		if line := `level=WARN msg="` + field.name + " has changed: restart " + want[field.name] + "\n"; strings.Count(b.log.String(), line) != 1 {
			t.Errorf("not logged once: %s", line)
		}
	}
	if len(b.fixed) != len(want) {
		t.Errorf("%d fixed fields, want %d", len(b.fixed), len(want))
	}
	lines := strings.Count(b.log.String(), "has changed: restart")
	b.config = before
	b.reload(t.Context(), false)
	if strings.Count(b.log.String(), "has changed: restart") != lines {
		t.Error("a warning for the values that are in force")
	}
}

// TestOverriddenFixedField: a flag overrides the field, so a change of it needs no restart.
func TestOverriddenFixedField(t *testing.T) {
	b := newRig(t, "{}\n")
	b.overridden = []string{"admin.listen"}
	b.config = "admin: {listen: \"127.0.0.1:9999\"}\n"
	b.reload(t.Context(), false)
	if strings.Contains(b.log.String(), "has changed") {
		t.Error("a warning for a field that a flag overrides")
	}
}

// TestFixedFieldsPage: docs/configuration.md lists the fields that are not reloaded.
func TestFixedFieldsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n### Fields that are not reloaded\n")
	section, _, _ = strings.Cut(section, "\n## ")
	b := newRig(t, "{}\n")
	for _, field := range b.fixed {
		if !strings.Contains(section, "`"+field.name+"`") {
			t.Errorf("the page does not list %s", field.name)
		}
	}
}

func TestReload(t *testing.T) {
	b := newRig(t, provider("first", "http://127.0.0.1:1"))
	good, version := b.config, b.current.Load().Version
	lines := func(message string) int { return strings.Count(b.log.String(), message) }
	check := func(what string, wantVersion string, inForce, rejected int, problems ...string) {
		t.Helper()
		if got := b.current.Load().Version; got != wantVersion {
			t.Errorf("%s: version %s, want %s", what, got, wantVersion)
		}
		if got := lines("configuration in force"); got != inForce {
			t.Errorf("%s: in force %d times, want %d", what, got, inForce)
		}
		if got := lines("configuration rejected"); got != rejected {
			t.Errorf("%s: rejected %d times, want %d", what, got, rejected)
		}
		if got := b.Health().Config.Problems; !slices.Equal(got, problems) {
			t.Errorf("%s: problems %q, want %q", what, got, problems)
		}
	}
	const unknown = `weir.yaml:1: unknown field "nonsense"`
	check("at first", version, 1, 0)
	b.reload(t.Context(), false)
	check("nothing changed", version, 1, 0)
	if c, err := b.loader.load(b.current.load()); err != nil || c.Policy != b.current.load().Policy || c.Keys != b.current.load().Keys {
		t.Errorf("what has not changed is another policy (%v)", err)
	}
	b.reload(t.Context(), true)
	check("asked to", version, 2, 0)

	b.config = "nonsense: 1\n"
	b.reload(t.Context(), false)
	check("a bad one", version, 2, 1, unknown)
	b.reload(t.Context(), false)
	check("the same bad one", version, 2, 1, unknown)
	b.reload(t.Context(), true)
	check("the same bad one, asked to", version, 2, 2, unknown)
	b.config = good
	b.reload(t.Context(), false)
	check("the good one is back", version, 3, 2)
	b.config = "nonsense: 1\n"
	b.reload(t.Context(), false)
	check("and the bad one", version, 3, 3, unknown)

	b.config = provider("second", "http://127.0.0.1:1")
	b.reload(t.Context(), false)
	check("another good one", b.current.Load().Version, 4, 3)
	if b.current.Load().Version == version {
		t.Error("the version is the same")
	}
	reads := b.loader.source
	b.loader.source = func() (policy.Source, error) { return policy.Source{}, errors.New("gone") }
	version = b.current.Load().Version
	b.reload(t.Context(), false)
	check("no file", version, 4, 4, "gone")
	b.loader.source = reads
	b.reload(t.Context(), false)
	check("the file is back", version, 5, 4)
}

// TestRefusedOnce: a configuration that Envoy has rejected is not sent again when
// something else in the folder changes.
func TestRefusedOnce(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	b := newRig(t, provider("first", "http://127.0.0.1:1"))
	b.serve()
	b.envoy("one")
	good := b.config
	b.addresses.listen = nil
	b.config = "listen: " + taken.Addr().String() + "\n" + good
	refused := func() int { return strings.Count(b.log.String(), "configuration rejected") }
	for i, c := range []struct {
		always bool
		want   int
	}{{false, 1}, {false, 1}, {true, 2}, {false, 2}} {
		publication := b.publisher.server.Publication()
		b.reload(t.Context(), c.always)
		if got := refused(); got != c.want {
			t.Errorf("%d: rejected %d times, want %d", i, got, c.want)
		}
		if published := b.publisher.server.Publication() != publication; published != (i%2 == 0) {
			t.Errorf("%d: published %v", i, published)
		}
	}
	// Going back is not another configuration: every Envoy has the previous one.
	b.wait("the Envoy to be synced", func(nodes []xds.NodeStatus) bool { return nodes[0].Synced })
	b.config = "# better\nlisten: 127.0.0.1:0\n" + good
	b.reload(t.Context(), false)
	if h := b.Health(); h.Status != "ok" || !h.Ready {
		t.Errorf("/healthz %+v", h)
	}
}

// TestRejectionAfterKeysChanged: an Envoy rejects the first configuration. The problem
// names the line of the file that was read last, also if only access keys changed since,
// before the rejection or after it.
func TestRejectionAfterKeysChanged(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	const key = "  - {name: key-%d, value: '%032d'}\n"
	config := func(keys int) string {
		out := "access_keys:\n"
		for i := range keys {
			out += fmt.Sprintf(key, i, i)
		}
		return out + "listen: " + taken.Addr().String() + "\n" + provider("p", "http://127.0.0.1:1")
	}
	b := newRig(t, provider("first", "http://127.0.0.1:1"))
	b.serve()
	b.addresses.listen = nil
	b.config = config(1)
	b.reload(t.Context(), false) // no Envoy is there to reject it
	named := func(line string) func() bool {
		return func() bool {
			problems := b.Health().Config.Problems
			return len(problems) == 1 && strings.HasPrefix(problems[0], line)
		}
	}
	b.config = config(2)
	b.reload(t.Context(), false)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.firstServed(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	b.startEnvoy("one")
	gatewaytest.Eventually(t, "the line of listen, with two keys above it", named("weir.yaml:4: listen: "))
	b.config = config(3)
	b.reload(t.Context(), false)
	if !named("weir.yaml:5: listen: ")() {
		t.Errorf("with three keys: %q", b.Health().Config.Problems)
	}
}
