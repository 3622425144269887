package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"weir/telemetry/accesslog"
)

const threeKeys = `
access_keys:
  - {name: a, value: the-key-of-client-a}
  - {name: b, value: the-key-of-client-b}
  - {name: c, value: the-key-of-client-c}`

// seen are the access keys for which the cluster, or model x, is ejected: "all"
// is every key.
func (w *world) seen() string {
	var out []string
	for _, name := range []string{"a", "b", "c"} {
		if w.Ejection(w.a, w.keys[name], "x") != nil {
			out = append(out, name)
		}
	}
	if w.cluster().view.ejection("x") != nil {
		return "all"
	}
	return strings.Join(out, " ")
}

// What one access key can bring about counts for that key. What two have met
// counts for all, and so does what no client can bring about.
func TestKeys(t *testing.T) {
	f := func(steps, want, out string) {
		t.Helper()
		w := newWorldWith(t, threeKeys, "")
		for _, step := range strings.Fields(steps) {
			w.do(t, step)
		}
		if got := strings.TrimSpace(w.told.String()); got != want {
			t.Errorf("%s:\n got %s\nwant %s", steps, got, want)
		}
		if got := w.seen(); got != out {
			t.Errorf("%s: ejected for %q, want %q", steps, got, out)
		}
	}
	// Whatever it is, and how often.
	for cause := range causes {
		w := newWorldWith(t, threeKeys, "")
		for range 100 {
			w.do(t, cause)
		}
		if got := w.seen(); cause == "refused" && got != "all" || cause != "refused" && strings.Trim(got, "a") != "" {
			t.Errorf("100 times %s of one key: ejected for %q", cause, got)
		}
	}
	f("500 500 500 500 500", "a/status_5xx", "a")
	f("429/retry-after:7", "a/x:rate_limit", "a")
	f("refused refused refused refused refused", "connect_failure a/connect_failure", "all")
	f("refused refused#b refused#c refused refused#b", "connect_failure", "all")

	// Of one key, half counts: others have to meet it as well.
	f("500 500 500 500 500#b", "", "")
	f("500 500 500 500 500 500 500 500#b", "a/status_5xx", "a")
	f("500 500 500 500#b 500#b", "status_5xx", "all")
	f("500 500 500 500 500 500#b 500#b", "a/status_5xx status_5xx", "all")
	f("500 500#b 500#c 500 500#b", "status_5xx", "all")
	f("timeout timeout timeout#b", "timeout", "all")
	f("500 500 500 refused#b refused#b", "connect_failure", "all")
	f("500 500 500 500 refused", "a/connect_failure", "a")

	// A row ends with success, whosever it is. It ends for others, too, while
	// one goes on failing.
	f("500 500 500 ok#c 500#b 500#b", "", "")
	f("500#b 500#b +2 500 ok-1#c 500#b 500#b", "", "")
	f("500 500#b ok-1#c 500#b", "", "")
	f("500 500 ok#b 500 500 500", "a/status_5xx", "a")

	// A limit that two have met is one.
	f("429/retry-after:7 429#b/retry-after:9", "a/x:rate_limit x:rate_limit b/x:rate_limit", "all")
	f("429/retry-after:7 429@y#b/retry-after:9", "a/x:rate_limit b/y:rate_limit", "a")
	f("429/retry-after:7 ok#b", "a/x:rate_limit", "a")
	f("429/retry-after:7 429/retry-after:30", "a/x:rate_limit", "a")

	// Success of one is that of all where all were kept away.
	const all = "500 500 500 500#b 500#b "
	f(all+"ok#c", "status_5xx returned", "")
	f(all+"+2 500 ok-1#c", "status_5xx returned", "")
	f(all+"+2 500 500#b ok-1#c", "status_5xx", "all")
	f(all+"ok#a", "status_5xx returned", "")

	// A probe that fails or hangs keeps nobody else from probing.
	f(all+"+5 probe probe probe#b probe#c", "status_5xx yes no yes no", "all")
	f(all+"+5 probe 500 probe#c ok#c", "status_5xx yes yes returned", "")
	f(all+"+5 probe 500 probe#c 500#c probe", "status_5xx yes yes status_5xx no", "all")
	f(all+"+5 probe +9 probe#c ok#c", "status_5xx yes yes returned", "")
	f(all+"+5 probe +9 refused probe#c", "status_5xx yes connect_failure no", "all")
	f(all+"+5 probe gone probe#b probe#c", "status_5xx yes yes yes", "all")
	f(all+"+5 probe probe#b gone probe#c", "status_5xx yes yes yes", "all")
	f(all+"+5 probe probe#b gone#c probe#c", "status_5xx yes yes no", "all")

	// A key for which the cluster is ejected finds out by itself.
	const own = "500 500 500 500 500 "
	f(own+"+5 probe 500 +9 probe", "a/status_5xx yes a/status_5xx no", "a")
	f(own+"+5 probe ok probe", "a/status_5xx yes a/returned yes", "")
	f(own+"ok#b probe probe#b", "a/status_5xx no yes", "a")
	f(own+"500#b 500#b +5 probe#c probe probe#b", "a/status_5xx status_5xx yes yes no", "all")
}

