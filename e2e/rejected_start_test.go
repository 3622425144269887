package e2e

import (
	"fmt"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// Where Envoy refuses the first configuration, the log and /healthz say what of
// the file is to be changed, and a corrected file is all that is needed.
func TestRejectedAtStart(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	address := gatewaytest.FreeAddr(t)
	config := func(listen string) string {
		return fmt.Sprintf("admin: {listen: '127.0.0.1:0'}\nallow_anonymous: true\nlisten: %s\nproviders: [{id: p, base_url: %q, models: [{id: m}]}]", listen, p.URL())
	}
	first := gatewaytest.Serve(t, config("'"+address+"'"))
	first.Kill()
	// Not an address of this machine: RFC 5737.
	s := gatewaytest.New(t, config("['"+address+"', '192.0.2.1:8080']"), gatewaytest.Listen(), gatewaytest.Args("--socket", first.Field("weir started", "socket")))
	s.Launch("serve", "-c", s.Config)
	s.AdminURL = "http://" + s.Field("weir started", "admin")
	problem := func() bool { return strings.Contains(s.Admin("/healthz"), "weir.yaml:3: listen: envoy ") }
	gatewaytest.Eventually(t, "the problem in /healthz", problem)
	gatewaytest.Eventually(t, "the problem in the log", func() bool {
		return strings.Contains(s.Log(), "configuration rejected by envoy: not ready until it is corrected")
	})
	if ready := s.Admin("/readyz"); !strings.Contains(ready, "not ready") {
		t.Errorf("/readyz: %s", ready)
	}
	s.Write(config("'"+address+"'") + "\n# corrected\n")
	gatewaytest.Eventually(t, "an end of the problem", func() bool { return !problem() && strings.Contains(s.Admin("/readyz"), "ready") })
	s.URL = "http://" + address
	if a := s.Post("/v1/chat/completions", `{"model":"m","messages":[]}`); a.Status != 200 {
		t.Errorf("response %d %s", a.Status, a.Body)
	}
}
