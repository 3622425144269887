package expression

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// generator writes random strategies. They check, but for mistakes that are
// meant: errors have to be the same in both forms.
type generator struct{ *rand.Rand }

func (g generator) one(of ...string) string { return of[g.IntN(len(of))] }

// models writes a list of models.
func (g generator) models(depth int) string {
	list := "ai.models"
	if depth == 0 {
		return list
	}
	for range g.IntN(4) {
		switch g.IntN(15) {
		case 0, 1, 2, 3:
			list += ".filter(m, " + g.condition("m", depth-1) + ")"
		case 4:
			list += fmt.Sprintf(".only(['id-%d', 'ALIAS-%d', 'p0:id-%d'])", g.IntN(9), g.IntN(9), g.IntN(9))
		case 5:
			list += fmt.Sprintf(".%s(['p%d', 'pa%d'])", g.one("onlyProviders", "ignoreProviders"), g.IntN(3), g.IntN(3))
		case 6:
			list += fmt.Sprintf(".%s(['a%d'])", g.one("onlyAuthors", "ignoreAuthors"), g.IntN(3))
		case 7:
			list += fmt.Sprintf(".%s('r%d')", g.one("inRegion", "inCountryCode"), g.IntN(3))
		case 8:
			list += fmt.Sprintf(".underCost('%s', %s)", g.one("input", "text.output"), g.one("1", "2.5"))
		case 9:
			list += ".sortBy('price')"
		case 10:
			list += ".sortBy(m, " + g.key("m") + ")"
		case 11:
			list += ".randomize()"
		case 12:
			list = fmt.Sprintf("(%s ? %s : %s)", g.exists(depth-1), list, g.models(depth-1))
		case 13:
			list = fmt.Sprintf("(%s + %s)", list, g.models(depth-1))
		case 14:
			if g.IntN(3) == 0 {
				list += fmt.Sprintf(".map(m, %s ? m : null)", g.condition("m", 0))
			}
		}
	}
	return list
}

func (g generator) exists(depth int) string {
	return fmt.Sprintf("%s.%s(m, %s)", g.models(depth), g.one("exists", "all"), g.condition("m", depth))
}

// condition writes a condition over a model.
func (g generator) condition(m string, depth int) string {
	if depth > 0 && g.IntN(3) == 0 {
		a, b := g.condition(m, depth-1), g.condition(m, depth-1)
		return g.one("("+a+" && "+b+")", "("+a+" || "+b+")", "!("+a+")", "("+a+" ? "+b+" : "+a+")")
	}
	if g.IntN(3) == 0 {
		// Only order is compared across types.
		a, b, is := g.number(m), g.one("0", "3", "-1", "0.5", "1.0", "12.5", "9007199254740993", g.number(m)), g.one(" < ", " <= ", " > ", " >= ")
		switch g.IntN(6) {
		case 0:
			a, b, is = m+".metrics.global.request_count", g.one("0", "-3", "4", "-"+m+".metrics.account.request_count"), g.one(" == ", " != ")
		case 1:
			a, b, is = "-"+m+".metrics.global.error_rate.total", g.one("0.0", "-3.0", m+".metrics.account.error_rate.total"), g.one(" == ", " != ")
		}
		if g.IntN(4) == 0 {
			a, b = b, a
		}
		return a + is + b
	}
	v := g.one(
		"@.provider_id == 'p1'", "@.provider_id in ['p0', 'p2']", "@.id.contains('1')", "@.id != 'id-3'", "@.known", "!@.custom",
		"@.author_id.startsWith('a')", "'text' in @.input_modalities", "@.id_aliases.exists(a, a.endsWith('1'))",
		"@.supported_features.all(f, f != 'f1')", "@.max_context_window > 1000", "@.pricing.input < 2", "has(@.pricing.output)",
		"@.metadata.tier > 1", "@.metadata.tier == null", "@.metadata['name'].matches('^n[01]')", "has(@.metadata.config.zone)",
		"@.metadata.config.zone == 'z1'", "@.metadata.flag", "'t1' in @.metadata.tags", "@.metadata.tags.exists(x, x == 't2')",
		"@.getMetadata('config.zone') == 'z0'", "@.metadata.mixed < 3", "@.metadata.mixed.startsWith('x')", "size(@.metadata.tags) > 1",
		"req.headers['x-tier'][0] == @.metadata.config.zone", "@.max_context_window >= req.body.max_tokens", "key.name == @.author_id",
		"conn.client_ip == ''", "1 / @.max_output_tokens > 0", "@.metadata.mixed + 1 > 2", "@ == ai.models[0]",
		"ai.models.exists(o, o.id == @.id)", "@.metadata.tags[0] == 't0'", "[1, 2].exists(i, i == @.metadata.tier)", "@ in [@]",
		"@.id + @.provider_id == 'id-1p1'", "dyn(@).id == 'id-2'", "[@, 1][0].metrics.global.request_count > 2", "'x'.replace('x', @.id) == 'id-1'",
		"@.pricing.input + @.pricing.output < 3.0", "@.metadata.config.zone.upperAscii() == 'Z1'", "ai.models.get('id-7').max_context_window > @.max_context_window",
	)
	return strings.ReplaceAll(v, "@", m)
}

