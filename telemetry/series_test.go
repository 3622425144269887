package telemetry

import (
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Whatever arrives, each metric has a bounded number of series, and no value of
// a label is longer than its bound or other than UTF-8.
func TestHostileLabels(t *testing.T) {
	f := newFixture()
	m := f.metrics
	for _, s := range []*series[prometheus.Observer]{m.tokens, m.duration, m.firstToken, m.perToken} {
		s.max = 50
	}
	for _, s := range []*series[prometheus.Counter]{m.attempts, m.failovers, m.requests, m.unknown} {
		s.max = 50
	}
	const n = 1000
	for i := range n {
		bad := strconv.Itoa(i) + "\xff\xfe"
		if i%3 == 0 {
			bad = strings.Repeat("x", 1000) + strconv.Itoa(i)
		} else if i%3 == 1 {
			bad = strconv.Itoa(i)
		}
		a := failed()
		a.Provider, a.ModelLabel, a.Cause, a.Operation = bad, bad, bad, bad
		f.Attempt(a)
		r := request()
		r.Provider, r.ModelLabel, r.AskedLabel, r.Operation, r.Code, r.Status = bad, bad, bad, bad, bad, i
		f.Request(r)
		r = request()
		r.Provider, r.ModelLabel, r.AskedLabel, r.Operation = bad, bad, bad, bad
		f.Request(r)
		r.Tokens.Known = false
		f.Request(r)
	}
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		var total uint64
		for _, m := range family.GetMetric() {
			total += m.GetHistogram().GetSampleCount() + uint64(m.GetCounter().GetValue())
			for _, l := range m.GetLabel() {
				if len(l.GetValue()) > maxLabel {
					t.Errorf("%s: a value of %d bytes", family.GetName(), len(l.GetValue()))
				}
			}
		}
		if got := len(family.GetMetric()); got > 50+maxRest+1 {
			t.Errorf("%s has %d series", family.GetName(), got)
		}
		if total%n != 0 && family.GetName() != "weir_access_log_lines_dropped_total" {
			t.Errorf("%s lost observations: %d of %d", family.GetName(), total, n)
		}
	}
}

// When there is no room, an observation still says what kind it is.
func TestRest(t *testing.T) {
	var made []string
	s := newSeries(3, func(v ...string) string {
		made = append(made, strings.Join(v, " "))
		return strings.Join(v, " ")
	})
	s.max = 2
	for _, tt := range []struct{ in, want string }{
		{"a b ok", "a b ok"}, {"c d ok", "c d ok"}, {"e f ok", "other other ok"}, {"e f bad", "other other bad"}, {"a b ok", "a b ok"}, {"g h ok", "other other ok"},
	} {
		if got := s.get(labels(append(strings.Fields(tt.in), "", ""))); got != tt.want {
			t.Errorf("%s becomes %s, want %s", tt.in, got, tt.want)
		}
	}
	for i := range 2 * maxRest {
		s.get(labels{"a", "b", strconv.Itoa(i)})
	}
	if got := s.get(labels{"a", "b", "one more"}); got != "other other other" || len(made) > 2+maxRest+1 {
		t.Errorf("one more becomes %s, of %d", got, len(made))
	}
}

func BenchmarkSeries(b *testing.B) {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "x", Help: "x"}, []string{"a", "b", "c", "d", "e"})
	s := newSeries(5, h.WithLabelValues)
	l := labels{"chat", "azure-openai-west", "gpt-4o-mini-2024-07-18", "gpt-4o-mini-2024-07-18", "rate_limit"}
	b.Run("table", func(b *testing.B) {
		for b.Loop() {
			s.get(l)
		}
	})
	b.Run("prometheus", func(b *testing.B) {
		for b.Loop() {
			h.WithLabelValues(l[:]...)
		}
	})
}
