package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// reachable asks a gateway by each of the two loopback addresses.
func reachable(t *testing.T, port string) (v4, v6 bool) {
	t.Helper()
	ask := func(host string) bool {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: gatewaytest.Patience}
		resp, err := client.Get("http://" + net.JoinHostPort(host, port) + "/v1/models")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 {
			t.Errorf("%s: response %d %s", host, resp.StatusCode, b)
		}
		return true
	}
	return ask("127.0.0.1"), ask("::1")
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestListen: which addresses are served, by the file and by the flag.
func TestListen(t *testing.T) {
	p := recorder.Start(t, recorder.WithName("p"))
	config := func(listen string) string {
		return fmt.Sprintf("listen: %s\nallow_anonymous: true\nproviders: [{id: p, base_url: %q, models: [{id: m}]}]\n", listen, p.URL())
	}
	fresh := func() string { return portOf(t, gatewaytest.FreeAddr(t)) }
	both, named, v4, v6 := fresh(), fresh(), fresh(), fresh()
	g := gatewaytest.Start(t, config(fmt.Sprintf(`[":%s", "localhost:%s", "127.0.0.1:%s", "[::1]:%s", "127.0.0.1:0"]`, both, named, v4, v6)), gatewaytest.Listen())

	var health struct{ Listen []string }
	if err := json.Unmarshal([]byte(g.Admin("/healthz")), &health); err != nil {
		t.Fatal(err)
	}
	if got := g.Field("ready", "listen"); got != strings.Join(health.Listen, ", ") || len(health.Listen) != 6 {
		t.Errorf("the log has %q, /healthz %q", got, health.Listen)
	}
	ports := map[string]string{}
	for _, socket := range health.Listen {
		ports[portOf(t, socket)] = socket
	}
	for _, test := range []struct {
		port   string
		v4, v6 bool
	}{{both, true, true}, {named, true, true}, {v4, true, false}, {v6, false, true}, {portOf(t, health.Listen[5]), true, false}} {
		if got4, got6 := reachable(t, test.port); got4 != test.v4 || got6 != test.v6 {
			t.Errorf("%s: IPv4 %v, IPv6 %v", ports[test.port], got4, got6)
		}
	}

	// The client's address is IPv4 where it is, also on a socket of both families.
	g.URL = "http://127.0.0.1:" + both
	line := loggedAs(t, g, g.Post("/v1/chat/completions", `{"model":"p:m"}`).Header).request
	if line.ClientIP != "127.0.0.1" {
		t.Errorf("client_ip %q", line.ClientIP)
	}

	// A reload moves the gateway.
	moved := fresh()
	g.Reload(config(fmt.Sprintf(`["[::]:%s"]`, moved)))
	if v4, v6 := reachable(t, moved); !v4 || !v6 {
		t.Errorf("after the reload: IPv4 %v, IPv6 %v", v4, v6)
	}
	gatewaytest.Eventually(t, "the old addresses to be closed", func() bool {
		return !slices.ContainsFunc([]string{both, named, v4}, func(p string) bool {
			conn, err := net.Dial("tcp", "127.0.0.1:"+p)
			if err == nil {
				_ = conn.Close()
			}
			return err == nil
		})
	})

	t.Run("one of them is taken", func(t *testing.T) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		second := gatewaytest.New(t, config("localhost:0"), gatewaytest.Listen(gatewaytest.FreeAddr(t), taken.Addr().String()))
		second.Launch("run", "-c", second.Config)
		wantFailure(t, second, "weir: cannot listen on "+taken.Addr().String()+": bind: address already in use (is another gateway running? set `listen` or --listen)\n")
	})
}
