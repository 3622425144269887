package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// withOpenFiles runs weir with a soft and a hard limit of open files.
func withOpenFiles(soft, hard int) gatewaytest.Option {
	return gatewaytest.Command("", func(cmd *exec.Cmd) {
		script := fmt.Sprintf(`ulimit -Sn %d && ulimit -Hn %d && exec "$0" "$@"`, soft, hard)
		cmd.Args = append([]string{"sh", "-c", script, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
	})
}

// connectionHealth is the part of /healthz about connections.
type connectionHealth struct {
	Status string `json:"status"`
	Ready  bool   `json:"ready"`
	Envoy  struct {
		State     string `json:"state"`
		PID       int    `json:"pid"`
		Deaths    int    `json:"deaths"`
		LastError string `json:"last_error"`
	} `json:"envoy"`
	Limits []struct {
		Limit  string `json:"limit"`
		Value  int64  `json:"value"`
		Active bool   `json:"active"`
		Total  int    `json:"total"`
		Advice string `json:"advice"`
	} `json:"limits"`
}

func connectionHealthOf(t *testing.T, g *gatewaytest.Gateway) connectionHealth {
	t.Helper()
	var h connectionHealth
	if err := json.Unmarshal([]byte(g.Admin("/healthz")), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// reached waits until a limit is listed as active and was reached so many times,
// and returns its value.
func reached(t *testing.T, g *gatewaytest.Gateway, limit string, times int) (value int64) {
	t.Helper()
	gatewaytest.Eventually(t, "the limit "+limit, func() bool {
		h := connectionHealthOf(t, g)
		for _, l := range h.Limits {
			if l.Limit == limit && l.Active && l.Advice != "" && l.Total >= times {
				value = l.Value
				if h.Status != "degraded" {
					t.Errorf("status %q while %s is active", h.Status, limit)
				}
				return true
			}
		}
		return false
	})
	if want := fmt.Sprintf("weir_limit_active{limit=%q} 1", limit); !strings.Contains(g.Admin("/metrics"), want) {
		t.Errorf("/metrics without %s", want)
	}
	return value
}

// TestSilentConnections: more connections than descriptors. Envoy lives, who has
// a connection is served, and when the silent ones are closed everybody is.
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t, recorder.WithName("p"))
	g := gatewaytest.Start(t, fmt.Sprintf("limits: {client_headers_timeout: 3s}\nenvoy: {concurrency: 2}\nproviders: [{id: p, base_url: %q}]\n", p.URL()),
		withOpenFiles(256, 1024))
	envoy := g.EnvoyPID()
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", envoy)); err == nil {
		for _, line := range strings.Split(string(b), "\n") {
			if f := strings.Fields(line); strings.HasPrefix(line, "Max open files") && (f[3] != "1024" || f[4] != "1024") {
				t.Errorf("envoy has %s", line)
			}
		}
	}
	post := func(client *http.Client) (string, error) {
		resp, err := client.Post(g.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"p:m"}`))
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	slot := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: gatewaytest.Patience}
	if b, err := post(slot); err != nil || !strings.Contains(b, p.ResponseText("m")) {
		t.Fatal(b, err)
	}

	for range 1100 {
		g.Dial()
	}
	if value := reached(t, g, "client_connections", 1100-464); value != 464 {
		t.Errorf("limit %d", value)
	}
	for range 5 {
		if b, err := post(slot); err != nil || !strings.Contains(b, p.ResponseText("m")) {
			t.Errorf("at the limit: %q, %v", b, err)
		}
	}
	if _, err := g.EnvoyAdmin.ActiveRequests(t.Context()); err != nil {
		t.Errorf("Envoy's admin interface at the limit: %v", err)
	}

	// One after the other goes, and a new client gets in.
	gatewaytest.Eventually(t, "a new client is served", func() bool {
		b, err := post(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: gatewaytest.Patience})
		return err == nil && strings.Contains(b, p.ResponseText("m"))
	})
	if now := connectionHealthOf(t, g).Envoy; now.PID != envoy || now.Deaths != 0 || now.State != "running" {
		t.Errorf("envoy was %d, and is %+v", envoy, now)
	}
}

// TestConnectionsToAProvider: requests wait for a connection; those that are too
// many are refused in the shape of their API, and the others are served.
func TestConnectionsToAProvider(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "localhost", "provider.localhost"} {
		t.Run(host, func(t *testing.T) {
			p := recorder.Start(t, recorder.WithName("p"))
			_, port, _ := net.SplitHostPort(p.Addr())
			base := "http://" + net.JoinHostPort(host, port)
			g := gatewaytest.Start(t, fmt.Sprintf("limits: {max_provider_connections: 1}\nenvoy: {concurrency: 1}\nallow_http_hosts: [provider.localhost]\n"+
				"providers: [{id: p, base_url: %q, supported_api_surfaces: [{format: openai}, {format: anthropic}]}]\n", base))
			gate := make(chan struct{})
			p.Script(recorder.Gated(gate))
			type result struct {
				answer gatewaytest.Response
				model  string
			}
			results := make(chan result, 2)
			ask := func(model string) {
				results <- result{g.Post("/v1/chat/completions", fmt.Sprintf(`{"model":"p:%s"}`, model)), model}
			}
			go ask("running")
			p.WaitRequests(t, 1)
			go ask("waiting")
			gatewaytest.Eventually(t, "a request waits", func() bool {
				b, err := g.EnvoyAdmin.Get(t.Context(), "/stats?filter=upstream_rq_pending_active&usedonly&type=Gauges")
				return err == nil && strings.Contains(string(b), "upstream_rq_pending_active: 1")
			})
			for path, body := range map[string]string{
				"/v1/chat/completions": `{"model":"p:refused"}`,
				"/v1/messages":         `{"model":"p:refused","max_tokens":1}`,
			} {
				a := g.Post(path, body)
				if want := errorBody(path, "overloaded", "all connections to the provider are in use: try again"); a.Status != 503 || a.Body != want || a.Header.Get("Retry-After") != "1" {
					t.Errorf("%s: %d %v %s\nwant %s", path, a.Status, a.Header, a.Body, want)
				}
			}
			if value := reached(t, g, "provider_waiting_requests", 2); value != 1 {
				t.Errorf("limit %d", value)
			}
			if value := reached(t, g, "provider_connections", 1); value != 1 {
				t.Errorf("limit %d", value)
			}
			close(gate)
			for range 2 {
				if r := <-results; r.answer.Status != 200 || !strings.Contains(r.answer.Body, `"model":"`+r.model+`"`) {
					t.Errorf("%s: %d %s", r.model, r.answer.Status, r.answer.Body)
				}
			}
			if strings.Contains(g.Admin("/healthz"), `"cause": "overloaded"`) {
				t.Error("a provider is ejected because the gateway has no connection for it")
			}
		})
	}
}

// TestEnvoyThatKeepsDying is started again and again, and weir lives.
func TestEnvoyThatKeepsDying(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t, recorder.WithName("p"))
	g := gatewaytest.Start(t, fmt.Sprintf("providers: [{id: p, base_url: %q}]\n", p.URL()))
	const enough = 6 // one more than a start that never worked has
	deaths := 0
	for last := false; !last; {
		gatewaytest.Eventually(t, "an Envoy", func() bool {
			h := connectionHealthOf(t, g).Envoy
			return h.State == "running" && h.Deaths == deaths
		})
		if err := syscall.Kill(connectionHealthOf(t, g).Envoy.PID, syscall.SIGSEGV); err != nil {
			t.Fatal(err)
		}
		deaths++
		gatewaytest.Eventually(t, "the death", func() bool { return connectionHealthOf(t, g).Envoy.Deaths == deaths })
		if deaths < enough {
			continue
		}
		h, ready, metrics := connectionHealthOf(t, g), g.Admin("/readyz"), g.Admin("/metrics")
		if connectionHealthOf(t, g).Envoy.State == "running" && deaths < enough+3 {
			continue // a busy machine: each wait is longer than the one before
		}
		last = true
		if h.Envoy.State != "restarting" || h.Status != "degraded" || h.Ready || h.Envoy.LastError != "signal: segmentation fault" {
			t.Errorf("/healthz %+v", h)
		}
		if !strings.HasPrefix(ready, "not ready: envoy is not running") {
			t.Errorf("/readyz %q", ready)
		}
		if !strings.Contains(metrics, fmt.Sprintf("\nweir_envoy_restarts_total %d\n", deaths)) || !strings.Contains(metrics, "\nweir_envoy_up 0\n") {
			t.Error("/metrics does not show the deaths")
		}
	}
	gatewaytest.Eventually(t, "a served request", func() bool {
		resp, err := http.Post(g.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"p:m"}`))
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if h := connectionHealthOf(t, g); h.Status != "ok" || !h.Ready || h.Envoy.Deaths != deaths {
		t.Errorf("/healthz %+v", h)
	}
}

// ended waits for the end of a connection and returns what came before.
func ended(t *testing.T, conn net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is still open, after %q", b)
	}
	return string(b)
}
