package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

const (
	narrowKey = "narrow-key-0123456789"
	wideKey   = "wide-key-01234567890123"
	otherKey  = "other-key-0123456789012"
)

// ejectKeys is eject with three access keys; one of them may use alpha alone.
func ejectKeys(t *testing.T, fields string) *ejecting {
	t.Helper()
	e := &ejecting{alpha: recorder.Start(t, recorder.WithName("alpha")), bravo: recorder.Start(t, recorder.WithName("bravo"))}
	e.config = fmt.Sprintf(`
telemetry: {access_log: "off"}
access_keys:
  - {name: narrow, value: %s, configuration: {access: {models: {allow: ["alpha:m"]}}}}
  - {name: wide, value: %s}
  - {name: other, value: %s}
on_http_request:
  - type: ai-gateway
    config:
      only_allow_configured_providers: true
      %s
      providers:
        - {id: alpha, base_url: %q, api_keys: [{value: key-of-alpha}], models: [{id: m}]}
        - {id: bravo, base_url: %q, models: [{id: m}]}
`, narrowKey, wideKey, otherKey, fields, e.alpha.URL(), e.bravo.URL())
	e.Gateway = gatewaytest.Start(t, e.config, gatewaytest.Secrets(narrowKey, wideKey, otherKey, "key-of-alpha"))
	return e
}

func (e *ejecting) from(key, body string) gatewaytest.Response {
	return e.Post("/v1/chat/completions", body, "Authorization", "Bearer "+key)
}

// servedBy is who answers a request of a key, and after how many attempts.
func (e *ejecting) servedBy(key string) string {
	a := e.from(key, anyModel)
	return a.Header.Get("X-Weir-Provider") + " " + a.Header.Get("X-Weir-Attempts")
}

// A key that makes its provider fail, by whatever means, sends its own requests
// elsewhere at most.
func TestEjectionByOneKey(t *testing.T) {
	t.Parallel()
	e := ejectKeys(t, patient+"outlier_detection: {base_ejection_time: 1h, max_ejection_time: 1h}")
	means := map[string]func(w http.ResponseWriter, r *http.Request){
		"status 504": func(w http.ResponseWriter, _ *http.Request) { answer(w, 504) },
		"status 403": func(w http.ResponseWriter, _ *http.Request) { answer(w, 403) },
		"redirect": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			answer(w, 307)
		},
		"limit": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			answer(w, 429)
		},
		"error as an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, `{"error":{"message":"x","type":"server_error"}}`)
		},
		"page":       func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<html>") },
		"reset":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"silence":    func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"status 500": func(w http.ResponseWriter, _ *http.Request) { answer(w, 500) },
	}
	e.alpha.Respond(func(w http.ResponseWriter, r *http.Request, body []byte) {
		for name, respond := range means {
			if strings.Contains(string(body), name) {
				respond(w, r)
				return
			}
		}
		answer(w, http.StatusOK)
	})
	attempts := 0
	// The last ones are failures whether another attempt could follow or not.
	names := append(slices.Sorted(maps.Keys(means)), "status 500")
	for _, name := range names {
		var clients sync.WaitGroup // at the same time: silence takes a while
		for range 6 {
			attempts++
			clients.Go(func() { e.from(narrowKey, fmt.Sprintf(`{"model":"m","messages":[],"user":%q}`, name)) })
		}
		clients.Wait()
	}
	known := func(n int) func() bool {
		return func() bool {
			return strings.Contains(e.Admin("/metrics"), fmt.Sprintf("weir_access_log_records_total{kind=\"attempt\"} %d\n", n))
		}
	}
	e.until(t, "all attempts to be counted", known(attempts))
	e.until(t, "the ejection for the key", func() bool {
		got, _ := e.ejected(t)
		return strings.Contains(e.Admin("/healthz"), `"access_key": "narrow"`) && strings.HasPrefix(got, "alpha alpha#1")
	})
	for range 5 {
		if got := e.servedBy(wideKey); got != "alpha 1" {
			t.Errorf("another key is served by %s", got)
		}
	}
	e.hasMetrics(t,
		`weir_ejected{model="",provider="alpha",provider_key="alpha#1"} 0`,
		`weir_ejected_keys{provider="alpha",provider_key="alpha#1"} 1`,
	)
}

// What a key has met counts for it at once, and for all when a second key has
// met it, too.
func TestEjectionByTwoKeys(t *testing.T) {
	t.Parallel()
	e := ejectKeys(t, "outlier_detection: {base_ejection_time: 1h, max_ejection_time: 1h}")
	status(e.alpha, 500)
	e.until(t, "the ejection for one key", func() bool { return e.servedBy(wideKey) == "bravo 1" })
	if got := e.servedBy(otherKey); got != "bravo 2" {
		t.Errorf("a key that has met no failure is served by %s", got)
	}
	e.until(t, "the ejection for all", func() bool {
		e.servedBy(otherKey)
		return e.metric(`weir_ejected{model="",provider="alpha",provider_key="alpha#1"} 1`)
	})
	if got := e.servedBy(otherKey); got != "bravo 1" {
		t.Errorf("the other key is served by %s", got)
	}
}

// A provider that cannot be reached is no client's doing.
func TestEjectionOfUnreachableByOneKey(t *testing.T) {
	t.Parallel()
	e := ejectKeys(t, "outlier_detection: {base_ejection_time: 1h, max_ejection_time: 1h}")
	closed := gatewaytest.FreeAddr(t)
	e.Reload(strings.Replace(e.config, e.alpha.URL(), "http://"+closed, 1))
	e.until(t, "the ejection for one key", func() bool { return e.servedBy(wideKey) == "bravo 1" })
	if got := e.servedBy(otherKey); got != "bravo 1" {
		t.Errorf("another key is served by %s", got)
	}
}
