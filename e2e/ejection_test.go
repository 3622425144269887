package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// patient is a per_request_timeout that ends what is silent, and nothing else, on a busy
// machine.
const patient = "per_request_timeout: 1500ms\n      "

// ejecting is a gateway with two providers of the same two models. Who asks for
// one of them gets alpha's response, or else bravo's.
type ejecting struct {
	*gatewaytest.Gateway
	alpha, bravo *recorder.Provider
	config       string
}

const anyModel = `{"model":"m","messages":[]}`

// eject starts them, with fields of the ai-gateway action.
func eject(t *testing.T, fields string) *ejecting {
	t.Helper()
	e := &ejecting{alpha: recorder.Start(t, recorder.WithName("alpha")), bravo: recorder.Start(t, recorder.WithName("bravo"))}
	e.config = fmt.Sprintf(`
telemetry: {access_log: "off"}
on_http_request:
  - type: ai-gateway
    config:
      only_allow_configured_providers: true
      %s
      providers:
        - {id: alpha, base_url: %q, api_keys: [{value: key-of-alpha}], models: [{id: m}, {id: n}]}
        - {id: bravo, base_url: %q, models: [{id: m}, {id: n}]}
`, fields, e.alpha.URL(), e.bravo.URL())
	e.Gateway = gatewaytest.Start(t, e.config, gatewaytest.Secrets("key-of-alpha"))
	return e
}

// status makes a provider answer with a status.
func status(p *recorder.Provider, code int) {
	p.Respond(func(w http.ResponseWriter, _ *http.Request, _ []byte) { answer(w, code) })
}

func answer(w http.ResponseWriter, code int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = fmt.Fprint(w, `{"choices":[{"index":0,"message":{"role":"assistant","content":"x"}}]}`)
}

// silent makes a provider answer nothing.
func silent(p *recorder.Provider) {
	p.Respond(func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() })
}

// ask sends a request, which must succeed, and returns the provider that answered
// and after how many attempts: "alpha 1".
func (e *ejecting) ask(t *testing.T) string { t.Helper(); return e.askFor(t, anyModel) }

func (e *ejecting) askFor(t *testing.T, body string) string {
	t.Helper()
	a := e.Post("/v1/chat/completions", body)
	if a.Status != http.StatusOK || a.Err != nil {
		t.Fatalf("response %d %s %v", a.Status, a.Body, a.Err)
	}
	return a.Header.Get("X-Weir-Provider") + " " + a.Header.Get("X-Weir-Attempts")
}

// answered sends a request, which must be answered so; answers sends this one.
func (e *ejecting) answered(t *testing.T, want string) { t.Helper(); e.answers(t, anyModel, want) }

func (e *ejecting) answers(t *testing.T, body, want string) {
	t.Helper()
	if got := e.askFor(t, body); got != want {
		t.Fatalf("%s is served by %s, want %s", body, got, want)
	}
}

// asked sends requests until one is answered so.
func (e *ejecting) asked(t *testing.T, want string) {
	t.Helper()
	e.until(t, "a response of "+want, func() bool { return e.ask(t) == want })
}

func (e *ejecting) until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(gatewaytest.Patience); !done(); {
		if time.Now().After(end) {
			t.Fatalf("timed out waiting for %s: %s", what, e.Admin("/healthz"))
		}
		time.Sleep(10 * time.Millisecond) // paces the traffic
	}
}

// ejection is what /healthz and /explain say of one.
type ejection struct {
	Provider     string
	ProviderKey  string `json:"provider_key"`
	Model        string
	Cause        string
	Since, Until time.Time
}

// ejected are those of /healthz, also as "provider key model cause".
func (e *ejecting) ejected(t *testing.T) (string, []ejection) {
	t.Helper()
	var health struct{ Ejected []ejection }
	if err := json.Unmarshal([]byte(e.Admin("/healthz")), &health); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, x := range health.Ejected {
		all = append(all, strings.Join(strings.Fields(x.Provider+" "+x.ProviderKey+" "+x.Model+" "+x.Cause), " "))
	}
	return strings.Join(all, ", "), health.Ejected
}

func (e *ejecting) isEjected(t *testing.T, want string) func() bool {
	return func() bool { got, _ := e.ejected(t); return got == want }
}

func (e *ejecting) metric(line string) bool {
	return strings.Contains(e.Admin("/metrics"), "\n"+line+"\n")
}

func (e *ejecting) hasMetrics(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !e.metric(line) {
			t.Errorf("no metric %s", line)
		}
	}
}

