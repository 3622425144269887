package health

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/identity"
	"weir/policy"
	"weir/telemetry/accesslog"
)

var start = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

const config = `%s
on_http_request:
  - type: ai-gateway
    config:
      %s
      only_allow_configured_providers: true
      providers: [{id: a, base_url: http://a.internal}, {id: b, base_url: http://b.internal}]
`

func load(t testing.TB, field string) (*policy.Policy, *identity.Index) {
	t.Helper()
	return loadWith(t, "", field)
}

func loadWith(t testing.TB, keys, field string) (*policy.Policy, *identity.Index) {
	t.Helper()
	p, index, problems := policy.Load(policy.Source{
		File: "weir.yaml", Data: fmt.Appendf(nil, config, keys, field),
		Getenv: func(string) string { return "" }, ReadFile: func(string) ([]byte, error) { return nil, nil },
	})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return p, index.Index
}

// world is a tracker with a clock of its own, and what it told.
type world struct {
	*Tracker
	now  time.Time
	a    string            // a cluster
	keys map[string]string // the ids of access keys, by name
	mu   sync.Mutex
	told strings.Builder
}

func newWorld(t testing.TB, field string) *world { return newWorldWith(t, "", field) }

func newWorldWith(t testing.TB, keys, field string) *world {
	w := &world{now: start, keys: map[string]string{}}
	w.Tracker = New(func() time.Time { return w.now }, func(e Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for name, id := range w.keys {
			if e.Key == id {
				w.told.WriteString(name + "/")
			}
		}
		if e.Model != "" {
			w.told.WriteString(e.Model + ":")
		}
		if e.Ejection == nil {
			fmt.Fprint(&w.told, "returned ")
		} else {
			fmt.Fprint(&w.told, e.Ejection.Cause, " ")
		}
	})
	p, index := loadWith(t, keys, field)
	for _, name := range []string{"a", "b", "c"} {
		if k := index.Named(name); k != nil {
			w.keys[name] = k.ID
		}
	}
	w.a = p.Clusters[0].Name
	w.Adopt(p, index)
	return w
}

// cluster is what is known of the one that steps are about.
func (w *world) cluster() *cluster {
	if c := w.Tracker.cluster(w.a); c != nil {
		return c
	}
	return &cluster{} // forgotten
}

// state is the ejection of the cluster, and those of its models.
func (w *world) state() string {
	of := func(e *policy.Ejection) string {
		if left := e.Until.Sub(w.now).Round(10 * time.Millisecond); left > 0 {
			return fmt.Sprintf("for %g ", left.Seconds())
		}
		return "due "
	}
	c, out := w.cluster(), ""
	if e := c.all.ejection(); e != nil {
		out = of(e)
	}
	for _, model := range []string{"x", "y"} {
		if e := c.ofModel(model).ejection(); e != nil {
			out += e.Model + " " + of(e)
		}
	}
	return out
}

// causes are the words of the steps below, each as an attempt.
var causes = map[string]accesslog.Attempt{
	"ok":      {Status: 200},
	"refused": {Cause: accesslog.CauseConnectFailure},
	"reset":   {Cause: accesslog.CauseReset},
	"cut":     {Cause: accesslog.CauseReset, Status: 200},
	"timeout": {Cause: accesslog.CauseTimeout},
	"302":     {Cause: accesslog.CauseRedirect, Status: 302},
	"error":   {Cause: accesslog.CauseErrorResponse, Status: 200},
	"wrong":   {Cause: accesslog.CauseInvalidResponse, Status: 200},
	"empty":   {Cause: accesslog.CauseEmptyResponse, Status: 200},
	"400":     {Cause: accesslog.CauseStatus4xx, Status: 400},
	"401":     {Cause: accesslog.CauseAuth, Status: 401},
	"402":     {Cause: accesslog.CauseAccount, Status: 402},
	"key":     {Cause: accesslog.CauseInvalidKey, Status: 400},
	"account": {Cause: accesslog.CauseAccount, Status: 400},
	"region":  {Cause: accesslog.CauseRegion, Status: 400},
	"unknown": {Cause: accesslog.CauseUnknownModel, Status: 400},
	"feature": {Cause: accesslog.CauseUnsupportedFeature, Status: 400},
	"context": {Cause: accesslog.CauseContext, Status: 400},
	"410":     {Cause: accesslog.CauseStatus4xx, Status: 410},
	"404":     {Cause: accesslog.CauseStatus4xx, Status: 404},
	"408":     {Cause: accesslog.CauseTimeout, Status: 408},
	"409":     {Cause: accesslog.CauseStatus4xx, Status: 409},
	"429":     {Cause: accesslog.CauseRateLimit, Status: 429},
	"500":     {Cause: accesslog.CauseStatus5xx, Status: 500},
	"504":     {Cause: accesslog.CauseTimeout, Status: 504},
	"gone":    {Cause: accesslog.CauseClientGone},
	"left":    {Cause: accesslog.CauseClientGone, Status: 200}, // in the middle of an answer
	"other":   {Cause: accesslog.CauseOther},
}

