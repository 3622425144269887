package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// steeringLimit bounds each of these tests. The window is 2s, and Envoy tells of
// a request within half a second: nothing should come near it.
const steeringLimit = gatewaytest.Patience

// steering is a gateway with three providers of one model each, and the traffic
// that its strategies steer.
type steering struct {
	*gatewaytest.Gateway
	body string
	end  time.Time

	mu       sync.Mutex
	delay    map[string]time.Duration // before a provider's headers
	broken   map[string]bool
	attempts []string // by provider, in the order in which they arrived
	retried  int      // responses that took more than one attempt
}

// steer starts them. The list of strategies is as it stands in YAML.
func steer(t *testing.T, strategies, body string) *steering {
	t.Helper()
	s := &steering{body: body, delay: map[string]time.Duration{}, broken: map[string]bool{}}
	var providers strings.Builder
	for _, id := range []string{"alpha", "bravo", "charlie"} {
		p := recorder.Start(t, recorder.WithName(id))
		p.Respond(func(w http.ResponseWriter, r *http.Request, _ []byte) { s.answer(id, w, r) })
		fmt.Fprintf(&providers, "        - {id: %s, base_url: %q, models: [{id: %s-model}]}\n", id, p.URL(), id)
	}
	s.Gateway = gatewaytest.Start(t, `
telemetry: {window: 2s, access_log: "off"}
on_http_request:
  - type: ai-gateway
    config:
      only_allow_configured_providers: true
      outlier_detection: {disabled: true}
      model_selection:
        strategy: `+strategies+`
      providers:
`+providers.String())
	s.end = time.Now().Add(steeringLimit)
	return s
}

func (s *steering) answer(id string, w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.attempts = append(s.attempts, id)
	delay, broken := s.delay[id], s.broken[id]
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
	}
	if broken {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"x"}}]}`+"\n\ndata: [DONE]\n\n")
}

func (s *steering) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// until sends requests, one at a time, until a condition holds. No client may
// notice anything.
func (s *steering) until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	begin := time.Now()
	for n := 1; ; n++ {
		a := s.Post("/v1/chat/completions", s.body)
		if a.Status != http.StatusOK || a.Err != nil {
			t.Fatalf("request %d until %s: %d %s %v", n, what, a.Status, a.Body, a.Err)
		}
		if a.Header.Get("X-Weir-Attempts") != "1" {
			s.retried++
		}
		if condition() {
			t.Logf("%s after %d requests, %v", what, n, time.Since(begin).Round(time.Millisecond))
			return
		}
		if time.Now().After(s.end) {
			t.Fatalf("timed out waiting for %s; attempts: %v", what, s.share(200))
		}
		time.Sleep(10 * time.Millisecond) // paces the traffic
	}
}

// share counts the last n attempts by provider. It is empty as long as there
// are less.
func (s *steering) share(n int) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	if len(s.attempts) < n {
		return out
	}
	for _, id := range s.attempts[len(s.attempts)-n:] {
		out[id]++
	}
	return out
}

// forget makes shares count from now on.
func (s *steering) forget() { s.set(func() { s.attempts, s.retried = nil, 0 }) }

// A strategy that sorts by latency leaves a provider that has become slow, tries
// it again when it is unused (it reads 0 then), and comes back when it has
// recovered.
func TestSteeringByLatency(t *testing.T) {
	t.Parallel()
	s := steer(t, `["ai.models.sortBy(m, m.metrics.global.latency.time_to_first_token_ms_p95)"]`, `{"stream":true,"messages":[]}`)
	// The others are tried again too, for some 40 requests in a row at most while
	// nothing is known of them: that is less than what is counted here.
	most := func() bool { return s.share(60)["charlie"] >= 40 }
	few := func() bool { n := s.share(60); return len(n) > 0 && n["charlie"] <= 8 }
	s.set(func() { s.delay["alpha"], s.delay["bravo"] = 40*time.Millisecond, 40*time.Millisecond })
	s.until(t, "the fastest has most", most)

	s.set(func() { s.delay["charlie"] = 300 * time.Millisecond })
	s.until(t, "the slow one has lost its share", few)
	s.until(t, "the slow one is unused", func() bool { return s.share(1)["charlie"] == 0 })
	s.until(t, "the slow one is tried again", func() bool { return s.share(1)["charlie"] == 1 })

	s.set(func() { s.delay["charlie"] = 0 })
	s.until(t, "the recovered one has most", most)
}

// A strategy that filters by errors leaves a provider that fails, and comes back
// when it has recovered and its errors have left the window. Failover hides the
// errors that it takes to learn of them.
func TestSteeringByErrors(t *testing.T) {
	t.Parallel()
	s := steer(t, `["ai.models.filter(m, m.metrics.global.error_rate.total < 0.1).random()", "ai.models"]`, `{"stream":true,"messages":[]}`)
	// A third, but for chance. What fails is tried for a fraction of each window:
	// over so many attempts that is never as much.
	const many = 150
	third := func() bool { return s.share(many)["alpha"] >= many/4 }
	s.until(t, "each has its share", third)

	s.forget()
	s.set(func() { s.broken["alpha"] = true })
	s.until(t, "the failing one has lost its share", func() bool { n := s.share(25); return len(n) > 0 && n["alpha"] == 0 })
	if s.retried == 0 {
		t.Error("no request failed over")
	}

	s.forget()
	s.set(func() { s.broken["alpha"] = false })
	s.until(t, "the recovered one has its share", third)
	if s.retried > 0 {
		t.Errorf("%d requests failed over after the recovery", s.retried)
	}
}

// A strategy over keys leaves one of which the provider says that nothing is
// left, until the time at which the provider says that there is again.
func TestSteeringByQuota(t *testing.T) {
	t.Parallel()
	const reset = 3 * time.Second
	const early = 100 * time.Millisecond // for clocks that count in other steps
	p := recorder.Start(t, recorder.WithName("alpha"))
	g := gatewaytest.Start(t, `
