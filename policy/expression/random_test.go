package expression

import (
	"math"
	"slices"
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
		"ai.models.random()":    24,
		"[ai.models.random()]":  4,
		"ai.models.randomize()": 24,
		"ai.models.filter(m, m.metrics.global.error_rate.total < 2.0).randomize()": 24,
		"ai.models.filter(m, m.id != 'gpt-4o').random()":                           6,
		"[ai.models[0], ai.models[1], ai.models[2]].random()":                      6,
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
	for source, want := range map[string]string{"ai.models.random()": everything, "[ai.models.random()]": "gpt-4o", "ai.models.randomize()": everything} {
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

// sick is the health of the small world's models and of keys.
type sick []string

func (s sick) ModelEjected(m *Model) bool { return slices.Contains(s, m.ID) }
func (s sick) KeyEjected(k *Key) bool     { return slices.Contains(s, k.ID) }

// What is ejected comes last wherever a list is shuffled, and is never drawn first while
// there is something else. Only where random is not the last call does it draw one of all.
func TestEjectedLast(t *testing.T) {
	w, models := smallWorld()
	const runs = 4000
	for _, c := range []struct {
		source  string
		ejected sick
		kinds   int // of different results
		last    string
	}{
		{"ai.models.random()", sick{"gpt-4o"}, 6, "gpt-4o"},
		{"ai.models.randomize()", sick{"gpt-4o"}, 6, "gpt-4o"},
		{"ai.models.random()", sick{"gpt-4o", "gpt-4o-mini"}, 4, ""},
		{"ai.models.random()", sick{"gpt-4o", "gpt-4o-mini", "claude-sonnet", "llama3.2:1b"}, 24, ""},
		{"ai.models.only(['gpt-4o']).random()", sick{"gpt-4o"}, 1, "gpt-4o"},
		{"true ? ai.models.random() : ai.models[0]", sick{"llama3.2:1b"}, 6, "llama3.2:1b"},
		{"[ai.models[0], ai.models[1], ai.models[3]].random()", sick{"gpt-4o"}, 2, "gpt-4o"},
		{"ai.models.randomize().sortBy(m, m.custom)", sick{"gpt-4o"}, 2, "llama3.2:1b"},
		{"ai.models.randomize()[3]", sick{"gpt-4o"}, 1, "gpt-4o"},
		{"[ai.models.random()]", sick{"gpt-4o"}, 4, ""},
		{"ai.providers.random().models", sick{"gpt-4o"}, 3, ""},
		{"ai.models.filter(m, m.id == 'none').random()", sick{"gpt-4o"}, 1, ""},
	} {
		s, in := mustModels(t, w, c.source), &Input{Numbers: tags{w}, Random: seeded(7), Health: c.ejected}
		counts := map[string]int{}
		for range runs {
			got, err := s.Run(in, models)
			if err != nil {
				t.Fatal(c.source, err)
			}
			counts[idsOf(got)]++
			if c.last != "" && got[len(got)-1].ID != c.last {
				t.Fatalf("%s: %s", c.source, idsOf(got))
			}
		}
		chiSquare(t, c.source, counts, c.kinds, runs)
	}
}

// Each key has the same probability, and those that are ejected come last.
func TestRandomKeys(t *testing.T) {
	w, _ := smallWorld()
	keys := []*Key{{ID: "a#1"}, {ID: "a#2"}, {ID: "a#3"}}
	for source, kinds := range map[string]int{"ai.keys.random()": 2, "ai.keys.randomize()": 2, "[ai.keys.random()]": 3} {
		s, issues := w.Keys(source)
		if issues != nil {
			t.Fatal(issues)
		}
		counts := map[string]int{}
		for in, n := (&Input{Random: seeded(7), Health: sick{"a#2"}}), 0; n < 3000; n++ {
			got, err := s.Run(in, keys)
			if err != nil {
				t.Fatal(err)
			}
			order := ""
			for _, k := range got {
				order += k.ID + " "
			}
			counts[order]++
			if len(got) > 1 && got[2].ID != "a#2" {
				t.Fatal(source, order)
			}
		}
		chiSquare(t, source, counts, kinds, 3000)
	}
}

// The first of an order are the same whether the rest is asked for or not, and a model that
// a list has twice counts once.
func TestShuffleMost(t *testing.T) {
	w, models := smallWorld()
	for _, source := range []string{"ai.models.random()", "ai.models.randomize()", "(ai.models + ai.models).random()"} {
		s := mustModels(t, w, source)
		for seed := range uint64(50) {
			for _, health := range []Health{nil, sick{"gpt-4o", "claude-sonnet"}} {
				all, _ := s.Run(&Input{Random: seeded(seed), Health: health}, models)
				for most := 1; most <= len(models); most++ {
					got, _ := s.Run(&Input{Random: seeded(seed), Health: health, Most: most}, models)
					if want := idsOf(different(all, most)); idsOf(different(got, most)) != want {
						t.Fatalf("%s, the first %d: %s, want %s", source, most, idsOf(got), want)
					}
				}
			}
		}
	}
}
