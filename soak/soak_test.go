package soak

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

var duration = flag.Duration("duration", 40*time.Second, "how long the load lasts, about")

func TestMain(m *testing.M) { gatewaytest.Main(m) }

// subject is a gateway with what the soak does to it.
type subject struct {
	*gatewaytest.Gateway
	envoy func() int
	kill  func()
}

// Weir runs Envoy, and Envoy is killed.
func TestSoakRun(t *testing.T) {
	soak(t, func(config string, options ...gatewaytest.Option) *subject {
		g := gatewaytest.Start(t, config, options...)
		return &subject{Gateway: g, envoy: g.EnvoyPID, kill: func() {
			killed := g.EnvoyPID()
			if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			gatewaytest.Eventually(t, "another Envoy", func() bool { return g.EnvoyPID() != killed })
		}}
	})
}

// Envoy runs by itself, and Weir is killed.
func TestSoakServe(t *testing.T) {
	soak(t, func(config string, options ...gatewaytest.Option) *subject {
		s := gatewaytest.Serve(t, config, options...)
		return &subject{Gateway: s.Gateway, envoy: func() int { return s.Envoy.Process.Pid }, kill: func() {
			s.Kill()
			s.Relaunch()
		}}
	})
}

func soak(t *testing.T, launch func(config string, options ...gatewaytest.Option) *subject) {
	round := min(max(*duration/12, 3*time.Second), 15*time.Second)
	rounds := max(int(*duration/2/round), 6)

	steady := start(t, "steady", false)
	secure := start(t, "secure", false, recorder.WithTLS())
	flaky := start(t, "flaky", true)
	generation := 0
	config := func() string {
		generation++
		return fmt.Sprintf(`
max_body_bytes: %d
access_keys:
  - {name: wide, value: "${secrets.get('clients', 'wide')}"}
  - name: narrow
    value: ${secrets.get('clients', 'narrow')}
    configuration: {access: {providers: {allow: [steady]}}}
providers:
  - {id: steady, base_url: %s, headers: {X-Generation: "%d"}}
  - {id: secure, base_url: %s, tls: {ca_file: %s}, headers: {X-Generation: "%d"}}
  - {id: flaky, base_url: %s}
`, maxBody, steady.URL(), generation, secure.URL(), secure.CA().File(t), generation, flaky.URL())
	}
	g := launch(config(),
		gatewaytest.Env("WEIR_SECRET_CLIENTS_WIDE", wideKey), gatewaytest.Env("WEIR_SECRET_CLIENTS_NARROW", narrowKey),
		gatewaytest.Secrets(wideKey, narrowKey))
	var wrongs atomic.Int64
	var at atomic.Value // the name of the round
	l := &load{url: g.URL, address: g.Address(), wrong: func(format string, args ...any) {
		if wrongs.Add(1) <= 20 {
			t.Errorf("%v: "+format, append([]any{at.Load()}, args...)...)
		}
	}}
	defer func() { t.Logf("requests: %v; %d wrong outcomes", &l.counts, wrongs.Load()) }()

	run := func(name string, disturb func()) {
		t.Run(name, func(t *testing.T) {
			at.Store(name)
			ctx, cancel := context.WithTimeout(t.Context(), round)
			defer cancel()
			var workers sync.WaitGroup
			for _, work := range l.workers() {
				workers.Go(func() { work(ctx) })
			}
			pause(ctx, round/3)
			disturb()
			pause(ctx, round/3)
			g.Reload(config())
			workers.Wait()
		})
	}
	kill := func() {
		l.epoch.Add(1)
		g.kill()
		gatewaytest.Eventually(t, "the gateway to be ready", func() bool {
			resp, err := http.Get(g.AdminURL + "/readyz")
			if err != nil {
				return false
			}
			_ = resp.Body.Close()
			return resp.StatusCode == http.StatusOK && answers(g)
		})
		l.epoch.Add(1)
	}
	rough := rounds / 3
	for i := range rough {
		run(fmt.Sprint("round ", i+1, " with a kill"), kill)
	}
	run("first calm round", func() { g.Reload(config()) }) // what the others start from
	var all []figures
	for i := range max(rounds-rough-1, 3) {
		run(fmt.Sprint("calm round ", i+2), func() { g.Reload(config()) })
		all = append(all, quiet(t, g))
		t.Log(all[len(all)-1])
	}
	third := max(len(all)/3, 1)
	for _, grown := range growth(typical(all[:third]), typical(all[len(all)-third:])) {
		t.Error("grew: ", grown)
	}
	if strings.Contains(g.Log(), "panic:") {
		t.Error("weir panicked")
	}
}

// answers reports whether Envoy takes requests.
func answers(g *subject) bool {
	resp, err := http.Get(g.URL + "/v1/models")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusUnauthorized
}

// quiet waits until no request runs and no old cluster is kept, and measures.
func quiet(t *testing.T, g *subject) figures {
	t.Helper()
	gatewaytest.Eventually(t, "no request to run", func() bool {
		return g.EnvoyStat(`http\.weir\.downstream_rq_active$`) == 0
	})
	return measure(t, g.Gateway, g.envoy())
}
