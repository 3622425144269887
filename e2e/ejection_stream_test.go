package e2e

import (
	"io"
	"net/http"
	"sync"
	"testing"

	"weir/internal/recorder"
)

// A provider that sends 200 and then an error is ejected like one that
// sends 500.
func TestEjectionOfErrorsInStreams(t *testing.T) {
	t.Parallel()
	e := eject(t, "outlier_detection: {base_ejection_time: 1h, max_ejection_time: 1h}")
	e.alpha.Respond(func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, `data: {"error":{"message":"overloaded","type":"server_error"}}`+"\n\n")
	})
	e.until(t, "the ejection", func() bool {
		a := e.Post("/v1/chat/completions", `{"model":"m","stream":true,"messages":[]}`)
		if a.Status != http.StatusOK || a.Header.Get("X-Weir-Provider") != "bravo" {
			t.Fatalf("response %d %s of %s", a.Status, a.Body, a.Header.Get("X-Weir-Provider"))
		}
		return e.isEjected(t, "alpha alpha#1 error_answer")()
	})
	e.answered(t, "bravo 1")
}

// A probe whose response is a long stream counts before the stream ends.
func TestEjectionProbedByStream(t *testing.T) {
	t.Parallel()
	e := eject(t, "outlier_detection: {base_ejection_time: 100ms, max_ejection_time: 100ms}")
	status(e.alpha, 500)
	e.until(t, "the ejection", func() bool { e.ask(t); return e.isEjected(t, "alpha alpha#1 status_5xx")() })
	e.alpha.Reset()
	gate := make(chan struct{}, 3)
	for range cap(gate) { // the events that it begins with
		gate <- struct{}{}
	}
	e.alpha.Script(recorder.Gated(gate))
	var open sync.WaitGroup
	open.Go(func() {
		for len(e.alpha.Requests()) == 0 {
			e.Post("/v1/chat/completions", `{"model":"m","stream":true,"messages":[]}`)
		}
	})
	defer open.Wait()
	defer close(gate)
	e.alpha.WaitRequests(t, 1)
	e.until(t, "the return", e.isEjected(t, ""))
}