// do takes a step: seconds to pass (+5), a probe that is asked for (probe), an
// attempt that ends as soon as it began (500), a second after (500-1), or that
// holds a header (429/retry-after:7). It is of model x, or of another (500@y), and
// of the access key a, or of another (500#b).
func (w *world) do(t *testing.T, step string) {
	t.Helper()
	var seconds float64
	if n, _ := fmt.Sscanf(step, "+%g", &seconds); n == 1 {
		w.now = w.now.Add(time.Duration(seconds * float64(time.Second)))
		return
	}
	// Every step takes a millisecond: nothing begins at the same time.
	w.now = w.now.Add(time.Millisecond)
	step, header, _ := strings.Cut(step, "/")
	step, name, ok := strings.Cut(step, "#")
	if !ok {
		name = "a"
	}
	key := w.keys[name]
	step, model, other := strings.Cut(step, "@")
	if !other {
		model = "x"
	}
	switch step {
	case "probe":
		if w.Claim(w.a, key, model, w.now) {
			w.told.WriteString("yes ")
		} else {
			w.told.WriteString("no ")
		}
		return
	case "responding":
		w.Responding(w.a, key, model, w.now)
		return
	}
	name, earlier, _ := strings.Cut(step, "-")
	a, ok := causes[name]
	if !ok {
		t.Fatalf("no step %q", step)
	}
	if earlier != "" {
		_, _ = fmt.Sscanf(earlier, "%g", &seconds)
		a.Duration = time.Duration(seconds * float64(time.Second))
	}
	if name, value, ok := strings.Cut(header, ":"); ok {
		a.Quota.Set(name, value)
	}
	a.Cluster, a.KeyID, a.Model, a.Start = w.a, key, model, w.now.Add(-a.Duration)
	w.Attempt(&a)
}

// tells takes steps, and holds what is told meanwhile and is so at the end.
func tells(t *testing.T, steps, want string) {
	t.Helper()
	w := newWorld(t, "")
	for _, step := range strings.Fields(steps) {
		w.do(t, step)
	}
	if got := w.told.String() + w.state(); strings.TrimSpace(got) != want {
		t.Errorf("%s:\n got %s\nwant %s", steps, got, want)
	}
}

