package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
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

const (
	loudKey  = "key-of-the-loud-client-01"
	quietKey = "key-of-the-quiet-client-1"
	ownKey   = "key-with-limits-of-its-own"
)

// startLimited starts a gateway with low limits and three keys.
func startLimited(t *testing.T, limits, more string, p *recorder.Provider) *gatewaytest.Gateway {
	t.Helper()
	return gatewaytest.Start(t, limitedConfig(limits, more, p))
}

func limitedConfig(limits, more string, p *recorder.Provider) string {
	return fmt.Sprintf(`
%s
limits: %s
access_keys:
  - {name: loud, value: %s}
  - {name: quiet, value: %s}
  - {name: own, value: %s, limits: {max_requests: 1}}
providers:
  - {id: p, base_url: "%s", supported_api_surfaces: [{format: openai}, {format: anthropic}], models: [{id: m}]}
  - {id: gone, base_url: "http://127.0.0.1:1", models: [{id: m2}]}
`, more, limits, loudKey, quietKey, ownKey, p.URL())
}

func bearer(key string) []string { return []string{"Authorization", "Bearer " + key} }

// inUse waits until so many requests count.
func inUse(t *testing.T, g *gatewaytest.Gateway, n int) {
	t.Helper()
	gatewaytest.Eventually(t, fmt.Sprintf("%d running requests", n), func() bool {
		return metric(t, g, "weir_requests_running") == fmt.Sprint(n)
	})
}

// hold starts streams that last until they are let go.
func hold(t *testing.T, g *gatewaytest.Gateway, p *recorder.Provider, client *http.Client, key string, n int) (release func(), held []*stream) {
	t.Helper()
	gate := make(chan struct{})
	for range n {
		p.Script(recorder.Gated(gate))
	}
	for range n {
		s := open(t, client, g.URL, `{"model":"p:m","stream":true}`, bearer(key)...)
		if s.resp.StatusCode != 200 {
			t.Fatalf("response %d", s.resp.StatusCode)
		}
		held = append(held, s)
	}
	return sync.OnceFunc(func() { close(gate) }), held
}

// wantLimited checks a refusal by a limit.
func wantLimited(t *testing.T, a gatewaytest.Response, path string, status int, code, message string) {
	t.Helper()
	if a.Status != status || a.Header.Get("Retry-After") != "1" {
		t.Errorf("status %d, Retry-After %q; want %d with 1", a.Status, a.Header.Get("Retry-After"), status)
	}
	if want := errorBody(path, code, message); a.Body != want {
		t.Errorf("body %s\nwant %s", a.Body, want)
	}
}

// One key at its limit is refused; the others are served.
func TestRequestsOfAKeyAreLimited(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, more string
		client     func(*testing.T) *http.Client
	}{
		{"HTTP/1.1", "", http1},
		{"HTTP/2", "", http2},
		{"without telemetry", "telemetry: {disabled: true}", http1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := recorder.Start(t)
			g := startLimited(t, "{max_requests: 6, max_requests_per_key: 3, max_wait: 50ms}", c.more, p)
			client := c.client(t)
			release, _ := hold(t, g, p, client, loudKey, 3)
			inUse(t, g, 3)
			const limited = "this access key has reached its limit of 3 running requests: wait until one ends"
			for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1/embeddings"} {
				wantLimited(t, g.Post(path, `{"model":"p:m"}`, bearer(loudKey)...), path, 429, "rate_limit", limited)
			}
			// What the gateway answers itself takes no room, and needs none.
			if a := g.Get("/v1/models", bearer(loudKey)...); a.Status != 200 {
				t.Errorf("the list of models: %d %s", a.Status, a.Body)
			}
			if a := g.Post("/v1/chat/completions", `{"model":"p:m"}`); a.Status != 401 {
				t.Errorf("without a key: %d %s", a.Status, a.Body)
			}
			for range 3 {
				if a := g.Post("/v1/chat/completions", `{"model":"nowhere"}`, bearer(quietKey)...); a.Status != 404 {
					t.Errorf("an unknown model: %d %s", a.Status, a.Body)
				}
				if a := g.Post("/v1/chat/completions", `{"model":"p:m"}`, bearer(quietKey)...); a.Status != 200 {
					t.Errorf("the other key: %d %s", a.Status, a.Body)
				}
			}
			// A key's own limit.
			inUse(t, g, 3)
			releaseOwn, _ := hold(t, g, p, client, ownKey, 1)
			wantLimited(t, g.Post("/v1/chat/completions", `{"model":"p:m"}`, bearer(ownKey)...), "", 429, "rate_limit",
				"this access key has reached its limit of 1 running requests: wait until one ends")
			// The gateway's limit.
			releaseQuiet, _ := hold(t, g, p, client, quietKey, 2)
			const full = "the gateway has reached its limit of running requests: try again in 1s"
			for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
				wantLimited(t, g.Post(path, `{"model":"p:m"}`, bearer(quietKey)...), path, 503, "overloaded", full)
			}
			var h struct {
				Status string
				Limits []struct {
					Limit     string
					Active    bool
					OneClient bool `json:"one_client"`
				}
			}
			if err := json.Unmarshal([]byte(g.Admin("/healthz")), &h); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(h); got != "{degraded [{key_requests true true} {requests true false}]}" {
				t.Errorf("/healthz has %s", got)
			}
			for name, want := range map[string]string{
				`weir_limit_reached_total{limit="key_requests"}`: "4", `weir_limit_reached_total{limit="requests"}`: "2",
				`weir_limit_in_use{limit="requests"}`: "6", `weir_limit_in_use{limit="key_requests"}`: "3",
				`weir_limit_value{limit="requests"}`: "6", `weir_requests_refused_total{code="rate_limit"}`: "4",
			} {
				if got := metric(t, g, name); got != want {
					t.Errorf("%s is %s, want %s", name, got, want)
				}
			}
			release()
			releaseOwn()
			releaseQuiet()
			inUse(t, g, 0)
			if a := g.Post("/v1/chat/completions", `{"model":"p:m"}`, bearer(loudKey)...); a.Status != 200 {
				t.Errorf("after the end of the others: %d %s", a.Status, a.Body)
			}
		})
	}
}

