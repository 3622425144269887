package e2e

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	h2 "golang.org/x/net/http2"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestResets: clients behind one HTTP/2 proxy cancel many requests, and the
// streams of the others on that connection live on. A flood of resets costs the
// one who sends it its connection.
func TestResets(t *testing.T) {
	p := recorder.Start(t, recorder.WithName("p"))
	g := gatewaytest.Start(t, fmt.Sprintf("providers: [{id: p, base_url: %q, models: [{id: m}]}]\n", p.URL()))
	head := []string{":method", "POST", ":scheme", "http", ":path", "/v1/chat/completions", ":authority", "h", "content-type", "application/json"}
	open := func(f *h2.Framer, stream uint32, body string) {
		t.Helper()
		headers(f, stream, head, false)
		if err := f.WriteData(stream, true, []byte(body)); err != nil {
			t.Fatalf("stream %d: %v", stream, err)
		}
	}
	cancel := func(f *h2.Framer, stream uint32) error { return f.WriteRSTStream(stream, h2.ErrCodeCancel) }

	t.Run("quick cancels", func(t *testing.T) {
		const cancels = 900
		gate := make(chan struct{})
		p.Script(recorder.Gated(gate)) // of a stream that others must not cut
		conn := g.Dial()
		f := begin(conn)
		open(f, 1, `{"model":"p:m","stream":true}`)
		p.WaitRequests(t, 1)
		for i := range uint32(cancels) {
			stream := 2*i + 3
			open(f, stream, `{"model":"p:m"}`)
			if err := cancel(f, stream); err != nil {
				t.Fatalf("after %d cancels: %v", i, err)
			}
		}
		close(gate)
		text := ""
		for ended := false; !ended; {
			frame, err := f.ReadFrame()
			if err != nil {
				t.Fatalf("the connection ended: %v", err)
			}
			switch frame := frame.(type) {
			case *h2.GoAwayFrame:
				t.Fatalf("GOAWAY %v", frame.ErrCode)
			case *h2.RSTStreamFrame:
				if frame.StreamID == 1 {
					t.Fatalf("the stream was reset: %v", frame.ErrCode)
				}
			case *h2.DataFrame:
				if frame.StreamID == 1 {
					text += string(frame.Data())
					ended = frame.StreamEnded()
				}
			}
		}
		if text == "" {
			t.Error("the stream is empty")
		}
	})
	p.Reset()

	t.Run("cancelled at once", func(t *testing.T) {
		const cancels = 500
		var flood bytes.Buffer
		f := begin(&flood)
		for i := range uint32(cancels) {
			headers(f, 2*i+1, head, false)
			if err := cancel(f, 2*i+1); err != nil {
				t.Fatal(err)
			}
		}
		cancelled := func() int { return g.EnvoyStat("^http.weir.downstream_rq_rx_reset$") }
		asked := func() int { return g.EnvoyStat("^http.weir.ext_proc.streams_started$") }
		cancelledBefore, askedBefore := cancelled(), asked()
		if _, err := g.Dial().Write(flood.Bytes()); err != nil {
			t.Fatal(err)
		}
		gatewaytest.Eventually(t, "Envoy to see all of them", func() bool { return cancelled() >= cancelledBefore+cancels })
		if n := asked() - askedBefore; n > cancels/5 {
			t.Errorf("%d of %d cancelled requests got to Weir", n, cancels)
		}
	})

	t.Run("flood", func(t *testing.T) {
		conn := g.Dial()
		f := begin(conn)
		cut := make(chan error, 1)
		go func() {
			for {
				frame, err := f.ReadFrame()
				if goAway, ok := frame.(*h2.GoAwayFrame); ok && goAway.ErrCode != h2.ErrCodeNo {
					err = fmt.Errorf("GOAWAY %v", goAway.ErrCode)
				}
				if err != nil {
					cut <- err
					return
				}
			}
		}()
		for i := range uint32(20_000) {
			headers(f, 2*i+1, head, false)
			if cancel(f, 2*i+1) != nil {
				break // Envoy has had enough
			}
		}
		if err := <-cut; err == nil {
			t.Error("the connection is still open")
		} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Errorf("the connection is still open: %v", err)
		}
		if a := g.Post("/v1/chat/completions", `{"model":"p:m"}`); a.Status != 200 {
			t.Errorf("another client: response %d %s", a.Status, a.Body)
		}
	})
}
