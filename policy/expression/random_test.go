package expression

import (
	"math"
	"testing"
)

// chiSquare compares counts with a uniform distribution. The limit is the
// 99.9 % quantile, as Wilson and Hilferty estimate it: the seed is fixed, so
// that a test which passes once passes always.
func chiSquare(t *testing.T, what string, counts map[string]int, kinds, runs int) {
	t.Helper()
	expected, sum := float64(runs)/float64(kinds), 0.0
	for _, n := range counts {
		sum += (float64(n) - expected) * (float64(n) - expected) / expected
	}
	sum += float64(kinds-len(counts)) * expected
	df := float64(kinds - 1)
	limit := df * math.Pow(1-2/(9*df)+3.09*math.Sqrt(2/(9*df)), 3)
	if sum > limit {
		t.Errorf("%s: chi-square %.1f is over %.1f: %v", what, sum, limit, counts)
	}
}

func TestUniform(t *testing.T) {
	w, models := smallWorld()
	const runs = 24000
	for source, kinds := range map[string]int{
		"ai.models.random()":    4,
		"ai.models.randomize()": 24,
		"ai.models.filter(m, m.metrics.global.error_rate.total < 2.0).randomize()": 24,
		"ai.models.filter(m, m.id != 'gpt-4o').random()":                           3,
		"[ai.models[0], ai.models[1], ai.models[2]].random()":                      3,
		"[ai.models[0], ai.models[1], ai.models[2]].randomize()":                   6,
		"ai.providers.random().models.randomize()[0]":                              0,
	} {
		s, in := mustModels(t, w, source), &Input{Numbers: tags{w}, Random: seeded(7)}
		counts := map[string]int{}
		for range runs {
			got, err := s.Run(in, models)
			if err != nil {
				t.Fatal(source, err)
			}
			counts[idsOf(got)]++
		}
		if kinds > 0 {
			chiSquare(t, source, counts, kinds, runs)
		} else if len(counts) != 4 {
			t.Errorf("%s: %v", source, counts)
		}
	}
}

// Without randomness nothing is random, and nothing fails.
func TestNoRandom(t *testing.T) {
	w, models := smallWorld()
	for source, want := range map[string]string{"ai.models.random()": "gpt-4o", "ai.models.randomize()": everything} {
		if got, err := mustModels(t, w, source).Run(&Input{Numbers: tags{w}}, models); idsOf(got) != want || err != nil {
			t.Errorf("%s: %s %v", source, idsOf(got), err)
		}
	}
}

// The candidates are their caller's: nothing reorders them.
func TestCandidatesStay(t *testing.T) {
	w, models := smallWorld()
	for _, source := range []string{"ai.models.randomize()", "ai.models.sortBy('price')", "ai.models.sortBy(m, m.id)", "ai.models.filter(m, m.custom)"} {
		if _, err := mustModels(t, w, source).Run(&Input{Numbers: tags{w}, Random: seeded(3)}, models); err != nil || idsOf(models) != everything {
			t.Errorf("%s: %v %v", source, idsOf(models), err)
		}
	}
}
