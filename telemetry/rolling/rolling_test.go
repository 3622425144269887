package rolling

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return start.Add(d) }

func TestNumbers(t *testing.T) {
	const msec = time.Millisecond
	tests := map[string]struct {
		outcomes []Outcome
		want     Numbers
	}{
		"nothing": {nil, Numbers{}},
		"successes": {
			[]Outcome{{OK, 100 * msec, 0}, {OK, 300 * msec, 20 * msec}},
			Numbers{RequestCount: 2, UpstreamAvg: 200, UpstreamP95: 300, TTFTAvg: 20, TTFTP95: 20},
		},
		"a fast error is not a fast answer": {
			[]Outcome{{OK, 100 * msec, 0}, {Server, 1 * msec, 1 * msec}},
			Numbers{RequestCount: 2, UpstreamAvg: 100, UpstreamP95: 100, Errors: Errors{ErrorTotal: .5, ErrorServer: .5}},
		},
		"unknown times": {
			[]Outcome{{Class: OK}, {OK, 100 * msec, 0}, {OK, -1, -1}},
			Numbers{RequestCount: 3, UpstreamAvg: 100, UpstreamP95: 100},
		},
		"classes": {
			[]Outcome{{Class: OK}, {Class: OK}, {Class: OK}, {Class: Timeout}, {Class: RateLimit}, {Class: RateLimit}, {Class: Client}, {Class: Server}},
			Numbers{RequestCount: 8, Errors: Errors{.625, .125, .25, .125, .125}},
		},
		"no class": {[]Outcome{{Class: 9}, {Class: 255}}, Numbers{}},
		"out of bounds": {
			[]Outcome{{OK, 1, 0}, {OK, 5 * time.Hour, 0}},
			Numbers{RequestCount: 2, UpstreamAvg: ms(5*time.Hour+1) / 2, UpstreamP95: midOf(buckets - 1)},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := New(time.Minute)
			m := s.Model("p", "m")
			for _, o := range tt.outcomes {
				m.Observe(start, o)
			}
			if got := numbersOf(m); got != (Numbers{}) {
				t.Errorf("before Tick: %+v", got)
			}
			s.Tick(start)
			near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= .05*math.Abs(b)+1e-9 })
			if diff := cmp.Diff(tt.want, numbersOf(m), near); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The 95th percentile is off by less than 5 %, whatever the values are and
// however they are spread over slots.
func TestP95(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	draw := map[string]func() time.Duration{
		"uniform":    func() time.Duration { return time.Duration(1e6 + r.Int64N(1e9)) },
		"log-normal": func() time.Duration { return time.Duration(4e8 * math.Exp(r.NormFloat64())) },
		"constant":   func() time.Duration { return 1234567 * time.Microsecond },
		"fast":       func() time.Duration { return time.Duration(2e5 + r.Int64N(1e6)) },
		"slow":       func() time.Duration { return time.Duration(1e11 + r.Int64N(3e12)) },
		"two": func() time.Duration {
			if r.IntN(10) == 0 {
				return 30 * time.Second
			}
			return 50 * time.Millisecond
		},
	}
	for name, draw := range draw {
		for _, n := range []int{1, 2, 19, 20, 21, 100, 5000} {
			s := New(time.Minute)
			m := s.Model("p", "m")
			values := make([]time.Duration, n)
			var now time.Time
			for i := range values {
				values[i] = draw()
				now = at(time.Duration(i) * 50 * time.Second / time.Duration(n))
				m.Observe(now, Outcome{OK, values[i], values[i] / 2})
			}
			s.Tick(now)
			slices.Sort(values)
			want := ms(values[(n*95+99)/100-1])
			got := numbersOf(m)
			if off := math.Abs(got.UpstreamP95-want) / want; off > .048 {
				t.Errorf("%s of %d: p95 %v ms, want %v: off by %.1f %%", name, n, got.UpstreamP95, want, off*100)
			}
			if off := math.Abs(got.TTFTP95-want/2) / want * 2; off > .048 {
				t.Errorf("%s of %d: first token p95 %v ms, want %v: off by %.1f %%", name, n, got.TTFTP95, want/2, off*100)
			}
		}
	}
}

func TestBuckets(t *testing.T) {
	if math.Abs(logGrowth-math.Log(growth)) > 1e-15 {
		t.Errorf("logGrowth is not the logarithm of growth, %v", math.Log(growth))
	}
	for d := lowest; d <= time.Hour; d += d/97 + 1 {
		i := bucketOf(d)
		if off := math.Abs(midOf(i)-ms(d)) / ms(d); off > .0477 {
			t.Fatalf("%v is in bucket %d, which stands for %v ms: off by %v", d, i, midOf(i), off)
		}
	}
	for d, want := range map[time.Duration]int{math.MinInt64: 0, 0: 0, 1: 0, lowest: 0, lowest + 1: 1, math.MaxInt64: buckets - 1} {
		if got := bucketOf(d); got != want {
			t.Errorf("bucketOf(%d) = %d, want %d", d, got, want)
		}
	}
}

// What is old leaves by small parts, and all of it within one window.
func TestAging(t *testing.T) {
	const n = 1000
	for _, window := range []time.Duration{time.Second, time.Minute, time.Hour} {
		s := New(window)
		m, k := s.Model("p", "m"), s.Key("k")
		for i := range n {
			now := at(window * time.Duration(i) / n)
			m.Observe(now, Outcome{Server, 0, 0})
			k.Observe(now, Server)
		}
		last := int64(n)
		for i := range 100 {
			s.Tick(at(window + window*time.Duration(i)/100))
			got := numbersOf(m).RequestCount
			if left := int64(n - n*i/100); got > left+1 || got < left-n/slots-1 {
				t.Errorf("%v, %d %% later: %d attempts, want at most %d", window, i, got, left)
			}
			if got > last || last-got > n/slots+1 {
				t.Errorf("%v, %d %% later: %d attempts after %d", window, i, got, last)
			}
			if got != k.Read().RequestCount {
				t.Errorf("%v, %d %% later: %d attempts of the model, %d of the key", window, i, got, k.Read().RequestCount)
			}
			last = got
		}
		s.Tick(at(2 * window))
		if got := numbersOf(m); got != (Numbers{}) {
			t.Errorf("%v after a window: %+v", window, got)
		}
		if got := k.Read(); got != (KeyNumbers{}) {
			t.Errorf("%v after a window: %+v", window, got)
		}
		if m.window != nil {
			t.Errorf("%v: an idle model holds its slots", window)
		}
		m.Observe(at(50*window), Outcome{OK, time.Second, 0})
		s.Tick(at(50 * window))
		if got := numbersOf(m); got.RequestCount != 1 || got.ErrorTotal != 0 || got.UpstreamAvg != 1000 {
			t.Errorf("%v, a new beginning: %+v", window, got)
		}
	}
}

// A record that comes late, or a clock that goes back, loses nothing.
func TestEarlierTimes(t *testing.T) {
	s := New(time.Minute)
	m := s.Model("p", "m")
	for _, d := range []time.Duration{0, 10 * time.Second, -time.Hour, 9 * time.Second} {
		m.Observe(at(d), Outcome{Class: OK})
	}
	s.Tick(at(-time.Hour))
	if got := numbersOf(m).RequestCount; got != 4 {
		t.Errorf("%d attempts, want 4", got)
	}
	s.Tick(at(62 * time.Second))
	if got := numbersOf(m).RequestCount; got != 3 {
		t.Errorf("%d attempts after the first has left, want 3", got)
	}
}

func TestQuota(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	s := New(time.Minute)
	k := s.Key("k")
	read := func(d time.Duration) [2]Remaining {
		s.Tick(at(d))
		got := k.Read()
		return [2]Remaining{got.RemainingRequests, got.RemainingTokens}
	}
	steps := []struct {
		at   time.Duration // seconds
		say  Quota
		want [2]Remaining
	}{
		{0, Quota{}, [2]Remaining{}},
		{1, Quota{RemainingRequests: n(7), ResetRequests: at(5 * time.Second)}, [2]Remaining{{7, true}, {}}},
		{2, Quota{RemainingTokens: n(0), ResetTokens: at(9 * time.Second)}, [2]Remaining{{7, true}, {0, true}}},
		{3, Quota{RemainingRequests: n(6), ResetRequests: at(6 * time.Second)}, [2]Remaining{{6, true}, {0, true}}},
		{5, Quota{}, [2]Remaining{{6, true}, {0, true}}},
		{6, Quota{}, [2]Remaining{{}, {0, true}}},
		{9, Quota{}, [2]Remaining{}},
		{10, Quota{RemainingRequests: n(3)}, [2]Remaining{{3, true}, {}}}, // no reset: a minute
		{69, Quota{}, [2]Remaining{{3, true}, {}}},
		{70, Quota{}, [2]Remaining{}},
		{71, Quota{RemainingRequests: n(3), ResetRequests: at(time.Second)}, [2]Remaining{}},
		{72, Quota{ResetRequests: at(time.Hour)}, [2]Remaining{}},
	}
	for _, step := range steps {
		k.Quota(at(step.at*time.Second), step.say)
		if got := read(step.at * time.Second); got != step.want {
			t.Errorf("at %d s: %v, want %v", step.at, got, step.want)
		}
	}
}

func TestRetain(t *testing.T) {
	s := New(time.Minute)
	a, b, k, l := s.Model("p", "a"), s.Model("p", "b"), s.Key("k"), s.Key("l")
	if s.Model("p", "a") != a || s.Key("k") != k {
		t.Error("the same name gives another")
	}
	if s.Model("p/a", "") == s.Model("p", "/a") {
		t.Error("other names give the same")
	}
	s.Retain(func(_, model string) bool { return model == "a" }, func(id string) bool { return id == "k" })
	if s.Model("p", "a") != a || s.Key("k") != k {
		t.Error("what is retained is another")
	}
	if s.Model("p", "b") == b || s.Key("l") == l {
		t.Error("what is not retained is the same")
	}
}

// Names that a client makes up cannot fill memory.
func TestBound(t *testing.T) {
	s := New(time.Minute)
	for i := range maxEntries + 10 {
		s.Key(string(rune(i))).Observe(start, OK)
	}
	if n := len(s.keys); n > maxEntries {
		t.Errorf("%d keys", n)
	}
	if s.Key("one more") != s.Key("and another") || s.Key("\x00").Read() != (KeyNumbers{}) {
		t.Error("there is room for more")
	}
}

func TestInterval(t *testing.T) {
	for window, want := range map[time.Duration]time.Duration{
		0: 100 * time.Millisecond, time.Second: 100 * time.Millisecond, 10 * time.Second: 500 * time.Millisecond,
		time.Minute: time.Second, time.Hour: time.Second, 1000 * time.Hour: time.Second,
	} {
		if got := New(window).Interval(); got != want {
			t.Errorf("of %v: %v, want %v", window, got, want)
		}
	}
}

// All at the same time; nothing is counted twice or lost.
func TestConcurrent(t *testing.T) {
	const writers, each = 4, 2000
	s := New(time.Hour)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := range each {
				now := at(time.Duration(i) * time.Millisecond)
				s.Model("p", "m").Observe(now, Outcome{Class(i % classes), time.Second, time.Millisecond})
				k, n := s.Key("k"), int64(i)
				k.Observe(now, Class(i%classes))
				k.Quota(now, Quota{RemainingTokens: &n})
				if i%100 == 0 {
					s.Model("p", string(rune(i)))
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for i := range each {
				if n := numbersOf(s.Model("p", "m")); n.RequestCount > 0 && n.ErrorTotal > 1 {
					t.Error(n)
				}
				s.Key("k").Read()
				if i%10 == 0 {
					s.Tick(at(time.Duration(i) * time.Millisecond))
				}
				if i%100 == 0 {
					s.Retain(func(_, model string) bool { return model == "m" }, func(string) bool { return true })
				}
			}
		})
	}
	wg.Wait()
	s.Tick(at(time.Minute))
	if m, k := numbersOf(s.Model("p", "m")), s.Key("k").Read(); m.RequestCount != writers*each || k.RequestCount != writers*each || m.ErrorTotal != .8 {
		t.Errorf("model %+v, key %+v", m, k)
	}
}

