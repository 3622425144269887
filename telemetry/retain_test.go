package telemetry

import (
	"fmt"
	"testing"
	"time"
)

// Configurations that replace each other leave no metrics of what is gone for
// ever, and those of what is there stay.
func TestRetain(t *testing.T) {
	f := newFixture()
	now := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	f.Recorder.now = func() time.Time { return now }
	count := func() (all, stays int) {
		families, err := f.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, m := range family.GetMetric() {
				for _, l := range m.GetLabel() {
					if (l.GetName() == "provider" || l.GetName() == providerLabel) && l.GetValue() != "" {
						all++
						if l.GetValue() == "stays" {
							stays++
						}
					}
				}
			}
		}
		return all, stays
	}
	of := func(provider, model string) {
		a, r := failed(), request()
		a.Provider, a.ModelLabel, r.Provider, r.ModelLabel = provider, model, provider, model
		f.Attempt(a)
		f.Request(r)
	}
	of("stays", "m")
	of("stays", other)
	_, before := count()
	for i := range 50 {
		provider := fmt.Sprint("p", i)
		of(provider, "m")
		of("stays", fmt.Sprint("old-", i))
		f.Retain(func(p, model string) bool { return p == provider || p == "stays" && (model == "" || model == "m") })
		now = now.Add(keepGone / 5)
	}
	all, stays := count()
	if all > 20*before || stays < before || stays > 10*before {
		t.Errorf("%d series, %d of the provider that stays, which had %d", all, stays, before)
	}
	for range 2 { // the last one is missed at the first call
		f.Retain(func(p, model string) bool { return p == "stays" && (model == "" || model == "m") })
		now = now.Add(keepGone)
	}
	if all, stays := count(); all != before || stays != before {
		t.Errorf("at the end %d series, %d of the provider that stays, which had %d", all, stays, before)
	}
}