// number writes a live number of a model.
func (g generator) number(m string) string {
	return g.one("", "", "-") + m + g.one(".metrics.global.", ".metrics.account.") + g.one("request_count",
		"latency.upstream_ms_avg", "latency.upstream_ms_p95", "latency.time_to_first_token_ms_avg", "latency.time_to_first_token_ms_p95",
		"error_rate.total", "error_rate.timeout", "error_rate.rate_limit", "error_rate.client", "error_rate.server")
}

// numbers are live ones, many of them the same, and rarely odd ones: what a
// store gives is finite, but this package does not know.
func (g generator) numbers() numbers {
	n := numbers{}
	for m := RequestCount; m <= ErrorServer; m++ {
		switch g.IntN(4) {
		case 0:
			n[m] = float64(g.IntN(4))
		case 1:
			n[m] = g.Float64()
		case 2:
			n[m] = []float64{0.5, math.Nextafter(0.5, 1)}[g.IntN(2)]
		}
		if g.IntN(100) == 0 {
			n[m] = []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), -2.5}[g.IntN(5)]
		}
	}
	n[RequestCount] = float64(g.IntN(8))
	if g.IntN(100) == 0 {
		n[RequestCount] = 1 << 53
	}
	return n
}

func (g generator) key(m string) string {
	if g.IntN(3) == 0 {
		return g.number(m)
	}
	return strings.ReplaceAll(g.one("@.id", "@.pricing.output", "-@.pricing.input", "@.metadata.tier", "@.metadata.mixed", "@.custom",
		"@.metrics.global.request_count % 3", "@.max_context_window % 7", "@.metadata.config",
		"req.body.max_tokens", "1 / @.max_output_tokens", "@.provider_id + @.id", "@.supported_features.size()"), "@", m)
}

// strategy writes what a strategy may give.
func (g generator) strategy() string {
	list := g.models(3)
	return g.one(list, list, list+".sortBy(m, "+g.key("m")+")", list+".random()", list+"[0]", list+".sortBy(m, "+g.number("m")+")[2]", list+".get('id-1')", list+".get('p1', 'id-1')",
		"["+list+".get('id-1'), "+list+"[1]].filter(m, "+g.condition("m", 1)+")", "['id-7', 'id-1'].map(i, ai.models.get(i)).sortBy(m, "+g.key("m")+")",
		"ai.providers.filter(p, p.models.exists(m, "+g.condition("m", 1)+")).map(p, p.models)[0]", "ai.providers.get('pa1').models.filter(m, "+g.condition("m", 1)+")")
}

