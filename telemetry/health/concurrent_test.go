package health

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/telemetry/accesslog"
)

// Of those who ask at one moment, one may probe: the cluster, the model, or both.
func TestOneProbe(t *testing.T) {
	out := &state{time: time.Second, max: time.Second}
	for round := range 6000 {
		c := &cluster{}
		models := []*circuit{c.limit("x", true, start), c.limit("y", true, start)}
		ejected, asked := round%3, []string{"x"}
		if ejected != 1 {
			c.all.state.Store(out)
		}
		if ejected != 0 {
			models[0].state.Store(out)
			models[1].state.Store(out)
		}
		if ejected != 1 {
			asked = append(asked, "y") // which of both is open
		}
		var probes atomic.Int32
		var ready, wg sync.WaitGroup
		ready.Add(4)
		for i := range 4 {
			wg.Go(func() {
				ready.Done()
				ready.Wait()
				if c.claim("", asked[i%len(asked)], start) {
					probes.Add(1)
				}
			})
		}
		wg.Wait()
		if n := probes.Load(); n != 1 {
			t.Fatalf("round %d: %d probes", round, n)
		}
		taken := 0
		for _, m := range models {
			if m.until().After(start) {
				taken++
			}
		}
		if want := min(ejected, 1); taken != want {
			t.Fatalf("round %d: %d models are probed, want %d", round, taken, want)
		}
	}
}

// Everything at the same time: nothing that is learnt is lost.
func TestConcurrent(t *testing.T) {
	w := newWorld(t, "")
	c := w.cluster()
	p, keys := load(t, "")
	for round := range 100 {
		w.now = start.Add(time.Duration(round) * time.Hour)
		for i := range 5 {
			a := causes["500"]
			a.Cluster, a.Start = w.a, w.now.Add(time.Duration(i))
			w.Attempt(&a)
		}
		w.now = w.now.Add(time.Minute)
		due := w.now
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := range 20 {
					c.claim("", "x", due)
					late := causes["500"]
					late.Cluster, late.Model, late.Start = w.a, "x", due.Add(time.Duration(i))
					w.Attempt(&late)
					late.Cause, late.Status = accesslog.CauseRateLimit, 429
					w.Attempt(&late)
					c.ejectionFor("", "x")
					w.Ejections(w.a)
				}
			})
			wg.Go(func() { w.Adopt(p, keys) })
		}
		wg.Wait()
		if c.all.ejection() == nil || c.ofModel("x").ejection() == nil {
			t.Fatalf("round %d: not ejected", round)
		}
		w.now = due.Add(2 * time.Second)
		for range 4 {
			wg.Go(func() { w.Responding(w.a, "", "x", due.Add(time.Second)) })
			wg.Go(func() { c.claim("", "x", due.Add(time.Hour)) })
		}
		wg.Wait()
		if c.ejectionFor("", "x") != nil {
			t.Fatalf("round %d: still ejected", round)
		}
	}
}