func TestAllocations(t *testing.T) {
	s := New(time.Minute)
	now, left := start, int64(5)
	observe := func() {
		now = now.Add(100 * time.Millisecond)
		s.Model("p", "m").Observe(now, Outcome{OK, time.Second, time.Millisecond})
		k := s.Key("k")
		k.Observe(now, OK)
		k.Quota(now, Quota{RemainingRequests: &left})
		s.Model("p", "m").Read()
		k.Read()
	}
	observe()
	if n := testing.AllocsPerRun(1000, observe); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	s := New(time.Minute)
	now := start
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		s.Model("provider", "some/model").Observe(now, Outcome{OK, 800 * time.Millisecond, 90 * time.Millisecond})
	}
}

func BenchmarkTick(b *testing.B) {
	s := New(time.Minute)
	for i := range 100 {
		s.Model("p", string(rune(i)))
	}
	for b.Loop() {
		for _, m := range s.models {
			m.Observe(start, Outcome{OK, 800 * time.Millisecond, 90 * time.Millisecond})
		}
		s.Tick(start)
	}
}

func BenchmarkRead(b *testing.B) {
	s := New(time.Minute)
	m := s.Model("p", "m")
	m.Observe(start, Outcome{OK, 800 * time.Millisecond, 90 * time.Millisecond})
	s.Tick(start)
	for b.Loop() {
		numbersOf(m)
	}
}

func numbersOf(m *Model) Numbers {
	if n := m.Read(); n != nil {
		return *n
	}
	return Numbers{}
}
