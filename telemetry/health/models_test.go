package health

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/telemetry/accesslog"
)

// A cluster and its models are ejected, probed and back in use each by itself.
func TestModels(t *testing.T) {
	f := func(steps, want string) { t.Helper(); tells(t, steps, want) }
	// In a row are those of a model.
	f("429 429 429 429 429", "x:rate_limit x for 5")
	f("429 429 429 429@y 429", "")
	f("429 429 429 429 ok 429", "")
	f("429 429 429 429 ok@y 429", "x:rate_limit x for 5")
	f("429 429 429 429 500 gone 404 timeout 429", "x:rate_limit x for 5")
	f("429 429 429 429 429 +5 probe 429 +10 probe probe", "x:rate_limit yes x:rate_limit yes no x for 20")
	f("429 429 429 429 responding 429", "")
	f("429/retry-after:7 ok-1", "x:rate_limit x for 7")
	f("429 ok 429-1/retry-after:7", "")

	// A 429 is neither a failure of the cluster nor success.
	f("500 500 500 500 429 429", "")
	f("500 500 500 500 429 500", "status_5xx for 5")
	f("500 500 500 500 429/retry-after:7 500", "x:rate_limit status_5xx for 5 x for 7")

	// A model that fails while another one of the cluster succeeds.
	f("500 ok@y 500 ok@y 500 ok@y 500 ok@y 500 ok@y 500", "x:status_5xx x for 5")
	f("ok@y timeout ok@y timeout ok@y timeout", "x:timeout x for 5")
	f("ok@y 500 ok@y 500 ok@y 500 ok 500 ok@y 500", "")
	f("ok@y 500 500@z ok@y 500 500@z ok@y 500 ok@y 500 ok@y 500", "x:status_5xx x for 5")
	f("ok@y 404 ok@y 404 ok@y 404 ok@y 404 ok@y 404 ok@y 404", "")
	f("ok@y 500 500 500 500 500", "status_5xx for 5")
	f("ok@y 500 ok@y 500 ok@y 500 ok@y 500 ok@y 500 ok@y +5 probe probe@y 500 +10 probe ok", "x:status_5xx yes yes x:status_5xx yes x:returned")

	// Another model is in use, and the cluster; its success brings back that alone.
	f("429/retry-after:7 probe@y ok@y responding@y", "x:rate_limit yes x for 7")
	f("500 500 500 500 ok@y 500", "")
	const both = "500 500 500 500 500 429/retry-after:3 "
	f(both, "status_5xx x:rate_limit for 5 x for 3")
	f(both+"ok@y", "status_5xx x:rate_limit returned x for 3")
	f(both+"ok", "status_5xx x:rate_limit returned x:returned")
	f(both+"responding", "status_5xx x:rate_limit returned x:returned")

	// One request probes both; whoever may not takes nobody's turn.
	f(both+"+3 probe +2 probe probe probe@y", "status_5xx x:rate_limit no yes no no for 10 x for 10")
	f(both+"429/retry-after:7 +5 probe probe@y", "status_5xx x:rate_limit no yes for 10 x for 2")
	f(both+"+5 probe ok", "status_5xx x:rate_limit yes returned x:returned")
	f(both+"+5 probe@y ok@y probe probe", "status_5xx x:rate_limit yes returned yes no x for 10")
	// What it finds is of the one, and comes to nothing for the other.
	f(both+"+5 probe 500", "status_5xx x:rate_limit yes status_5xx for 10 x due")
	f(both+"+5 probe 429/retry-after:9", "status_5xx x:rate_limit yes x:rate_limit due x for 9")
	f(both+"+5 probe gone", "status_5xx x:rate_limit yes due x due")
	f("429/retry-after:7 +7 probe 500 probe probe", "x:rate_limit yes yes no x for 10")
}