func TestTracker(t *testing.T) {
	f := func(steps, want string) { t.Helper(); tells(t, steps, want) }
	// How many it takes.
	f("", "")
	f("500 500 500 500", "")
	f("500 500 500 500 500", "status_5xx for 5")
	f("500 refused reset cut 302", "redirect for 5")
	f("401 401 401 401 401", "auth for 5")
	f("402 key region account 402", "account for 5")
	f("500 500 500 500 ok 500 500 500 500", "")
	f("timeout timeout", "")
	f("timeout timeout timeout", "timeout for 5")
	f("504 504 504", "timeout for 5")
	f("error wrong 302 error error", "error_answer for 5")
	f("empty empty empty empty empty", "")
	f("500 500 500 timeout", "timeout for 5")
	f("500 500 500 500 500 500 500 500 500 500", "status_5xx for 5") // what was on its way

	// What says nothing, and what says that all is well.
	f("404 404 404 404 404 404", "")
	f("unknown feature context 410 unknown feature context 410", "")
	f("400 408 409 gone other 400 408 409 gone other 408 408 408 408", "")
	f("500 500 500 500 404 500", "status_5xx for 5")
	f("500 500 500 500 left 500", "")
	f("500 500 500 500 responding 500", "")

	// The order is that in which attempts began.
	f("500 500 500 500 500 ok-1", "status_5xx for 5")
	f("500 500 500 500 ok-1 500", "status_5xx for 5")
	f("ok timeout-1 timeout-1 timeout-1", "")
	f("500 500 500 500 500 responding", "status_5xx returned")

	// Probes: one at a time, and twice the time after each that fails.
	const ejected = "500 500 500 500 500 "
	f("probe", "yes")
	f(ejected+"+4.9 probe", "status_5xx no for 0.1")
	f(ejected+"+5 probe probe", "status_5xx yes no for 10")
	f(ejected+"+5 probe ok", "status_5xx yes returned")
	f(ejected+"+5 probe ok "+ejected, "status_5xx yes returned status_5xx for 5")
	f(ejected+"+5 probe +1 refused-1 +9.9 probe", "status_5xx yes connect_failure no for 0.1")
	f(ejected+"+5 probe 500 +10 probe 500 +20 probe 500 +40 probe 500 +60 probe 500", strings.Repeat("status_5xx yes ", 5)+"status_5xx for 60")
	f(ejected+"+5 probe 500 500 500", "status_5xx yes status_5xx for 10")
	f(ejected+"+5 500 ok", "status_5xx returned") // a last resort
	f(ejected+"+5 probe timeout-2 probe", "status_5xx yes no for 10")
	// A probe that comes to nothing leaves its place to the next; one of which
	// nothing is heard does so after a time.
	f(ejected+"+5 probe gone probe probe", "status_5xx yes yes no for 10")
	f(ejected+"+5 probe 404 probe", "status_5xx yes yes for 10")
	f(ejected+"+5 probe +10 probe +19 probe +1 probe gone probe", "status_5xx yes yes no yes yes for 40")

	// What a provider says of its limits is of the model.
	f("429/retry-after:7", "x:rate_limit x for 7")
	f("429/retry-after:3600", "x:rate_limit x for 60")
	f("429/retry-after:0 429/retry-after:nonsense", "")
	f("429/x-ratelimit-remaining-requests:0 429/x-ratelimit-reset-requests:7s", "")
	f("500/retry-after:7", "")
	f("429/retry-after:7 429/retry-after:30", "x:rate_limit x for 30")
	f("429/retry-after:7 +7 probe 429/retry-after:3", "x:rate_limit yes x:rate_limit x for 3")
	f("429/retry-after:7 +7 probe ok", "x:rate_limit yes x:returned")
	f("429/retry-after:7 429@y/retry-after:9", "x:rate_limit y:rate_limit x for 7 y for 9")
}

// Both headers that say when a limit is full again.
func TestReset(t *testing.T) {
	now := start
	a := causes["429"]
	a.Start = now
	a.Quota.Set("x-ratelimit-remaining-requests", "0")
	a.Quota.Set("x-ratelimit-reset-requests", "2s")
	a.Quota.Set("x-ratelimit-remaining-tokens", "0")
	a.Quota.Set("x-ratelimit-reset-tokens", "1m30s")
	if got := hint(&a, now.Add(time.Second)); got != 89*time.Second {
		t.Errorf("%v", got)
	}
	a.Quota.Set("x-ratelimit-remaining-tokens", "1")
	if got := hint(&a, now.Add(time.Second)); got != time.Second {
		t.Errorf("%v", got)
	}
	a.Quota.Set("x-ratelimit-remaining-requests", "1")
	if got := hint(&a, now.Add(time.Second)); got != 0 {
		t.Errorf("%v", got)
	}
}