// Bodies are refused before they are read, and a slow one of one key does not
// keep those of others out.
func TestBodiesOfAKeyAreLimited(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	g := startLimited(t, "{max_buffered_body_bytes: 400000, max_buffered_body_bytes_per_key: 200000, max_wait: 50ms}", "max_body_bytes: 100000", p)
	const limited = "this access key has reached its limit of 200000 bytes of request bodies: wait until a request ends"
	for _, c := range []struct {
		name   string
		client func(*testing.T) *http.Client
		length int64
	}{
		{"HTTP/1.1", http1, 100000},
		{"HTTP/1.1, chunked", http1, -1},
		{"HTTP/2", http2, 100000},
		{"HTTP/2, no length", http2, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			// begin sends headers and one byte of the body, and no more.
			begin := func(key, path string) *upload {
				return startUpload(t, c.client(t), g.URL+path, c.length, bearer(key)...)
			}
			first, second := begin(loudKey, "/v1/chat/completions"), begin(loudKey, "/v1/chat/completions")
			inUse(t, g, 2)
			for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
				// The rest of the body never comes: the response is there without it.
				wantLimited(t, begin(loudKey, path).wait(t), path, 429, "rate_limit", limited)
			}
			for _, client := range []*http.Client{http1(t), http2(t)} {
				resp := send(t, client, g.URL+"/v1/chat/completions", strings.NewReader(`{"model":"p:m","x":"`+strings.Repeat("x", 90_000)+`"}`), bearer(quietKey)...)
				if b, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || err != nil {
					t.Errorf("the other key: %d %s, %v", resp.StatusCode, b, err)
				}
			}
			inUse(t, g, 2)
			third, fourth := begin(quietKey, "/v1/messages"), begin(quietKey, "/v1/messages")
			inUse(t, g, 4)
			wantLimited(t, g.Post("/v1/chat/completions", `{"model":"p:m"}`, bearer(ownKey)...), "", 503, "overloaded",
				"the gateway has reached its limit of bytes of request bodies: try again in 1s")
			for _, u := range []*upload{first, second, third, fourth} {
				u.leave()
			}
			inUse(t, g, 0)
		})
	}
	t.Run("the true size counts", func(t *testing.T) {
		// Chunked bodies of a few bytes, held: none counts as the largest.
		gate := make(chan struct{})
		const n = 8
		for range n {
			p.Script(recorder.Gated(gate))
		}
		for range n {
			resp := send(t, http1(t), g.URL+"/v1/chat/completions", io.MultiReader(strings.NewReader(`{"model":"p:m","stream":true}`)), bearer(loudKey)...)
			if resp.StatusCode != 200 {
				t.Errorf("status %d", resp.StatusCode)
			}
		}
		if got := metric(t, g, `weir_limit_in_use{limit="buffered_body_bytes"}`); got != fmt.Sprint(n*len(`{"model":"p:m","stream":true}`)) {
			t.Errorf("%s bytes in use", got)
		}
		close(gate)
		inUse(t, g, 0)
	})
	if got := metric(t, g, `weir_limit_in_use{limit="buffered_body_bytes"}`); got != "0" {
		t.Errorf("%s bytes in use at the end", got)
	}
}

