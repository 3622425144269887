package expression

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzStrategy: no expression makes the compiler or an evaluation panic, and
// what compiles gives the same in both forms.
func FuzzStrategy(f *testing.F) {
	g := generator{seeded(1)}
	for range 50 {
		f.Add(g.strategy())
	}
	for _, source := range []string{
		"ai.keys.sortBy(k, -k.quota.remaining_requests)", "req.headers['x-tier'][0] == 'gold' ? ai.models[0] : null", "[[ai.models]][0][0]",
		"{'a': ai.models}.a", "ai.models.map(m, [m])[0]", "ai.models.exists_one(m, m.custom) ? ai.models : []", "type(ai) == ai ? [] : []",
		"ai.models.filter(m, math.greatest(1, 2.0) > m.metadata.tier)", "ai.models.sortBy(a, a.id).sortBy(b, b.custom)", ".ai.models", "ai.models.filter(ai, .ai.models.size() > 0)",
		"ai.models.filter(m, timestamp('2026-01-01T00:00:00Z') > m.metadata.x)", "ai.models.filter(m, b'a' in [b'a', 'x'] || m.metadata.b in ['a'])",
	} {
		f.Add(source)
	}
	w, models := smallWorld()
	f.Fuzz(func(t *testing.T, source string) {
		in := &Input{Numbers: tags{w}, Request: smallRequest(), Random: stateless{}, Models: models}
		if s, issues := w.Models(source); issues == nil {
			shared := *in
			shared.Numbers = w.tagged()
			got, err := s.Run(&shared, models)
			want, wantErr := slow(s).Run(in, models)
			if pointers(got) != pointers(want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Errorf("%s\n got %s %v\nplain %s %v", source, idsOf(got), err, idsOf(want), wantErr)
			}
		}
		if s, issues := w.Keys(source); issues == nil {
			_, _ = s.Run(in, smallKeys())
		}
		for _, source := range []string{source, "${" + source + "}"} {
			p, issues := Template(source)
			for _, i := range issues {
				if i.Line < 1 || i.Column < 1 || i.Line > strings.Count(source, "\n")+1 {
					t.Errorf("%q: %v", source, i)
				}
			}
			if issues == nil {
				_, _ = p.Text(in, vault)
				_, _ = p.Value(in, vault)
			}
		}
	})
}