// Only what leads to the next attempt leads to an ejection.
func TestConfigured(t *testing.T) {
	f := func(field, steps, want string) {
		t.Helper()
		w := newWorld(t, field)
		for _, step := range strings.Fields(steps) {
			w.do(t, step)
		}
		if got := strings.TrimSpace(w.told.String()); got != want {
			t.Errorf("%s, %s:\n got %s\nwant %s", field, steps, got, want)
		}
	}
	all := strings.Repeat("refused reset timeout 401 429 429/retry-after:7 500 504 ", 5)
	f("failover_on: []", all, "")
	f("failover_on: []", "error error error error error", "error_answer")
	f("outlier_detection: {disabled: true}", all, "")
	f("failover_on: [503, 429]", "500 500 500 500 500 504 504 504 401 401 401 401 401", "")
	f("failover_on: [404, 408, 409, 400]", "404 404 404 404 404 408 408 408 409 409 409 409 400 400 400 400 400", "")
	f("failover_on: [reset]", "500 500 500 500 500 timeout timeout timeout", "timeout")
	f("failover_on: [timeout]", "500 500 500 500 500 reset reset reset reset reset", "reset")
	f("failover_on: [connect_failure]", "reset reset reset timeout timeout timeout refused refused refused refused refused", "connect_failure")
	f("outlier_detection: {consecutive_failures: 1, base_ejection_time: 1s, max_ejection_time: 3s}", "500 +0.9 probe +0.1 probe 500 +2 probe 500 +3 probe", "status_5xx no yes status_5xx yes status_5xx yes")
	f("outlier_detection: {max_ejection_time: 5s}", "429/retry-after:60 +5 probe", "x:rate_limit yes")
}

// A new configuration keeps what is known of clusters that it still has, and
// forgets the others.
func TestAdopt(t *testing.T) {
	w := newWorld(t, "")
	for range 5 {
		w.do(t, "500")
	}
	w.do(t, "429/retry-after:60")
	known := w.state()
	ejected := func() bool { return w.state() != "" }
	w.Adopt(load(t, "total_timeout: 1m"))
	if w.state() != known {
		t.Error("forgotten by a reload that keeps the cluster")
	}
	w.Adopt(load(t, "headers: {x-a: b}"))
	if ejected() {
		t.Error("kept by a reload that changes the cluster")
	}
	w.Adopt(load(t, ""))
	for range 5 {
		w.do(t, "500")
	}
	if !ejected() {
		t.Error("not observed after a reload")
	}
	w.Adopt(load(t, "outlier_detection: {disabled: true}"))
	if ejected() {
		t.Error("kept while it is off")
	}
	// Clusters that were never asked for are not remembered.
	w.a = "weir/made-up/0"
	before := len(*w.clusters.Load())
	w.do(t, "500")
	if after := len(*w.clusters.Load()); after != before {
		t.Errorf("%d clusters, then %d", before, after)
	}
}

// What Envoy kept while there was no Weir is no news.
func TestStale(t *testing.T) {
	w := newWorld(t, "")
	for range 5 {
		a := causes["500"]
		w.now = w.now.Add(time.Second)
		a.Cluster, a.Start = w.a, w.now.Add(-stale-time.Minute)
		a.Duration = 59 * time.Second
		w.Attempt(&a)
	}
	if w.Ejection(w.a, "", "x") != nil {
		t.Error("old failures are counted")
	}
}

// A clock that is set back does not make a cluster deaf.
func TestClockSetBack(t *testing.T) {
	w := newWorld(t, "")
	w.do(t, "ok")
	w.do(t, "500")
	w.do(t, "+-3600")
	for range 5 {
		w.do(t, "500")
	}
	if w.Ejection(w.a, "", "x") == nil {
		t.Error("failures are not counted")
	}
	w.do(t, "+-3600")
	w.do(t, "ok")
	if w.Ejection(w.a, "", "x") != nil {
		t.Error("success is not heard")
	}
}