telemetry: {window: 2s, access_log: "off"}
on_http_request:
  - type: ai-gateway
    config:
      only_allow_configured_providers: true
      api_key_selection:
        strategy: ["ai.keys.filter(k, k.quota.remaining_requests == null || k.quota.remaining_requests > 5)"]
      providers:
        - {id: alpha, base_url: "`+p.URL()+`", api_keys: [{value: key-number-one}, {value: key-number-two}], models: [{id: m}]}
`, gatewaytest.Secrets("key-number-one", "key-number-two"))
	var mu sync.Mutex
	left := "100"
	p.Respond(func(w http.ResponseWriter, r *http.Request, _ []byte) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") == "Bearer key-number-one" {
			w.Header().Set("x-ratelimit-remaining-requests", left)
			w.Header().Set("x-ratelimit-reset-requests", reset.String())
		}
		_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"x"}}]}`)
	})
	end := time.Now().Add(steeringLimit)
	var lastOfOne time.Time // when the last request with the first key was sent
	until := func(key string) {
		t.Helper()
		for {
			sent := time.Now()
			a := g.Post("/v1/chat/completions", `{"messages":[]}`)
			if a.Status != http.StatusOK || a.Header.Get("X-Weir-Attempts") != "1" {
				t.Fatalf("response %d %s after %s attempts", a.Status, a.Body, a.Header.Get("X-Weir-Attempts"))
			}
			used := p.Last(t).Header.Get("Authorization")
			if used == "Bearer "+key {
				return
			}
			if used == "Bearer key-number-one" {
				lastOfOne = sent
			}
			if time.Now().After(end) {
				t.Fatalf("timed out waiting for %s; the last used is %s", key, used)
			}
			time.Sleep(10 * time.Millisecond) // paces the traffic
		}
	}
	until("key-number-one")
	mu.Lock()
	left = "0"
	mu.Unlock()
	until("key-number-two")
	mu.Lock()
	left = "100"
	mu.Unlock()
	until("key-number-one")
	// Not before its time, and not as late as the test's own limit.
	if after := time.Since(lastOfOne); after < reset-early || after > reset+steeringLimit/4 {
		t.Errorf("the first key came back after %v, its quota after %v", after, reset)
	}
}