// A provider that says so of every name that clients invent fills no memory, and
// does not push out what is known of configured models.
func TestModelsAreBounded(t *testing.T) {
	w := newWorld(t, "")
	limit := func(model, label string, seconds int) {
		w.now = w.now.Add(time.Millisecond)
		a := causes["429"]
		a.Quota.Set("retry-after", fmt.Sprint(seconds))
		a.Cluster, a.Model, a.ModelLabel, a.Start = w.a, model, label, w.now
		w.Attempt(&a)
	}
	ejected := func() []string {
		var out []string
		for _, e := range w.Ejections(w.a) {
			out = append(out, e.Model)
		}
		return out
	}
	limit("configured", "configured", 5)
	for i := range 10 * maxModels {
		limit(fmt.Sprintf("invented-%04d", i), accesslog.OtherLabel, 30)
	}
	got := ejected()
	if len(got) != maxModels || got[0] != "configured" || len(*w.cluster().models.Load()) != maxModels {
		t.Errorf("%d models, the first %s, want %d and configured", len(got), got[0], maxModels)
	}
	if last := fmt.Sprintf("invented-%04d", 10*maxModels-1); !slices.Contains(got, last) {
		t.Error("the newest is not known")
	}
	// Configured ones take the places of the others, never those of each other.
	for i := range maxModels - 1 {
		limit(fmt.Sprintf("own-%04d", i), "own", 60)
	}
	limit("invented", accesslog.OtherLabel, 60)
	got = ejected()
	if len(got) != maxModels || slices.ContainsFunc(got, func(m string) bool { return strings.HasPrefix(m, "invented") }) {
		t.Errorf("%d models, among them of the invented: %s", len(got), got)
	}
	// Whose time is over makes room.
	w.now = w.now.Add(6 * time.Second)
	limit("invented", accesslog.OtherLabel, 60)
	if got = ejected(); len(got) != maxModels || !slices.Contains(got, "invented") || slices.Contains(got, "configured") {
		t.Errorf("after a time %d models: %s", len(got), got)
	}
	// So does a configured one, before an invented one whose time is not over.
	w.now = w.now.Add(time.Minute)
	limit("configured", "configured", 5)
	for i := range maxModels - 1 {
		limit(fmt.Sprintf("invented-%04d", i), accesslog.OtherLabel, 60)
	}
	w.now = w.now.Add(6 * time.Second)
	limit("invented", accesslog.OtherLabel, 60)
	if got = ejected(); len(got) != maxModels || w.cluster().ofModel("configured") != nil {
		t.Errorf("%d models, and the one whose time is over", len(got))
	}
}

// What is listed keeps requests away: a name that nobody asks for again is not
// listed for ever. Whoever asks for it finds it ejected all the same.
func TestEjections(t *testing.T) {
	w := newWorld(t, "")
	f := func(step, want, models string) {
		t.Helper()
		w.do(t, step)
		var got, out []string
		for _, model := range []string{"x", "y", "z"} {
			if w.Ejection(w.a, "", model) != nil {
				out = append(out, model)
			}
		}
		if s := strings.Join(out, " "); s != models {
			t.Errorf("after %s these are ejected: %s, want %s", step, s, models)
		}
		for _, e := range w.Ejections(w.a) {
			got = append(got, strings.TrimSpace(e.Model+" "+e.Cause))
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("after %s: %s, want %s", step, s, want)
		}
	}
	f("429@y/retry-after:30", "y rate_limit", "y")
	f("429/retry-after:7", "x rate_limit, y rate_limit", "x y")
	for range 4 {
		w.do(t, "500")
	}
	f("500", "status_5xx, x rate_limit, y rate_limit", "x y z")
	f("+8", "status_5xx, y rate_limit", "x y z")
	f("probe", "status_5xx, x rate_limit, y rate_limit", "x y z")
	f("ok", "y rate_limit", "y")
	f("+30", "", "y")
	if w.Ejections("weir/made-up/0") != nil {
		t.Error("of a cluster that is not there")
	}
}

// Attempts and what is asked of a cluster allocate nothing, once its models are
// known.
func TestAllocations(t *testing.T) {
	w := newWorld(t, "")
	w.do(t, "429/retry-after:7")
	a := causes["ok"]
	a.Cluster, a.Start = w.a, w.now
	c := w.cluster()
	for _, model := range []string{"x", "unheard-of"} {
		if n := testing.AllocsPerRun(100, func() {
			a.Model, a.Start = model, a.Start.Add(time.Second)
			w.Attempt(&a)
			c.ejectionFor("", model)
			c.claim("", model, w.now)
		}); n != 0 {
			t.Errorf("%s: %v allocations", model, n)
		}
	}
	// Nor does a probe that may not be, because of the cluster alone.
	w.do(t, "429@y/retry-after:1")
	for range 5 {
		w.do(t, "500")
	}
	w.do(t, "+2")
	if n := testing.AllocsPerRun(100, func() { c.claim("", "y", w.now) }); n != 0 {
		t.Errorf("%v allocations of a probe that may not be", n)
	}
}

// What a plan asks of each cluster: where nothing is limited, and where as many
// models are as can be.
func BenchmarkEjection(b *testing.B) {
	c := &cluster{}
	run := func(name string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.ejectionFor("", "vendor/model-007")
			}
		})
	}
	run("none")
	for i := range maxModels {
		c.limit(fmt.Sprintf("vendor/model-%03d", i), true, start)
	}
	run("limited")
}