// With one access key, nothing tells clients apart: its failures eject for all.
func TestSingleKey(t *testing.T) {
	w := newWorldWith(t, "\naccess_keys: [{name: a, value: the-key-of-client-a}]", "")
	for range 5 {
		w.do(t, "500")
	}
	if w.told.String() != "status_5xx " || w.seen() != "all" {
		t.Errorf("told %s, ejected for %s", w.told.String(), w.seen())
	}
}

// One failure ejects where it is configured so, after one of another key.
func TestKeysFewFailures(t *testing.T) {
	f := func(n int, steps, want string) {
		t.Helper()
		w := newWorldWith(t, threeKeys, fmt.Sprintf("outlier_detection: {consecutive_failures: %d}", n))
		for _, step := range strings.Fields(steps) {
			w.do(t, step)
		}
		if got := w.seen(); got != want {
			t.Errorf("%d failures, %s: ejected for %q, want %q", n, steps, got, want)
		}
	}
	f(1, "500", "a")
	f(1, "500 500#b", "all")
	f(1, "refused", "all")
	f(2, "500 500 500", "a")
	f(2, "500 500#b", "all")
	f(3, "500 500 500#b", "all")
}

// Views of access keys are bounded, and go with their keys.
func TestKeysAreBounded(t *testing.T) {
	w := newWorldWith(t, threeKeys, "")
	attempt := func(cause, key, model string) {
		w.now = w.now.Add(time.Millisecond)
		a := causes[cause]
		a.Cluster, a.KeyID, a.Model, a.ModelLabel, a.Start = w.a, key, model, accesslog.OtherLabel, w.now
		w.Attempt(&a)
	}
	for range 5 {
		w.do(t, "500")
	}
	for i := range 2 * maxKeys {
		attempt("500", fmt.Sprint("key-", i), "x")
		w.do(t, "ok#b")
	}
	if n := len(*w.cluster().keys.Load()); n != maxKeys || w.seen() != "a" {
		t.Errorf("%d views, ejected for %q; want %d and the one that is ejected", n, w.seen(), maxKeys)
	}
	for i := range 2 * maxModels {
		attempt("429", w.keys["c"], fmt.Sprint("invented-", i))
	}
	if n := len(*w.cluster().ofKey(w.keys["c"]).models.Load()); n != maxKeyModels {
		t.Errorf("%d models of an access key, want %d", n, maxKeyModels)
	}
	w.Adopt(loadWith(t, threeKeys, ""))
	if n := len(*w.cluster().keys.Load()); n != 2 || w.seen() != "a" {
		t.Errorf("%d views after a reload, ejected for %q", n, w.seen())
	}
	w.Adopt(load(t, ""))
	if w.cluster().keys.Load() != nil {
		t.Error("views of access keys without access keys")
	}
}
