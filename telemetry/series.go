package telemetry

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	// maxSeries bounds the label sets of each metric. Labels come from closed sets, so
	// this bound is only reached if something upstream is wrong.
	maxSeries = 10_000
	// maxRest bounds the label sets that stand for all further ones.
	maxRest = 100
	// maxLabel bounds a label's length in bytes.
	maxLabel = 256
	// maxLabels is the greatest number of labels of a metric.
	maxLabels = 5
)

// other is the value of a label beyond the bound.
const other = "other"

// labels are the values of a metric's labels, in order; unused elements are empty.
type labels [maxLabels]string

// series finds the counters or histograms of one metric by their labels. One look-up
// of the whole set is several times cheaper than Prometheus' own.
type series[M any] struct {
	n    int // labels
	with func(values ...string) M
	max  int

	mu sync.RWMutex
	m  map[labels]M

	// provider and model are the positions of these labels, -1 if the metric has none;
	// drop removes a label set from the metric.
	provider, model int
	drop            func(values ...string) bool
}

func newSeries[M any](n int, with func(...string) M) *series[M] {
	return &series[M]{n: n, with: with, max: maxSeries, m: map[labels]M{}, provider: -1, model: -1}
}

// forgettable sets which labels name a provider and a model, and how a label set is
// removed from the metric.
func (s *series[M]) forgettable(names []string, drop func(values ...string) bool) *series[M] {
	s.provider = max(slices.Index(names, "provider"), slices.Index(names, providerLabel))
	s.model = max(slices.Index(names, "model"), slices.Index(names, modelLabel))
	s.drop = drop
	return s
}

// target is the provider and the model of a label set.
type target struct{ provider, model string }

func (s *series[M]) target(l labels) (target, bool) {
	var of target
	if s.provider < 0 {
		return of, false
	}
	of.provider = l[s.provider]
	if s.model >= 0 {
		of.model = l[s.model]
	}
	return of, of.provider != "" && of.provider != other
}

// list adds the targets of the metric's label sets.
func (s *series[M]) list(all map[target]bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for l := range s.m {
		if of, ok := s.target(l); ok {
			all[of] = true
		}
	}
}

// forget removes the label sets of these targets.
func (s *series[M]) forget(gone map[target]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.m {
		if of, ok := s.target(l); ok && gone[of] {
			s.drop(l[:s.n]...)
			delete(s.m, l)
		}
	}
}

func (s *series[M]) get(l labels) M {
	s.mu.RLock()
	v, ok := s.m[l]
	s.mu.RUnlock()
	if ok {
		return v
	}
	return s.add(l)
}

// add creates the series of new labels. If there are too many, all labels but the last
// become other: the last one says what kind of number it is, such as a type of token
// or a cause. If there are too many of those, the last one does too.
func (s *series[M]) add(l labels) M {
	for i := range l {
		l[i] = label(l[i])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tier := range [...]struct{ room, others int }{{s.max, 0}, {s.max + maxRest, s.n - 1}, {s.max + maxRest + 1, s.n}} {
		for i := range tier.others {
			l[i] = other
		}
		if v, ok := s.m[l]; ok {
			return v
		}
		if len(s.m) < tier.room {
			break
		}
	}
	v := s.with(l[:s.n]...)
	s.m[l] = v
	return v
}

// label returns a copy of s, or other if s is not valid as a label. The caller may reuse the memory
// of s.
func label(s string) string {
	if len(s) > maxLabel || !utf8.ValidString(s) {
		return other
	}
	return strings.Clone(s)
}
