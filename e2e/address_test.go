package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// A client that stays connected has its address in the first configuration
// that asks for it.
func TestAddressAfterReload(t *testing.T) {
	provider := recorder.Start(t, recorder.WithName("provider"))
	config := func(body string) string {
		return fmt.Sprintf("on_http_request: [{type: ai-gateway, config: {body: {user: %q}, providers: [{id: p, base_url: '%s', models: [{id: m}]}]}}]\n", body, provider.URL())
	}
	g := gatewaytest.Start(t, config("nobody"))
	conn := g.Dial()
	reader := bufio.NewReader(conn)
	ask := func() {
		t.Helper()
		const body = `{"model":"m","messages":[]}`
		if _, err := fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: weir\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || resp.Close {
			t.Fatalf("response %d %s, %v, close %v", resp.StatusCode, text, err, resp.Close)
		}
	}
	ask()
	g.Reload(config("${conn.client_ip}"))
	ask()
	want := []string{`"user":"nobody"`, `"user":"127.0.0.1"`}
	for i, r := range provider.Requests() {
		if !strings.Contains(string(r.Body), want[i]) {
			t.Errorf("request %d: the provider received %s, want %s", i, r.Body, want[i])
		}
	}
}