func (g generator) world() (*World, []*Model) {
	metadata := func(i int) map[string]any {
		m := map[string]any{}
		for key, v := range map[string]any{
			"tier": g.IntN(4), "name": fmt.Sprint("n", i%3), "config": map[string]any{"zone": fmt.Sprint("z", i%3)}, "flag": i%2 == 0,
			"tags": []any{"t0", fmt.Sprint("t", i%4)}, "region": fmt.Sprint("R", i%3), "country_codes": []any{"r1"},
			"mixed": []any{i, "x", nil, 1.5, true}[g.IntN(5)],
		} {
			if g.IntN(3) > 0 {
				m[key] = v
			}
		}
		return m
	}
	models := make([]*Model, 1+g.IntN(12))
	for i := range models {
		p := g.IntN(3)
		models[i] = &Model{
			ID: fmt.Sprint("id-", g.IntN(8)), ProviderID: fmt.Sprint("p", p), ProviderIDAliases: []string{fmt.Sprint("pa", p)}, AuthorID: []string{"", "a0", "a1"}[g.IntN(3)],
			IDAliases: []string{fmt.Sprint("alias-", i)}[:g.IntN(2)], Known: true, Custom: g.IntN(2) == 0, Metadata: metadata(i),
			InputModalities: []string{"text", "image"}[:g.IntN(3)], SupportedFeatures: []string{"f0", "f1"}[:g.IntN(3)],
			MaxContextWindow: int64(g.IntN(5) * 500), MaxOutputTokens: int64(g.IntN(8)),
			Pricing: Pricing{Input: Price{float64(g.IntN(4)), g.IntN(3) > 0}, Output: Price{float64(g.IntN(4)), g.IntN(3) > 0}},
			Tag:     g.numbers(),
		}
	}
	w := NewWorld(models, []*Provider{{ID: "p0"}, {ID: "p1", IDAliases: []string{"pa1"}}, {ID: "p2"}})
	// The candidates of a request: some of the world's, in its order or in
	// another, and perhaps one that is passed through.
	var candidates []*Model
	for _, i := range g.Perm(len(models)) {
		if g.IntN(4) > 0 {
			candidates = append(candidates, models[i])
		}
	}
	if g.IntN(2) == 0 {
		slices.SortFunc(candidates, func(a, b *Model) int { return a.index - b.index })
	}
	if g.IntN(3) == 0 {
		candidates = append(candidates, &Model{ID: "id-1", ProviderID: "p1", MaxOutputTokens: int64(g.IntN(2)), Metadata: metadata(1)})
	}
	return w, candidates
}

// A strategy with shared parts gives what its plain form gives, and the same errors.
func TestDifferential(t *testing.T) {
	const worlds, strategies = 60, 60
	shared, failed, some := 0, 0, 0
	for seed := range uint64(worlds) {
		g := generator{seeded(seed + 1)}
		w, candidates := g.world()
		request := smallRequest()
		for range strategies {
			source := g.strategy()
			if len(source) > maxSource {
				continue
			}
			s := mustModels(t, w, source)
			most := g.IntN(6)
			got, err := s.Run(&Input{Numbers: w.tagged(), Request: request, Random: stateless{}, Most: most}, candidates)
			want, wantErr := slow(s).Run(&Input{Numbers: tags{w}, Request: request, Random: stateless{}}, candidates)
			if s.shared != nil {
				shared++
			}
			if wantErr != nil {
				failed++
			} else if len(want) > 0 {
				some++
			}
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("world %d: %s\nerror %v\nplain %v", seed, source, err, wantErr)
			}
			if most > 0 {
				got, want = different(got, most), different(want, most)
			}
			if pointers(got) != pointers(want) {
				t.Fatalf("world %d: %s\n got %s\nplain %s", seed, source, idsOf(got), idsOf(want))
			}
		}
	}
	t.Logf("%d shared, %d errors, %d not empty", shared, failed, some)
	if total := worlds * strategies; shared < total/2 || failed < total/50 || some < total/4 {
		t.Errorf("the strategies test little: of %d, %d shared, %d errors, %d not empty", total, shared, failed, some)
	}
}

// different are the first n different ones of a list.
func different(models []*Model, n int) []*Model {
	var out []*Model
	for _, m := range models {
		if len(out) < n && !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return out
}

// stateless is a Random that gives the same again when one form starts anew
// after an error.
type stateless struct{}

func (stateless) IntN(n int) int { return n * 5 / 7 }

func pointers(models []*Model) string {
	var out strings.Builder
	for _, m := range models {
		fmt.Fprintf(&out, "%p ", m)
	}
	return out.String()
}

// Whole numbers that are no float64 are CEL's to compare.
func TestExactly(t *testing.T) {
	model := &Model{ID: "m", Known: true, Tag: numbers{RequestCount: 1 << 53}}
	w := NewWorld([]*Model{model}, nil)
	for source, want := range map[string]int{
		"ai.models.filter(m, m.metrics.global.request_count < 9007199254740993)":     1,
		"ai.models.filter(m, m.metrics.global.request_count == 9007199254740993)":    0,
		"ai.models.filter(m, -m.metrics.global.request_count > -9007199254740993)":   1,
		"ai.models.filter(m, m.metrics.global.request_count <= 9007199254740992)":    1,
		"ai.models.filter(m, m.metrics.global.error_rate.total > -9007199254740993)": 1,
	} {
		if got, err := mustModels(t, w, source).Run(&Input{Numbers: tags{w}}, []*Model{model}); len(got) != want || err != nil {
			t.Errorf("%s: %d models, %v", source, len(got), err)
		}
	}
}