// A provider that is silent costs a few clients a timeout; the others are
// served by the next one without having tried it.
func TestEjectionOfSilence(t *testing.T) {
	t.Parallel()
	e := eject(t, patient+"outlier_detection: {base_ejection_time: 1h, max_ejection_time: 1h}")
	silent(e.alpha)
	e.asked(t, "bravo 1")
	e.until(t, "the ejection", e.isEjected(t, "alpha alpha#1 timeout"))
	before := len(e.alpha.Requests())
	if before < 3 || before > 10 {
		t.Errorf("%d requests were sent to the silent provider", before)
	}
	for range 50 {
		e.answered(t, "bravo 1")
	}
	if after := len(e.alpha.Requests()); after != before {
		t.Errorf("%d more requests were sent to the silent provider", after-before)
	}
	e.hasMetrics(t,
		`weir_ejected{model="",provider="alpha",provider_key="alpha#1"} 1`,
		`weir_ejected{model="",provider="bravo",provider_key=""} 0`,
		`weir_ejections_total{cause="timeout",model="",provider="alpha"} 1`,
	)
}

// While it is silent, one request after each ejection finds out; when it has
// recovered, all traffic returns.
func TestEjectionProbes(t *testing.T) {
	t.Parallel()
	e := eject(t, patient+"outlier_detection: {base_ejection_time: 1s, max_ejection_time: 1s}")
	silent(e.alpha)
	e.until(t, "the ejection", func() bool { e.ask(t); return e.isEjected(t, "alpha alpha#1 timeout")() })
	before, begin := len(e.alpha.Requests()), time.Now()
	var clients sync.WaitGroup
	for range 8 { // at the same time
		clients.Go(func() {
			for range 30 {
				e.ask(t)
			}
		})
	}
	clients.Wait()
	e.asked(t, "bravo 2") // a probe
	probes := len(e.alpha.Requests()) - before
	e.until(t, "a probe to be counted", func() bool { return !e.metric(`weir_ejections_total{cause="timeout",model="",provider="alpha"} 1`) })
	t.Logf("%d of 240 and a few more requests were probes", probes)
	// An ejection lasts for a second, and one request ends it, not one of each client.
	if took := time.Since(begin); probes < 1 || probes > 2+int(took/time.Second) {
		t.Errorf("%d requests were sent to the silent provider, in %v", probes, took)
	}
	status(e.alpha, 200)
	e.asked(t, "alpha 1")
	e.until(t, "the return", func() bool { e.ask(t); return e.isEjected(t, "")() })
	for range 20 {
		e.answered(t, "alpha 1")
	}
}

// When all are ejected, all are tried, in their order; a response brings its
// provider back.
func TestEjectionOfAll(t *testing.T) {
	t.Parallel()
	e := eject(t, "outlier_detection: {base_ejection_time: 1h, max_ejection_time: 1h}")
	status(e.alpha, 500)
	status(e.bravo, 503)
	e.until(t, "the ejections", func() bool {
		e.Post("/v1/chat/completions", anyModel)
		return e.isEjected(t, "alpha alpha#1 status_5xx, bravo status_5xx")()
	})
	a, b := len(e.alpha.Requests()), len(e.bravo.Requests())
	for range 10 {
		if got := e.Post("/v1/chat/completions", anyModel); got.Status != 503 || got.Header.Get("X-Weir-Attempts") != "2" {
			t.Fatalf("response %d %s after %s attempts", got.Status, got.Body, got.Header.Get("X-Weir-Attempts"))
		}
	}
	if a, b := len(e.alpha.Requests())-a, len(e.bravo.Requests())-b; a != 10 || b != 10 {
		t.Errorf("of 10 requests alpha received %d and bravo %d", a, b)
	}
	status(e.bravo, 200)
	e.answered(t, "bravo 2")
	e.asked(t, "bravo 1")
	if got, _ := e.ejected(t); got != "alpha alpha#1 status_5xx" {
		t.Errorf("ejected: %s", got)
	}
}

// A provider that comes and goes for five seconds fails no request, and has its
// traffic back soon after.
func TestEjectionOfFlapping(t *testing.T) {
	t.Parallel()
	e := eject(t, "outlier_detection: {base_ejection_time: 500ms, max_ejection_time: 2s}")
	const flapping, period = 5 * time.Second, 200 * time.Millisecond
	begin := time.Now()
	e.alpha.Respond(func(w http.ResponseWriter, r *http.Request, _ []byte) {
		switch at := time.Since(begin); {
		case at > flapping || at/period%3 == 0:
			answer(w, http.StatusOK)
		case at/period%3 == 1:
			w.WriteHeader(http.StatusBadGateway)
		default:
			panic(http.ErrAbortHandler)
		}
	})
	var clients sync.WaitGroup
	var sent, direct atomic.Int32
	for range 4 {
		clients.Go(func() {
			for time.Since(begin) < flapping {
				sent.Add(1)
				if got := e.ask(t); strings.HasSuffix(got, " 1") {
					direct.Add(1)
				}
			}
		})
	}
	clients.Wait()
	recovered := time.Now()
	row := 0
	e.until(t, "the return", func() bool {
		if row++; e.ask(t) != "alpha 1" {
			row = 0
		}
		return row == 20 && e.isEjected(t, "")()
	})
	t.Logf("%d requests while it flapped, %d of them with one attempt; back after %v", sent.Load(), direct.Load(), time.Since(recovered).Round(time.Millisecond))
}