// upload is a request whose body stops after its first byte.
type upload struct {
	leave  func()
	answer chan gatewaytest.Response
}

// startUpload starts one; the length is -1 if it is not declared.
func startUpload(t *testing.T, client *http.Client, url string, length int64, header ...string) *upload {
	t.Helper()
	ctx, leave := context.WithTimeout(t.Context(), gatewaytest.Patience)
	t.Cleanup(leave)
	body, first := io.Pipe()
	t.Cleanup(func() { _ = body.Close() })
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = length
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	u := &upload{leave, make(chan gatewaytest.Response, 1)}
	go func() { _, _ = first.Write([]byte("{")) }()
	go func() {
		resp, err := client.Do(req)
		if err != nil {
			u.answer <- gatewaytest.Response{Err: err}
			return
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		u.answer <- gatewaytest.Response{Status: resp.StatusCode, Header: resp.Header, Body: string(b), Err: err}
	}()
	return u
}

// wait returns what the client gets.
func (u *upload) wait(t *testing.T) gatewaytest.Response {
	t.Helper()
	select {
	case a := <-u.answer:
		return a
	case <-time.After(gatewaytest.Patience):
		t.Fatal("no answer")
		return gatewaytest.Response{}
	}
}

// send sends a JSON body, chunked if its length is not to be seen, and returns
// as soon as the headers of the response are there.
func send(t *testing.T, client *http.Client, url string, body io.Reader, header ...string) *http.Response {
	t.Helper()
	resp, err := client.Do(newPost(t.Context(), t, url, body, header...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// Requests of one client that follow each other are not refused because their
// ends are reported late.
func TestSequentialRequestsAreNotRefused(t *testing.T) {
	withAndWithoutTelemetry(t, requestsInTurnAreNotRefused)
}

func requestsInTurnAreNotRefused(t *testing.T, telemetry string) {
	p := recorder.Start(t)
	g := startLimited(t, "{max_requests: 8, max_requests_per_key: 2}", telemetry, p)
	var refused atomic.Int32
	var clients sync.WaitGroup
	for range 2 {
		client := http1(t)
		clients.Go(func() {
			for range 40 {
				resp := send(t, client, g.URL+"/v1/chat/completions", strings.NewReader(`{"model":"p:m"}`), bearer(loudKey)...)
				if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
					refused.Add(1)
				}
			}
		})
	}
	clients.Wait()
	if n := refused.Load(); n > 0 {
		t.Errorf("%d of 80 requests were refused", n)
	}
	inUse(t, g, 0)
}

// However a request ends, its room comes back.
func TestLimitsAreReleased(t *testing.T) {
	withAndWithoutTelemetry(t, roomComesBack)
}

func roomComesBack(t *testing.T, telemetry string) {
	p := recorder.Start(t)
	g := startLimited(t, "{max_requests: 40, max_requests_per_key: 20}", telemetry, p)
	for round := range 3 {
		client := []*http.Client{http1(t), http2(t)}[round%2]
		// Streams whose client leaves.
		release, held := hold(t, g, p, client, loudKey, 4)
		for _, s := range held {
			s.cancel()
		}
		// Streams that the provider cuts.
		for range 3 {
			p.Script(recorder.CutMidStream(1))
		}
		for range 3 {
			s := open(t, client, g.URL, `{"model":"p:m","stream":true}`, bearer(loudKey)...)
			_, _ = s.rest()
		}
		// Failover, and no provider at all.
		if a := g.Post("/v1/chat/completions", `{"models":["gone:m2","p:m"]}`, bearer(loudKey)...); a.Status != 200 {
			t.Errorf("failover: %d %s", a.Status, a.Body)
		}
		if a := g.Post("/v1/chat/completions", `{"model":"gone:m2"}`, bearer(loudKey)...); a.Status != 502 {
			t.Errorf("no provider: %d %s", a.Status, a.Body)
		}
		// Refusals before and after the body, and bodies that never come.
		for _, body := range []string{`{`, `{"model":"nowhere"}`, `{"model":"p:m","model":"p:m"}`} {
			g.Post("/v1/chat/completions", body, bearer(loudKey)...)
		}
		for _, rest := range []string{"", `{"mod`} {
			conn := g.Dial()
			_, _ = fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n%s", loudKey, rest)
			_ = conn.Close()
		}
		release()
	}
	inUse(t, g, 0)
	if got := metric(t, g, "weir_requests_lost_total"); got != "0" {
		t.Errorf("%s requests ended without a report", got)
	}
}

// A request is known again whatever its x-request-id became.
func TestLimitsAreReleasedWithAnotherRequestID(t *testing.T) {
	p := recorder.Start(t)
	g := gatewaytest.Start(t, "providers:\n  - {id: p, base_url: \""+p.URL()+"\", headers: {X-Request-Id: same}}\n")
	release, _ := hold(t, g, p, http1(t), "none", 3)
	for range 5 {
		g.Post("/v1/chat/completions", `{"model":"p:m"}`)
	}
	inUse(t, g, 3)
	release()
	inUse(t, g, 0)
	if got := metric(t, g, "weir_requests_lost_total"); got != "0" {
		t.Errorf("%s requests ended without a report", got)
	}
}

// A reload changes the limits of what comes, and forgets nothing that runs.
func TestLimitsAreReloaded(t *testing.T) {
	p := recorder.Start(t)
	g := startLimited(t, "{max_requests: 10, max_requests_per_key: 4, max_wait: 1ms}", "", p)
	release, _ := hold(t, g, p, http1(t), loudKey, 3)
	g.Reload(limitedConfig("{max_requests: 10, max_requests_per_key: 2, max_wait: 1ms}", "", p))
	wantLimited(t, g.Post("/v1/chat/completions", `{"model":"p:m"}`, bearer(loudKey)...), "", 429, "rate_limit",
		"this access key has reached its limit of 2 running requests: wait until one ends")
	inUse(t, g, 3)
	g.Reload(limitedConfig("{max_requests: 10, max_requests_per_key: 5, max_wait: 1ms}", "", p))
	if a := g.Post("/v1/chat/completions", `{"model":"p:m"}`, bearer(loudKey)...); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	release()
	inUse(t, g, 0)
}

// A restarted weir learns which requests still run; a restart cuts no response.
func TestLimitsAfterRestart(t *testing.T) {
	withAndWithoutTelemetry(t, limitsAfterRestart)
}

// withAndWithoutTelemetry runs a test with both of the logs that requests are
// counted by.
func withAndWithoutTelemetry(t *testing.T, test func(t *testing.T, telemetry string)) {
	for name, telemetry := range map[string]string{"with telemetry": "", "without telemetry": "telemetry: {disabled: true}"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, telemetry)
		})
	}
}

