package llm

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestErrorsPage compares docs/errors.md with the table of codes, in both
// directions, and its samples with what Render writes.
func TestErrorsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([0-9]+) \\| `([a-z_]+)` \\|")
	seen := map[Code]bool{}
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		code := Code(m[1])
		if seen[code] {
			t.Errorf("the page has %s twice", code)
		}
		seen[code] = true
		if want := outcomes[code]; strconv.Itoa(want.status) != m[2] || want.kind != m[3] {
			t.Errorf("the page has %s with status %s and type %s, want %d and %q", code, m[2], m[3], want.status, want.kind)
		}
	}
	for code := range outcomes {
		if !seen[code] {
			t.Errorf("the page does not have %s", code)
		}
	}
	samples := strings.Split(string(page), "\n```json error\n")[1:]
	if len(samples) != 2 {
		t.Fatalf("the page has %d samples", len(samples))
	}
	for i, format := range []Format{OpenAI, Anthropic} {
		sample, _, _ := strings.Cut(samples[i], "```")
		var got bytes.Buffer
		if err := json.Compact(&got, []byte(sample)); err != nil {
			t.Fatal(err)
		}
		if want := Errorf(ModelNotFound, "…").Render(format); got.String() != string(want) {
			t.Errorf("the page shows %s, want %s", &got, want)
		}
	}
}

// TestPathsPage: docs/api.md has every operation, under its format.
func TestPathsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	row := regexp.MustCompile("(?m)^\\| (`[A-Z]+[^|]*) \\| ((?:openai|anthropic)[^|]*) \\|$")
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		for group := range strings.SplitSeq(m[1], ";") { // methods, and paths that have all of them
			var methods, paths []string
			for _, word := range strings.Fields(strings.NewReplacer("`", "", ",", "").Replace(group)) {
				if strings.HasPrefix(word, "/") {
					paths = append(paths, word)
				} else {
					methods = append(methods, word)
				}
			}
			for _, path := range paths {
				for _, method := range methods {
					documented[method+" "+path+" "+m[2]] = true
				}
			}
		}
	}
	found := map[string]bool{}
	see := func(method string, e *Endpoint) {
		some := false
		for line := range documented {
			if rest, ok := strings.CutPrefix(line, method+" "+e.Path+" "); ok && strings.Contains(rest, string(e.Format)) &&
				(e.Stored || strings.Contains(rest, map[bool]string{true: "multipart", false: "JSON"}[e.Multipart])) {
				some, found[line] = true, true
			}
		}
		if !some {
			t.Errorf("the page does not have %s %s (%s, form %t)", method, e.Path, e.Format, e.Multipart)
		}
	}
	for e := range Endpoints() {
		see("POST", e)
	}
	for e := range StoredEndpoints() {
		see(e.Method, e)
	}
	for line := range documented {
		if !found[line] {
			t.Errorf("the page has %s, which is not served", line)
		}
	}
}
