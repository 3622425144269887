package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// streams are streams that end when they are let go.
type streams struct {
	t       *testing.T
	gate    chan struct{}
	answers []*http.Response
}

func startStreams(t *testing.T, g *gatewaytest.Gateway, p *recorder.Provider, n int) *streams {
	t.Helper()
	r := &streams{t: t, gate: make(chan struct{})}
	for range n {
		p.Script(recorder.Gated(r.gate))
	}
	for range n {
		resp, err := http1(t).Post(g.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"p:m","stream":true}`))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		r.answers = append(r.answers, resp)
	}
	return r
}

// finish lets the streams end, whole, and returns the ids of their requests.
func (r *streams) finish() (ids []string) {
	r.t.Helper()
	close(r.gate)
	for _, resp := range r.answers {
		if b, err := io.ReadAll(resp.Body); err != nil || !bytes.HasSuffix(b, []byte("data: [DONE]\n\n")) {
			r.t.Errorf("the stream ended with %v after %q", err, b)
		}
		ids = append(ids, resp.Header.Get("X-Weir-Request-Id"))
	}
	return ids
}

// wantOnce waits until the requests are in the log, with all of their attempts,
// and checks that nothing is there twice.
func wantOnce(t *testing.T, g *gatewaytest.Gateway, ids []string, line string) {
	t.Helper()
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	if len(wanted) != len(ids) || wanted[""] {
		t.Fatalf("%d ids of %d requests", len(wanted), len(ids))
	}
	found := waitLogged(t, g.Stdout, "all lines", len(ids), func(l *logLine) bool { return wanted[l.RequestID] })
	if len(found) != len(ids) {
		t.Errorf("%d requests in the log, want %d", len(found), len(ids))
	}
	for _, l := range found {
		if len(l.attempts) != l.request.Attempts {
			t.Errorf("request %s has %d attempts in the log, want %d", l.request.RequestID, len(l.attempts), l.request.Attempts)
		}
		if got := l.request.String(); got != line {
			t.Errorf("request %s: %s, want %s", l.request.RequestID, got, line)
		}
	}
}

// ask sends requests from a few clients at once and returns their ids.
func ask(t *testing.T, g *gatewaytest.Gateway, n, status int) []string {
	t.Helper()
	return askFor(t, g, "p:m", n, status)
}

func askFor(t *testing.T, g *gatewaytest.Gateway, model string, n, status int) []string {
	t.Helper()
	body := fmt.Appendf(nil, `{"model":%q}`, model)
	const clients = 8
	all := make([][]string, clients)
	var asked sync.WaitGroup
	for c := range clients {
		client := http1(t)
		asked.Go(func() {
			for range n / clients {
				a := post(t, client, g.URL+"/v1/chat/completions", body, true)
				if a.Status != status {
					t.Errorf("response %d %s", a.Status, a.Body)
				}
				all[c] = append(all[c], a.Header.Get("X-Weir-Request-Id"))
			}
		})
	}
	asked.Wait()
	return slices.Concat(all...)
}

// waitEjected waits until Envoy knows, for its log, that weir is gone.
func waitEjected(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	gatewaytest.Eventually(t, "Envoy to remove the host", func() bool {
		return g.EnvoyStat("^cluster.weir_log.membership_healthy$") == 0
	})
}

const unavailableLine = "503 rejected ext_proc_error_gRPC_error_14"

// Envoy keeps log entries while weir is gone, and sends them to the next one.
func TestLogOutlivesWeir(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	g := gatewaytest.Serve(t, "providers:\n  - {id: p, base_url: "+p.URL()+"}\n")
	sends := func() int { return g.EnvoyStat("^cluster.weir_log.upstream_cx_none_healthy$") }
	var served, refused []string
	for _, end := range []string{"killed", "stopped", "killed"} {
		t.Run(end, func(t *testing.T) {
			before := ask(t, g.Gateway, 16, 200)
			first, second := startStreams(t, g.Gateway, p, 20), startStreams(t, g.Gateway, p, 20)
			switch end {
			case "killed": // what weir has not written is lost
				wantOnce(t, g.Gateway, before, "200")
				g.Kill()
			case "stopped":
				_ = g.Cmd.Process.Signal(syscall.SIGTERM)
				if err := g.Wait(); err != nil {
					t.Errorf("weir ended with %v", err)
				}
			}
			waitEjected(t, g.Gateway)
			tries := sends()
			down := first.finish()
			refusals := ask(t, g.Gateway, 40, 503)
			gatewaytest.Eventually(t, "Envoy to try to send", func() bool { return sends() >= tries+8 })
			g.Relaunch()
			served = append(served, slices.Concat(before, down, second.finish())...)
			refused = append(refused, refusals...)
			wantOnce(t, g.Gateway, served, "200")
			wantOnce(t, g.Gateway, refused, unavailableLine)
		})
	}
	if n := g.EnvoyStat("access_logs.grpc_access_log.logs_dropped"); n != 0 {
		t.Errorf("Envoy dropped %d entries", n)
	}
}

// Envoy keeps so much and counts what is more.
func TestLogThatEnvoyCannotKeep(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	g := gatewaytest.Serve(t, "providers:\n  - {id: p, base_url: "+p.URL()+"}\n")
	g.Kill()
	waitEjected(t, g.Gateway)
	stat := func(name string) int { return g.EnvoyStat("access_logs.grpc_access_log." + name) }
	n := 0
	for stat("logs_dropped") == 0 {
		n += len(ask(t, g.Gateway, 800, 503))
	}
	gatewaytest.Eventually(t, "the last entries", func() bool { return stat("logs_written")+stat("logs_dropped") == n })
	want := stat("logs_written")
	g.Relaunch()
	found := waitLogged(t, g.Stdout, "what Envoy kept", want, func(*logLine) bool { return true })
	if len(found) != want {
		t.Errorf("%d requests in the log, want %d", len(found), want)
	}
	wantOnce(t, g.Gateway, ask(t, g.Gateway, 16, 200), "200")
}

// A gateway that is stopped has told of every request.
func TestLogOfStoppedGateway(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	g := gatewaytest.Start(t, "providers:\n  - {id: p, base_url: "+p.URL()+"}\n")
	running := startStreams(t, g, p, 20)
	ids := ask(t, g, 200, 200)
	_ = g.Cmd.Process.Signal(syscall.SIGTERM)
	ids = append(ids, running.finish()...)
	if err := g.Wait(); err != nil {
		t.Errorf("weir ended with %v", err)
	}
	wantOnce(t, g, ids, "200")
}