func limitsAfterRestart(t *testing.T, telemetry string) {
	p := recorder.Start(t)
	g := gatewaytest.Serve(t, limitedConfig("{max_requests: 10, max_requests_per_key: 3, max_wait: 1ms}", telemetry, p))
	release, held := hold(t, g.Gateway, p, http1(t), loudKey, 3)
	g.Kill()
	g.Relaunch()
	inUse(t, g.Gateway, 3)
	wantLimited(t, g.Post("/v1/chat/completions", `{"model":"p:m"}`, bearer(loudKey)...), "", 429, "rate_limit",
		"this access key has reached its limit of 3 running requests: wait until one ends")
	release()
	for _, s := range held {
		if b, err := s.rest(); err != nil || !strings.HasSuffix(b, "data: [DONE]\n\n") {
			t.Errorf("the stream ended with %v after %q", err, b)
		}
	}
	inUse(t, g.Gateway, 0)
}

// Requests of an Envoy that is gone do not count for ever.
func TestLimitsAreReleasedWhenEnvoyDies(t *testing.T) {
	withAndWithoutTelemetry(t, limitsAreReleasedWhenEnvoyDies)
}

func limitsAreReleasedWhenEnvoyDies(t *testing.T, telemetry string) {
	p := recorder.Start(t)
	g := startLimited(t, "{max_requests: 10, max_requests_per_key: 3, max_wait: 1ms}", telemetry, p)
	release, _ := hold(t, g, p, http1(t), loudKey, 3)
	defer release()
	inUse(t, g, 3)
	if err := syscall.Kill(g.EnvoyPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	inUse(t, g, 0)
	if got := metric(t, g, "weir_requests_lost_total"); got != "3" {
		t.Errorf("%s requests ended without a report, want 3", got)
	}
}

// Clients without a key are limited by their address.
func TestRequestsWithoutKeysAreLimited(t *testing.T) {
	p := recorder.Start(t)
	g := gatewaytest.Start(t, "limits: {max_requests: 3, max_requests_per_key: 2, max_wait: 1ms}\nproviders:\n  - {id: p, base_url: \""+p.URL()+"\"}\n")
	release, _ := hold(t, g, p, http1(t), "anything", 2)
	wantLimited(t, g.Post("/v1/chat/completions", `{"model":"p:m"}`), "", 429, "rate_limit",
		"this client has reached its limit of 2 running requests: wait until one ends")
	release()
	inUse(t, g, 0)
	if b := []byte(g.Admin("/metrics")); bytes.Contains(b, []byte("127.0.0.1")) {
		t.Error("metrics show the client's address")
	}
}