// Requests to a provider that is slow hold up none to another.
func TestSlowProviderDelaysNoOther(t *testing.T) {
	t.Parallel()
	e := eject(t, "")
	const slow, fast = 100, 200
	release := make(chan struct{})
	e.alpha.Respond(func(w http.ResponseWriter, r *http.Request, _ []byte) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		answer(w, http.StatusOK)
	})
	var waiting sync.WaitGroup
	var answered atomic.Int32
	for range slow {
		waiting.Go(func() {
			if a := e.Post("/v1/chat/completions", `{"model":"alpha:m","messages":[]}`); a.Status != 200 {
				t.Errorf("slow: %d %s", a.Status, a.Body)
			}
			answered.Add(1)
		})
	}
	e.alpha.WaitRequests(t, slow)
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for range fast / 4 {
				if a := e.Post("/v1/chat/completions", `{"model":"bravo:m","messages":[]}`); a.Status != 200 {
					t.Errorf("fast: %d %s", a.Status, a.Body)
				}
			}
		})
	}
	others.Wait()
	if n := answered.Load(); n > 0 {
		t.Errorf("%d slow responses arrived before the last fast one", n)
	}
	close(release)
	waiting.Wait()
}

// A 429 with Retry-After takes the traffic away at once; a 404 of a model
// and a request that is wrong take none away.
func TestEjectionByResponse(t *testing.T) {
	t.Parallel()
	e := eject(t, "")
	e.alpha.Respond(func(w http.ResponseWriter, _ *http.Request, body []byte) {
		code := http.StatusOK
		if strings.Contains(string(body), "gone") {
			code = http.StatusNotFound
		}
		answer(w, code)
	})
	const wrong = 20
	for range wrong {
		a := e.Post("/v1/chat/completions", `{"model":"alpha:gone","models":["bravo:m"],"messages":[]}`)
		if a.Status != 200 || a.Header.Get("X-Weir-Attempts") != "2" {
			t.Fatalf("response %d after %s attempts", a.Status, a.Header.Get("X-Weir-Attempts"))
		}
	}
	e.until(t, "all of them to be counted", func() bool {
		return e.metric(fmt.Sprintf(`weir_attempts_total{model="other",outcome="status_4xx",provider="alpha"} %d`, wrong))
	})
	e.answered(t, "alpha 1")

	e.alpha.Respond(func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	e.answered(t, "bravo 2")
	e.asked(t, "bravo 1")
	got, list := e.ejected(t)
	if got != "alpha alpha#1 m rate_limit" {
		t.Fatalf("ejected: %s", got)
	}
	// Others that were limited prolong it.
	if d := list[0].Until.Sub(list[0].Since); d < time.Minute || d > time.Minute+gatewaytest.Patience {
		t.Errorf("ejected for %v, want the most that is allowed, 1m", d)
	}
}

// A reload keeps what is known of a cluster that it does not change.
func TestEjectionAcrossReload(t *testing.T) {
	t.Parallel()
	e := eject(t, "outlier_detection: {base_ejection_time: 1h, max_ejection_time: 1h}")
	status(e.alpha, 500)
	e.asked(t, "bravo 1")
	e.Reload(strings.Replace(e.config, "only_allow_configured_providers: true", "total_timeout: 2m", 1))
	e.answered(t, "bravo 1")
	if a := e.explained(t, anyModel); len(a) != 2 || a[0].Provider != "bravo" || a[0].Ejected != nil || a[1].Ejected == nil || a[1].Ejected.Cause != "status_5xx" {
		t.Errorf("explained: %+v", a)
	}
	e.Reload(strings.Replace(e.config, "key-of-alpha", "another-key", 1)) // a cluster's name holds no secret
	if got, _ := e.ejected(t); got != "alpha alpha#1 status_5xx" {
		t.Errorf("after the rotation of a key ejected: %s", got)
	}
	e.Reload(strings.Replace(e.config, "id: alpha,", "id: alpha, headers: {x-a: b},", 1))
	if got, _ := e.ejected(t); got != "" {
		t.Errorf("after a change of the provider is ejected: %s", got)
	}
	e.answered(t, "bravo 2")
}
