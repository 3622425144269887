package expression

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// Every strategy and every string of the seeds compiles.
func TestSeeds(t *testing.T) {
	data, err := os.ReadFile("../testdata/seeds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w, _ := smallWorld()
	strategies := regexp.MustCompile(`(?m)^\s*- "(ai\..*)"$`).FindAllSubmatch(data, -1)
	templates := regexp.MustCompile(`\$\{.*\}`).FindAll(data, -1)
	if len(strategies) < 5 || len(templates) < 5 {
		t.Fatalf("%d strategies and %d strings", len(strategies), len(templates))
	}
	for _, s := range strategies {
		mustModels(t, w, string(s[1]))
	}
	for _, s := range templates {
		if p, issues := Template(string(s)); issues != nil || !p.UsesSecrets() || p.UsesRequest() {
			t.Errorf("%s: %v", s, issues)
		}
	}
}

// What of a strategy is evaluated for all requests, for all models of one, or in a loop
// for each model.
func TestSharedForm(t *testing.T) {
	w, _ := smallWorld()
	for source, want := range map[string]string{
		"ai.models.filter(m, m.metadata.tags.exists(t, t == 'a'))":                                            "part",
		"ai.models.filter(m, m.metrics.global.error_rate.total < 0.1 && m.id.startsWith('a'))":                "part",
		"ai.models.onlyProviders(['a']).sortBy(m, m.metrics.global.request_count).filter(m, req.body.stream)": "part once loop",
		"ai.models.sortBy('price')":                                      "part",
		"ai.models.filter(m, m.custom) + ai.models.filter(m, !m.custom)": "part part",
		"req.body.prompt.contains('x') ? ai.models.filter(m, m.custom) : ai.models.sortBy(m, m.max_output_tokens)": "part part",
		"ai.models.filter(m, m.custom).random()": "part",

		"ai.models.filter(m, m.max_output_tokens >= req.body.max_tokens)":                                         "once loop",
		"ai.models.filter(m, m.custom && m.id == req.body.model && m.metadata.tier > 1)":                          "part once loop",
		"ai.models.filter(m, m.custom || m.metadata.tier > int(req.body.n))":                                      "column once loop",
		"ai.models.filter(m, m.metrics.global.latency.upstream_ms_avg < req.body.n)":                              "column once loop",
		"ai.models.filter(m, m.max_output_tokens >= req.body.n && m.custom).sortBy('price')":                      "part once loop",
		"ai.models.filter(m, m.id == req.id).sortBy(m, m.id).filter(m, m.author_id == key.id).sortBy('price')":    "part once once loop",
		"ai.models.filter(m, key.name == m.author_id)":                                                            "once loop",
		"ai.models.filter(m, m in ai.models)":                                                                     "once loop",
		"ai.models.filter(m, m.custom && ai.models.exists(n, n.id == m.id && n.id == req.body.model))":            "part once loop",
		"ai.models.filter(m, m.id_aliases.exists(a, a == req.body.model))":                                        "loop",
		"ai.models.randomize().filter(m, m.metadata.tier > 1)":                                                    "column loop",
		"ai.providers.filter(p, p.models.filter(m, m.custom).size() > 0 && p.metadata.x == req.body.x)[0].models": "once loop",

		"ai.models":                               "",
		"ai.models.random()":                      "",
		"ai.models.map(m, m.custom ? m : null)":   "",
		"ai.models.only([req.body.model])":        "",
		"ai.models.filter(key, key.id == req.id)": "",
	} {
		checked, issues := modelLanguage().compile(source)
		if issues != nil {
			t.Fatal(source, issues)
		}
		s, err := modelLanguage().share(lower(checked), w)
		if err != nil {
			t.Fatal(source, err)
		}
		var got []string
		for _, slot := range s.slots {
			got = append(got, strings.TrimPrefix(fmt.Sprintf("%T", slot), "*expression."))
		}
		if s.loops > 0 {
			got = append(got, "loop")
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
}

// What makes sense of 5,000 models passes; what compares each pair of 1,000
// is stopped, soon.
func TestCostLimit(t *testing.T) {
	w, models := largeWorld(5000)
	request := smallRequest()
	for _, source := range []string{
		"ai.models.filter(m, m.provider_id == 'openai' && m.metrics.global.error_rate.total < 0.5 && m.metadata.tier > 1 && m.pricing.input < 500).sortBy(m, m.metrics.global.latency.time_to_first_token_ms_p95)",
		"ai.models.filter(m, m.id in ['model-1', 'model-2'] || m.supported_features.exists(f, f == 'x') || m.author_id.contains('1'))",
		"ai.models.filter(m, '%s'.format([m.metrics.global.request_count]) != '1')",
		"ai.models.filter(m, m.id in req.body.models)",
		"ai.models.sortBy(m, -m.metrics.global.request_count)[0]",
	} {
		if _, err := slow(mustModels(t, w, source)).Run(&Input{Numbers: tags{w}, Request: request}, models); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
	for _, source := range []string{
		"ai.models.filter(m, ai.models.exists(n, n.id == m.id + 'x'))",
		"ai.models.filter(m, ai.models.filter(n, n.author_id == m.author_id).size() > 1)",
		"ai.models.filter(m, m in ai.models && m in ai.models)",
		"ai.models.filter(m, ai.models.only([m.id]).size() > 0)",
		"ai.models.filter(m, ai.models.map(n, n.id).map(n, n + m.id).exists(n, n == ''))",
		"ai.models.filter(m, ai.models.sortBy(n, n.id + m.id)[0] == m)",
		"ai.models.filter(m, ai.models.exists(n, ai.models.exists(o, n.id + m.id == o.id)))",
		"'x'" + strings.Repeat(".replace('x', 'xxxxx')", 20) + " == '' ? ai.models : []",
	} {
		start := time.Now()
		_, err := mustModels(t, w, source).Run(&Input{Numbers: tags{w}, Request: request}, models[:1000])
		if err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%s: %v", source, err)
		}
		t.Logf("%.60s: %v", source, time.Since(start))
	}
}

// A request can be as odd as it wants: strategies end, with a result or an
// error, and soon.
func TestHostileRequests(t *testing.T) {
	w, models := largeWorld(1000)
	megabyte := strings.Repeat("a", 1<<20)
	bodies := map[string]string{
		"long string":    `"` + megabyte[:1<<20-2] + `"`,
		"over the limit": `"` + megabyte + `"`,
		"deep":           strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"too deep":       strings.Repeat("[", 200000) + strings.Repeat("]", 200000),
		"deep objects":   strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000),
		"wide":           "[" + strings.Repeat("0,", 400000) + "0]",
		"huge number":    strings.Repeat("9", 100000),
		"tiny number":    "1e-999999",
		"not JSON":       "{",
		"nothing":        "",
		"bad UTF-8":      "\"\xff\xfe\"",
		"surrogate":      `"\ud800"`,
		"null":           "null",
	}
	for name, value := range bodies {
		request := &Request{
			Method: "\xff", Path: megabyte, ID: "\x00", Headers: headersOf("x", "\xff\x00", "x", megabyte[:60000], "", ""),
			Body: []Member{{Name: []byte("x"), Value: []byte(value)}, {Name: []byte("\xff"), Value: []byte("1")}, {Name: []byte("x"), Value: []byte(value)}},
		}
		for _, source := range []string{
			"ai.models.filter(m, m.id == req.body.x)",
			"ai.models.filter(m, m.max_context_window < req.body.x)",
			"ai.models.filter(m, req.body.x.contains(m.id))",
			"ai.models.filter(m, m.id in req.body.x)",
			"ai.models.filter(m, req.body.x.exists(e, e == m.id))",
			"req.body.x.exists(e, e == 1) ? ai.models : []",
			"req.body.x.matches('^(a+)+$') ? ai.models : []",
			"size(req.body.x) > 3 ? ai.models : []",
			"req.body.x == req.body.x ? ai.models : []",
			"req.body.x[0][0].a.a[0] == null ? ai.models : []",
			"ai.models.only(req.headers['x'])",
			"ai.models.sortBy(m, req.body.x)",
			"ai.models[req.body.x]",
			"ai.models.filter(m, m.id == req.path + req.headers['x'][1])",
			"double(req.body.x) < 1.0 ? ai.models : []",
			"string(req.body.x).split('').size() == 0 ? ai.models : []",
		} {
			start := time.Now()
			_, err := mustModels(t, w, source).Run(&Input{Numbers: tags{w}, Request: request}, models)
			// What is quadratic in such a request takes many minutes.
			if took := time.Since(start); took > time.Minute {
				t.Errorf("%s: %s took %v (%v)", name, source, took, err)
			}
			if err != nil && len(err.Error()) > 200 {
				t.Errorf("%s: %s: a long error: %.300s", name, source, err)
			}
		}
		p, issues := Template("${req.body.x}${req.headers['x']}${req.path}")
		if issues != nil {
			t.Fatal(issues)
		}
		_, _ = p.Text(&Input{Numbers: tags{w}, Request: request}, nil)
	}
}

// Expressions as long as people write them compile.
func TestLongExpressions(t *testing.T) {
	w, _ := smallWorld()
	mustModels(t, w, "ai.models.filter(m, m.id == ''"+strings.Repeat(" || m.id == 'some-model'", 120)+")")
	mustModels(t, w, "ai.models"+strings.Repeat(".filter(m, m.known)", 20))
	mustModels(t, w, "ai.models.only(["+strings.Repeat("'some-model',", 300)+"'x'])")
	for _, source := range []string{
		strings.Repeat("(", 2000) + "ai.models" + strings.Repeat(")", 2000),
		strings.Repeat("!", 4000) + "true",
		strings.Repeat("[", 2000) + strings.Repeat("]", 2000),
		"ai.models" + strings.Repeat(".filter(m, m.known)", 200),
		"ai.models.filter(m, " + strings.Repeat("m.id_aliases.exists(m, ", 150) + "true",
		strings.Repeat("a", 5000),
	} {
		if _, issues := w.Models(source); issues == nil || len(issues[0].Message) > maxMessage+10 {
			t.Errorf("%.60s: %.500v", source, issues)
		}
	}
}

// One strategy serves many requests at once.
func TestConcurrent(t *testing.T) {
	w, models := largeWorld(100)
	var strategies []*ModelStrategy
	for _, source := range []string{
		"ai.models.filter(m, m.provider_id == 'openai').randomize()", "ai.models.sortBy(m, m.metrics.global.request_count)",
		"ai.models.filter(m, 1 / (m.metadata.tier - 1) > 0)", "ai.providers.get('openai').models.filter(m, ai.models.exists(n, n == m))",
		"ai.models.filter(m, m.id == req.body.x || m.metadata.tier > 2)",
	} {
		strategies = append(strategies, mustModels(t, w, source))
	}
	p, _ := Template("${req.headers['x']} ${req.body.x} ${key.metadata.a.b}")
	var done sync.WaitGroup
	for i := range 4 {
		done.Go(func() {
			in := &Input{Numbers: tags{w}, Request: smallRequest(), Random: seeded(uint64(i))}
			for range 20 {
				candidates := append(models[i:50+i:50+i], &Model{ID: "passed", ProviderID: "openai"})
				for _, s := range strategies {
					_, _ = s.Run(in, candidates)
				}
				_, _ = p.Text(in, nil)
			}
		})
	}
	done.Wait()
}

// What a strategy allocates does not depend on how many models there are, where it
// reads nothing of the request.
func TestAllocations(t *testing.T) {
	for source, most := range map[string]float64{
		"ai.models":          2,
		"ai.models.random()": 4,
		"ai.models.filter(m, m.provider_id == 'openai')":                           4,
		"ai.models.filter(m, m.provider_id in ['openai', 'google']).random()":      6,
		"ai.models.sortBy('price')":                                                6,
		"ai.models.onlyProviders(['openai']).ignore(['model-3'])":                  8,
		"ai.models.filter(m, m.metrics.global.error_rate.total < 0.1)":             4,
		"ai.models.sortBy(m, m.metrics.global.latency.time_to_first_token_ms_p95)": 4,
		"ai.models.sortBy(m, -m.metrics.global.request_count).filter(m, m.known)":  8,
		"ai.models.sortBy(m, m.metrics.global.latency.upstream_ms_avg)[0]":         6,
	} {
		for _, n := range []int{10, 1000} {
			w, models := largeWorld(n)
			s := mustModels(t, w, source)
			in := &Input{Numbers: w.tagged(), Random: seeded(1)}
			got := testing.AllocsPerRun(50, func() { _, _ = s.Run(in, models) })
			const pools = 2 // the race detector empties pools at random
			if got > most+pools {
				t.Errorf("%s over %d models: %v allocations, %v at most", source, n, got, most+pools)
			}
		}
	}
}

// moments are numbers that change: a result is used again for the same ones only.
type moments struct{ total *float64 }

func (m moments) Model(place int, of Metric) float64 { return *m.total * float64(place%3) }
func (m moments) Key(int) KeyNumbers                 { return KeyNumbers{} }

func TestMoments(t *testing.T) {
	w, models := largeWorld(200)
	s := mustModels(t, w, "ai.models.filter(m, m.metrics.global.error_rate.total < 1.0)")
	count := func(numbers Numbers, candidates []*Model) int {
		t.Helper()
		got, err := s.Run(&Input{Numbers: w.Snapshot(numbers)}, candidates)
		want, wantErr := slow(s).Run(&Input{Numbers: numbers}, candidates)
		if err != nil || wantErr != nil || pointers(got) != pointers(want) {
			t.Fatalf("got %s %v\nwant %s %v", idsOf(got), err, idsOf(want), wantErr)
		}
		return len(got)
	}
	quiet, failing := 0.1, 1.0
	for range 3 {
		if n := count(moments{&quiet}, models); n != 200 {
			t.Errorf("%d models where none fails", n)
		}
		if n := count(moments{&failing}, models); n != 67 {
			t.Errorf("%d models where two of three fail", n)
		}
		// A part of the models, as a key's scope leaves it: nothing else is in the result.
		count(moments{&failing}, models[10:60])
		count(nil, models)
		if got, err := s.Run(&Input{}, models); len(got) != 200 || err != nil {
			t.Errorf("without numbers: %d models, %v", len(got), err)
		}
	}
}

func BenchmarkStrategy(b *testing.B) {
	w, models := largeWorld(1000)
	for _, source := range []string{
		"ai.models.random()",
		"ai.models.filter(m, m.provider_id == 'openai')",
		"ai.models.filter(m, m.provider_id in ['openai', 'google']).random()",
		"ai.models.sortBy('price')",
		"ai.models.filter(m, m.metrics.global.error_rate.total < 0.1)",
		"ai.models.sortBy(m, m.metrics.global.latency.time_to_first_token_ms_p95)",
		"ai.models.filter(m, m.max_output_tokens >= req.body.max_tokens)",
		"ai.models.filter(m, m.metrics.global.error_rate.total < 0.1).filter(m, m.max_output_tokens >= req.body.max_tokens)",
	} {
		s := mustModels(b, w, source)
		for name, s := range map[string]*ModelStrategy{"shared": s, "plain": slow(s)} {
			b.Run(fmt.Sprintf("%s/%s", name, source), func(b *testing.B) {
				in := &Input{Numbers: w.tagged(), Request: smallRequest(), Random: seeded(1)}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.Run(in, models); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
