package limits

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestActiveWhileReached(t *testing.T) {
	now := time.Unix(1000, 0)
	var log bytes.Buffer
	r := New(slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now })
	full := r.Register(Limit{Name: "full", Advice: "add one"})
	full.SetValue(10)
	r.Register(Limit{Name: "untouched"})

	if got := r.Reached(); len(got) != 0 || r.Degraded() {
		t.Fatalf("before any hit: %+v, degraded %t", got, r.Degraded())
	}
	full.Add(0)
	if r.Degraded() {
		t.Fatal("degraded after no hit")
	}

	begin := now
	full.Hit()
	now = now.Add(Quiet)
	full.Add(2)
	s := r.Reached()[0]
	if s.Limit != "full" || s.Advice != "add one" || *s.Value != 10 || !s.Active || !s.Since.Equal(begin) || !s.Last.Equal(now) || s.Total != 3 {
		t.Errorf("after three hits: %+v", s)
	}
	if !r.Degraded() {
		t.Error("not degraded while a limit is reached")
	}

	now = now.Add(Quiet + time.Second)
	if s := r.Reached()[0]; s.Active || r.Degraded() || s.Total != 3 {
		t.Errorf("after a quiet time: %+v, degraded %t", s, r.Degraded())
	}
	full.Hit()
	if s := r.Reached()[0]; !s.Active || !s.Since.Equal(now) || s.Total != 4 {
		t.Errorf("in the next period: %+v", s)
	}
	if n := strings.Count(log.String(), "limit reached"); n != 2 {
		t.Errorf("%d warnings for two periods: %s", n, log.String())
	}
}

func TestOneClientDoesNotDegrade(t *testing.T) {
	r := New(slog.New(slog.DiscardHandler), time.Now)
	r.Register(Limit{Name: "per_key", OneClient: true}).Hit()
	if r.Degraded() || !r.Reached()[0].Active || !r.Reached()[0].OneClient {
		t.Errorf("degraded %t, %+v", r.Degraded(), r.Reached())
	}
}

func TestRegisterTwiceIsOne(t *testing.T) {
	r := New(slog.New(slog.DiscardHandler), time.Now)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { r.Register(Limit{Name: "same"}).Hit() })
	}
	all.Wait()
	if got := r.Reached(); len(got) != 1 || got[0].Total != 8 {
		t.Errorf("%+v", got)
	}
}

func TestMetrics(t *testing.T) {
	now := time.Unix(1000, 0)
	r := New(slog.New(slog.DiscardHandler), func() time.Time { return now })
	c := r.Register(Limit{Name: "b"})
	c.SetValue(7)
	c.Add(3)
	r.Register(Limit{Name: "a"})
	want := `
# HELP weir_limit_active 1 if a limit was reached within the last minute, else 0.
# TYPE weir_limit_active gauge
weir_limit_active{limit="a"} 0
weir_limit_active{limit="b"} 1
# HELP weir_limit_reached_total Requests or connections that were refused, closed or cut because a limit was reached.
# TYPE weir_limit_reached_total counter
weir_limit_reached_total{limit="a"} 0
weir_limit_reached_total{limit="b"} 3
# HELP weir_limit_value The value of a limit, in its own unit.
# TYPE weir_limit_value gauge
weir_limit_value{limit="b"} 7
`
	if err := testutil.CollectAndCompare(r, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
