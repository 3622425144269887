package e2e

import (
	"fmt"
	"slices"
	"testing"

	h2 "golang.org/x/net/http2"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestInvalidRequestBehindProxy: a client sends what is not valid through a proxy
// that passes it on, and the streams of other clients on that connection live on.
func TestInvalidRequestBehindProxy(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t, recorder.WithName("p"))
	head := []string{":method", "POST", ":scheme", "http", ":path", "/v1/chat/completions", ":authority", "h", "content-type", "application/json"}
	invalid := map[string][]string{
		"a line break in a header": slices.Concat(head, []string{"x-a", "a\r\nx-b: c"}),
		"a header in upper case":   slices.Concat(head, []string{"X-Upper", "a"}),
		"two content-lengths":      slices.Concat(head, []string{"content-length", "1", "content-length", "2"}),
		"a connection header":      slices.Concat(head, []string{"connection", "close"}),
		"no path":                  {":method", "POST", ":scheme", "http", ":authority", "h"},
		"a space in the path":      {":method", "POST", ":scheme", "http", ":path", "/v1/chat completions", ":authority", "h"},
	}
	for _, setting := range []string{"xff_num_trusted_hops: 1", "trusted_proxies: [127.0.0.1]"} {
		g := gatewaytest.Start(t, fmt.Sprintf("%s\nproviders: [{id: p, base_url: %q, models: [{id: m}]}]\n", setting, p.URL()))
		for name, list := range invalid {
			t.Run(name+", "+setting, func(t *testing.T) {
				gate := make(chan struct{})
				p.Script(recorder.Gated(gate))
				f := begin(g.Dial())
				headers(f, 1, head, false)
				_ = f.WriteData(1, true, []byte(`{"model":"p:m","stream":true}`))
				p.WaitRequests(t, 1)
				headers(f, 3, list, true)
				for stream1, reset := "", false; ; {
					frame, err := f.ReadFrame()
					if err != nil {
						t.Fatalf("the connection ended: %v", err)
					}
					switch frame := frame.(type) {
					case *h2.GoAwayFrame:
						t.Fatalf("GOAWAY %v", frame.ErrCode)
					case *h2.MetaHeadersFrame:
						if frame.StreamID == 3 && !reset {
							reset = true
							close(gate)
						}
					case *h2.RSTStreamFrame:
						if frame.StreamID == 1 {
							t.Fatalf("the stream was reset: %v", frame.ErrCode)
						}
						if !reset {
							reset = true
							close(gate)
						}
					case *h2.DataFrame:
						if frame.StreamID != 1 {
							continue
						}
						if stream1 += string(frame.Data()); frame.StreamEnded() {
							if !reset || stream1 == "" {
								t.Errorf("the stream ended with %q", stream1)
							}
							return
						}
					}
				}
			})
			p.Reset()
		}
	}
}
