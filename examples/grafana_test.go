package examples

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// dashboard is what the test reads of grafana/dashboard.json.
type dashboard struct {
	Panels     []panel
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

type panel struct {
	ID                       int
	Title, Type, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ UID string }
	Targets                  []struct {
		Expr, LegendFormat string
		Instant            bool
		Datasource         struct{ UID string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	b, err := os.ReadFile("grafana/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDashboardLayout: what Grafana would repair or complain about.
func TestDashboardLayout(t *testing.T) {
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range readDashboard(t).Panels {
		if ids[p.ID] {
			t.Errorf("%s: duplicate id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if cells[at] != "" || at[0] >= 24 {
					t.Errorf("%s: %v is taken by %q, or outside", p.Title, at, cells[at])
				}
				cells[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %d, %q: a title, a description, a query or the data source is missing", p.ID, p.Title)
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" {
				t.Errorf("%s: a query has the data source %q", p.Title, target.Datasource.UID)
			}
		}
	}
}

// TestDashboard: a real Prometheus scrapes a gateway that has served, failed
// over, streamed, failed, refused and met a limit, and has an answer for every
// query.
func TestDashboard(t *testing.T) {
	near, far := recorder.Start(t, recorder.WithName("near")), recorder.Start(t, recorder.WithName("far"))
	g := gatewaytest.Start(t, fmt.Sprintf(`
providers:
  - {id: near, base_url: %s, models: [{id: llama3}]}
  - {id: far, base_url: %s, models: [{id: llama3}, {id: qwen}]}
`, near.URL(), far.URL()))
	config, err := os.ReadFile("grafana/prometheus.yaml")
	if err != nil {
		t.Fatal(err)
	}
	target := strings.TrimPrefix(g.AdminURL, "http://")
	p := startPrometheus(t, strings.NewReplacer("127.0.0.1:8081", target, "15s", "500ms").Replace(string(config)))

	// A rate needs two scrapes that both have the series.
	sent := 0
	for range 2 {
		sent += traffic(g, near, far)
		eventually(t, fmt.Sprintf("weir_requests_total to show %d requests to Prometheus", sent), func() bool {
			return p.sum("weir_requests_total") >= float64(sent)
		})
	}

	eventually(t, "a limited model to show to Prometheus", func() bool { return p.sum(`weir_ejected{model!=""}`) > 0 })

	d := readDashboard(t)
	variables := map[string]string{"__rate_interval": "1m"}
	for _, v := range d.Templating.List {
		variables[v.Name] = ".*" // All
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			p.checkVariable(t, substitute(t, v.Definition, variables))
		}
	}
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			expr := substitute(t, target.Expr, variables)
			t.Run(panel.Title, func(t *testing.T) {
				p.checkNames(t, expr)
				evaluate := p.window
				if target.Instant {
					evaluate = p.instant
				}
				results, err := evaluate(expr)
				if err != nil {
					t.Fatalf("%v\n%s", err, expr)
				}
				checkResults(t, expr, target.LegendFormat, results)
			})
		}
	}
}

// traffic has one request for everything that the dashboard shows, and gives
// their number.
func traffic(g *gatewaytest.Gateway, near, far *recorder.Provider) int {
	n := 0
	post := func(path, body string) {
		n++
		g.Post(path, body)
	}
	post("/v1/chat/completions", `{"model":"llama3","messages":[{"role":"user","content":"hello"}]}`)
	near.Script(recorder.Status(503, nil, "busy"))
	post("/v1/chat/completions", `{"model":"llama3","messages":[{"role":"user","content":"fails over"}]}`)
	near.Script(recorder.SlowEvents(5, 10*time.Millisecond))
	post("/v1/chat/completions", `{"model":"llama3","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hello"}]}`)
	far.Script(recorder.Status(400, nil, "no"))
	post("/v1/chat/completions", `{"model":"qwen","messages":[{"role":"user","content":"fails"}]}`)
	far.Script(recorder.Status(200, nil, `{"object":"chat.completion","choices":[]}`))
	post("/v1/chat/completions", `{"model":"qwen","messages":[{"role":"user","content":"is not counted"}]}`)
	far.Script(recorder.Status(429, http.Header{"Retry-After": {"60"}}, "slower"))
	post("/v1/chat/completions", `{"model":"qwen","messages":[{"role":"user","content":"is limited"}]}`)
	post("/v1/chat/completions", `{"model":"unknown","messages":[{"role":"user","content":"is refused"}]}`)
	return n
}

var variable = regexp.MustCompile(`\$\{?([a-z_]+)\}?`)

// substitute fills variables in, as Grafana does.
func substitute(t *testing.T, expr string, variables map[string]string) string {
	t.Helper()
	return variable.ReplaceAllStringFunc(expr, func(ref string) string {
		name := variable.FindStringSubmatch(ref)[1]
		value, ok := variables[name]
		if !ok {
			t.Errorf("no variable %s: %s", name, expr)
		}
		return value
	})
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// checkVariable: a variable has something to choose from.
func (p prometheus) checkVariable(t *testing.T, definition string) {
	t.Helper()
	m := labelValues.FindStringSubmatch(definition)
	if m == nil {
		t.Errorf("%s is not label_values(metric, label)", definition)
		return
	}
	var values []string
	if err := p.get("label/"+m[2]+"/values", &values, "match[]", m[1]); err != nil || len(values) == 0 {
		t.Errorf("%s: %v, %v", definition, values, err)
	}
}

// checkNames: the metrics of an expression were scraped, and have the labels
// that it speaks of. An unknown one would be no error for Prometheus.
func (p prometheus) checkNames(t *testing.T, expr string) {
	t.Helper()
	var tree any
	if err := p.get("parse_query", &tree, "query", expr); err != nil {
		t.Fatalf("%v\n%s", err, expr)
	}
	have, want := map[string]bool{}, map[string]bool{}
	walk(tree, func(node map[string]any) {
		if node["type"] == "vectorSelector" || node["type"] == "matrixSelector" {
			metric, _ := node["name"].(string)
			var labels []string
			if err := p.get("labels", &labels, "match[]", metric); err != nil || len(labels) == 0 {
				t.Errorf("%s was not scraped: %v", metric, err)
			}
			for _, label := range labels {
				have[label] = true
			}
			matchers, _ := node["matchers"].([]any)
			for _, m := range matchers {
				name, _ := m.(map[string]any)["name"].(string)
				if !slices.Contains(labels, name) {
					t.Errorf("%s has no label %s", metric, name)
				}
			}
		}
		grouping, _ := node["grouping"].([]any)
		for _, label := range grouping {
			want[label.(string)] = true
		}
	})
	for _, label := range slices.Sorted(maps.Keys(want)) {
		if !have[label] {
			t.Errorf("no metric has a label %s: %s", label, expr)
		}
	}
}

// walk visits every object of a JSON value.
func walk(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			walk(item, visit)
		}
	case map[string]any:
		visit(v)
		for _, item := range v {
			walk(item, visit)
		}
	}
}

var legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)

// checkResults: there is a number to draw, and every series can be told from
// the others.
func checkResults(t *testing.T, expr, legend string, results []result) {
	t.Helper()
	numbers := 0
	names := map[string]bool{}
	for _, r := range results {
		for _, s := range append(r.Values, r.Value) {
			if n, err := s.number(); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
				numbers++
			}
		}
		name := legendLabel.ReplaceAllStringFunc(legend, func(ref string) string {
			value := r.Metric[strings.Trim(ref, "{}")]
			if value == "" {
				t.Errorf("a series has no %s: %v\n%s", ref, r.Metric, expr)
			}
			return value
		})
		if names[name] && legend != "" {
			t.Errorf("two series are called %q: %s", name, expr)
		}
		names[name] = true
	}
	if numbers == 0 {
		t.Errorf("no result: %v\n%s", results, expr)
	}
}
