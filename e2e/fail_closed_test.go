package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

const (
	undecided = "the gateway cannot decide on this request now: try again"
	streamed  = `{"model":"alpha:m","stream":true}`
	twoTries  = `{"model":"alpha:m","models":["bravo:m"]}`
)

// closing is a gateway with two providers that look at every request they get.
type closing struct {
	alpha, bravo *recorder.Provider
	config       string
}

func newClosing(t *testing.T) closing {
	c := closing{alpha: recorder.Start(t, recorder.WithName("alpha")), bravo: recorder.Start(t, recorder.WithName("bravo"))}
	c.config = fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: 30s
      total_timeout: 50s
      providers:
        - id: alpha
          base_url: %s
          api_keys: [{value: key-of-alpha}]
          supported_api_surfaces: [{format: openai}, {format: anthropic}]
        - id: bravo
          base_url: %s
          api_keys: [{value: key-of-bravo}]
          supported_api_surfaces: [{format: openai}, {format: anthropic}]
`, c.alpha.URL(), c.bravo.URL())
	return c
}

// processed checks that every request that reached a provider had gone through Weir: its
// model, its authority, its key and no other. It returns how many there were.
func (c closing) processed(t *testing.T) int {
	t.Helper()
	n := 0
	for _, p := range []*recorder.Provider{c.alpha, c.bravo} {
		for _, r := range p.Requests() {
			n++
			bearer, key := "Bearer key-of-"+p.Name, ""
			if r.Path == "/v1/messages" {
				bearer, key = "", "key-of-"+p.Name
			}
			if !bytes.HasPrefix(r.Body, []byte(`{"model":"m"`)) || bytes.Contains(r.Body, []byte("models")) || r.BodyErr != nil || r.Authority != p.Addr() ||
				r.Header.Get("Authorization") != bearer || r.Header.Get("X-Api-Key") != key {
				t.Errorf("%s received %s %s %.200q %v (%v)", p.Name, r.Authority, r.Path, r.Body, r.Header, r.BodyErr)
			}
		}
		p.Reset()
	}
	return n
}

func (c closing) nothingSent(t *testing.T) {
	t.Helper()
	if n := c.processed(t); n != 0 {
		t.Errorf("providers received %d requests", n)
	}
}

// wantUnavailable checks the response of a gateway whose Weir is gone.
func wantUnavailable(t *testing.T, a gatewaytest.Response, path string) {
	t.Helper()
	if want := errorBody(path, "gateway_unavailable", undecided); a.Status != 503 || a.Body != want || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("response %d %s %v\nwant     503 %s", a.Status, a.Body, a.Header, want)
	}
}

// TestFailClosed: an Envoy whose Weir is gone, dying or hanging sends nothing
// anywhere, and recovers by itself when Weir is back.
func TestFailClosed(t *testing.T) {
	t.Parallel()
	c := newClosing(t)
	g := gatewaytest.Serve(t, c.config, gatewaytest.Secrets("key-of-alpha", "key-of-bravo"))
	served := func(t *testing.T) {
		t.Helper()
		for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
			if a := g.Post(path, `{"model":"alpha:m"}`); a.Status != 200 || !strings.Contains(a.Body, "alpha answers as m") {
				t.Errorf("response %d %s", a.Status, a.Body)
			}
		}
		if n := c.processed(t); n != 2 {
			t.Errorf("providers received %d requests, want 2", n)
		}
	}
	served(t)

	down := func(t *testing.T) {
		t.Helper()
		for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1/embeddings", "/v1/models", "/v1/messages/count_tokens", "/nowhere"} {
			for _, body := range []string{`{"model":"alpha:m"}`, streamed, twoTries, `not JSON`, ``, `{"model":"alpha:m","x":"` + strings.Repeat("x", 3<<20) + `"}`} {
				wantUnavailable(t, g.Post(path, body, "Authorization", "Bearer unused"), path)
				wantUnavailable(t, post(t, http2(t), g.URL+path, []byte(body), false), path)
			}
			wantUnavailable(t, g.Get(path), path)
		}
		c.nothingSent(t)
	}
	t.Run("killed", func(t *testing.T) {
		g.Kill()
		down(t)
		g.Relaunch()
		served(t)
	})
	t.Run("stopped", func(t *testing.T) {
		_ = g.Cmd.Process.Signal(syscall.SIGTERM)
		if err := g.Wait(); err != nil {
			t.Errorf("weir ended with %v", err)
		}
		down(t)
		g.Relaunch()
		served(t)
	})
	t.Run("killed in the middle", func(t *testing.T) { c.killedInTheMiddle(t, g) })
	t.Run("hangs", func(t *testing.T) {
		resume := g.Pause(t)
		var all sync.WaitGroup
		for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
			for _, body := range []string{twoTries, streamed} {
				all.Go(func() { wantUnavailable(t, g.Post(path, body), path) })
			}
		}
		all.Wait()
		resume()
		served(t) // and the decisions that came too late are not carried out
	})
	t.Run("killed under load", func(t *testing.T) { c.killedUnderLoad(t, g) })
	t.Run("another weir on the same socket", func(t *testing.T) {
		socket := g.Field("weir started", "socket")
		other := gatewaytest.New(t, c.config, gatewaytest.Args("--socket", socket))
		other.Launch("serve", "-c", other.Config)
		wantFailure(t, other, "weir: "+socket+": another weir serves this socket\n")
		served(t)
	})
}

// killedInTheMiddle kills Weir while requests are at every stage, and then
// lets them go on.
func (c closing) killedInTheMiddle(t *testing.T, g *gatewaytest.Served) {
	gate, die := make(chan struct{}), make(chan struct{})
	open, fail := sync.OnceFunc(func() { close(gate) }), sync.OnceFunc(func() { close(die) })
	defer open() // a test that ends early must not leave the provider waiting
	defer fail()
	paths := []string{"/v1/chat/completions", "/v1/messages"}

	var streams []*http.Response
	client := http1(t)
	stage(t, "streams run", func(t *testing.T) {
		for _, path := range paths {
			c.alpha.Script(recorder.Gated(gate))
			resp, err := client.Post(g.URL+path, "application/json", strings.NewReader(streamed))
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, resp)
		}
	})
	defer func() {
		for _, resp := range streams {
			_ = resp.Body.Close()
		}
	}()
	failed := make([]gatewaytest.Response, len(paths))
	var retries sync.WaitGroup
	stage(t, "first attempts run that will fail", func(t *testing.T) {
		for i, path := range paths {
			c.alpha.Script(func(x *recorder.Exchange) {
				<-die
				recorder.Status(500, nil, "broken")(x)
			})
			retries.Go(func() { failed[i] = g.Post(path, twoTries) })
		}
		c.alpha.WaitRequests(t, 4)
	})
	halves := make([]net.Conn, len(paths))
	stage(t, "bodies are half sent", func(t *testing.T) {
		for i, path := range paths {
			halves[i] = g.Dial()
			_, _ = fmt.Fprintf(halves[i], "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", path, len(twoTries), twoTries[:10])
		}
	})
	g.Pause(t)
	undecidedYet := make([]gatewaytest.Response, len(paths))
	var decisions sync.WaitGroup
	stage(t, "requests wait for a decision", func(t *testing.T) {
		for i, path := range paths {
			decisions.Go(func() { undecidedYet[i] = g.Post(path, twoTries) })
		}
		gatewaytest.Eventually(t, "8 requests in Envoy", func() bool {
			n, err := g.EnvoyAdmin.ActiveRequests(context.Background())
			return err == nil && n >= 8
		})
	})
	stage(t, "Weir is killed: requests are refused", func(t *testing.T) {
		g.Kill()
		fail()
		retries.Wait()
		decisions.Wait()
		for i, path := range paths {
			_, _ = io.WriteString(halves[i], twoTries[10:])
			wantUnavailable(t, answers(t, halves[i], 1)[0], path)
			wantUnavailable(t, failed[i], path)
			wantUnavailable(t, undecidedYet[i], path)
		}
	})
	stage(t, "the streams go on to their end", func(t *testing.T) {
		open()
		for i, resp := range streams {
			b, err := io.ReadAll(resp.Body)
			if last := []string{"data: [DONE]\n\n", "data: {\"type\":\"message_stop\"}\n\n"}[i]; err != nil || !bytes.HasSuffix(b, []byte(last)) {
				t.Errorf("%s: the stream ended with %v after %q", paths[i], err, b)
			}
		}
	})
	stage(t, "nothing else was sent", func(t *testing.T) {
		if n := len(c.bravo.Requests()); n != 0 {
			t.Errorf("bravo received %d requests", n)
		}
		if n := c.processed(t); n != 4 {
			t.Errorf("providers received %d requests, want 4", n)
		}
	})
	g.Relaunch()
}

// killedUnderLoad kills Weir again and again while clients send requests. They get
// responses of a provider and clean refusals, and no connection is lost.
func (c closing) killedUnderLoad(t *testing.T, g *gatewaytest.Served) {
	var served, refused, calls atomic.Int64
	c.alpha.Respond(func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		if calls.Add(1)%2 == 0 {
			w.WriteHeader(500) // the second attempt needs Weir again
			return
		}
		_, _ = io.WriteString(w, "alpha is fine")
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var workers sync.WaitGroup
	for i := range 8 {
		path := []string{"/v1/chat/completions", "/v1/messages"}[i%2]
		client := []*http.Client{http1(t), http2(t)}[i/2%2]
		workers.Go(func() {
			for ctx.Err() == nil {
				a := post(t, client, g.URL+path, []byte(twoTries), true)
				switch {
				case a.Status == 200 && (a.Body == "alpha is fine" || strings.Contains(a.Body, "bravo answers as m")):
					served.Add(1)
				case a.Status == 503:
					wantUnavailable(t, a, path)
					refused.Add(1)
				default:
					t.Errorf("response %d %s", a.Status, a.Body)
				}
				if t.Failed() {
					return
				}
			}
		})
	}
	more := func(what string, counter *atomic.Int64) {
		until := counter.Load() + 50
		gatewaytest.Eventually(t, what, func() bool { return counter.Load() >= until || t.Failed() })
	}
	for range 8 {
		more("responses", &served)
		g.Kill()
		more("refusals", &refused)
		g.Relaunch()
	}
	more("responses at the end", &served)
	stop()
	workers.Wait()
	if n := c.processed(t); n < int(served.Load()) {
		t.Errorf("providers received %d requests for %d responses", n, served.Load())
	}
	t.Logf("%d responses, %d refusals", served.Load(), refused.Load())
}

// TestRun is about the two processes of `weir run`.
func TestRun(t *testing.T) {
	t.Parallel()
	c := newClosing(t)
	t.Run("port in use", func(t *testing.T) {
		g := gatewaytest.Start(t, c.config)
		second := gatewaytest.New(t, c.config, gatewaytest.Listen(g.Address()))
		second.Launch("run", "-c", second.Config)
		wantFailure(t, second, "weir: cannot listen on "+g.Address()+": bind: address already in use (is another gateway running? set `listen` or --listen)\n")
		admin := strings.TrimPrefix(g.AdminURL, "http://")
		third := gatewaytest.New(t, c.config, gatewaytest.Args("--admin", admin))
		third.Launch("run", "-c", third.Config)
		wantFailure(t, third, "weir: admin: listen tcp "+admin+": bind: address already in use\n")
		c.alive(t, g)
	})
	t.Run("Envoy dies", func(t *testing.T) {
		g := gatewaytest.Start(t, c.config)
		for range 2 {
			pid := g.EnvoyPID()
			_ = syscall.Kill(pid, syscall.SIGKILL)
			gatewaytest.Eventually(t, "another Envoy on the same port", func() bool {
				if g.EnvoyPID() == pid {
					return false
				}
				resp, err := http.Get(g.URL + "/v1/models")
				if err == nil {
					_ = resp.Body.Close()
				}
				return err == nil
			})
			c.alive(t, g)
		}
	})
	t.Run("weir is killed", func(t *testing.T) {
		g := gatewaytest.Start(t, c.config)
		pid, socket := g.EnvoyPID(), g.Field("weir started", "socket")
		t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(socket)) }) // which nobody is left to do
		g.Kill()
		gatewaytest.Eventually(t, "Envoy to end", func() bool { return !running(pid) })
		again := gatewaytest.New(t, c.config, gatewaytest.Listen(g.Address()))
		again.Launch("run", "-c", again.Config)
		again.WaitReady()
		c.alive(t, again)
	})
	for _, times := range []int{1, 2} {
		t.Run(fmt.Sprintf("Ctrl-C, %d times", times), func(t *testing.T) { c.interrupted(t, times) })
	}
}

// alive checks that a gateway serves.
func (c closing) alive(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	if a := g.Post("/v1/chat/completions", `{"model":"alpha:m"}`); a.Status != 200 {
		t.Errorf("response %d %s", a.Status, a.Body)
	}
	if n := c.processed(t); n != 1 {
		t.Errorf("providers received %d requests, want 1", n)
	}
}

// interrupted presses Ctrl-C while a stream runs: the first time it may end,
// the second time it is cut. Nothing is left either way.
func (c closing) interrupted(t *testing.T, times int) {
	// Ports that no other process can be given when weir has ended.
	g := gatewaytest.Start(t, c.config, gatewaytest.Args("--admin", gatewaytest.FreeAddr(t)), gatewaytest.Command("", func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a shell's job
	}))
	pid, socket := g.EnvoyPID(), g.Field("weir started", "socket")
	gate := make(chan struct{})
	c.alpha.Script(recorder.Gated(gate))
	resp, err := http1(t).Post(g.URL+"/v1/chat/completions", "application/json", strings.NewReader(streamed))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	stream := bufio.NewReader(resp.Body)
	stage(t, "a stream runs", func(t *testing.T) {
		gate <- struct{}{}
		if line, err := stream.ReadString('\n'); !strings.HasPrefix(line, "data: ") {
			t.Fatalf("%q %v", line, err)
		}
	})
	interrupt := func(t *testing.T) {
		t.Helper()
		if err := syscall.Kill(-g.Cmd.Process.Pid, syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	stage(t, "no new connections", func(t *testing.T) {
		interrupt(t)
		gatewaytest.Eventually(t, "a refused connection", func() bool {
			conn, err := net.Dial("tcp", g.Address())
			if err == nil {
				_ = conn.Close()
			}
			return errors.Is(err, syscall.ECONNREFUSED)
		})
	})
	stage(t, "the stream ends", func(t *testing.T) {
		if times == 1 {
			close(gate)
		} else {
			interrupt(t)
		}
		b, err := io.ReadAll(stream)
		if whole := err == nil && bytes.HasSuffix(b, []byte("data: [DONE]\n\n")); whole != (times == 1) {
			t.Errorf("the stream ended with %v after %q", err, b)
		}
	})
	stage(t, "nothing is left", func(t *testing.T) {
		if err := g.Wait(); err != nil {
			t.Errorf("weir ended with %v", err)
		}
		if running(pid) {
			t.Error("Envoy still runs")
		}
		if _, err := os.Stat(filepath.Dir(socket)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the folder of the socket: %v", err)
		}
		for _, address := range []string{g.Address(), strings.TrimPrefix(g.AdminURL, "http://")} {
			l, err := net.Listen("tcp", address)
			if err != nil {
				t.Errorf("%s is not free: %v", address, err)
				continue
			}
			_ = l.Close()
		}
	})
	c.processed(t)
}

// running reports whether a process runs. A process that has ended but that nobody has
// waited for does not run.
func running(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil
	}
	_, state, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(state, "Z")
}
