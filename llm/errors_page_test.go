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

// TestPathsPage: docs/api.md has every endpoint, under its format.
func TestPathsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| (`POST [^|]*) \\| (openai|anthropic), ([^|]*) \\|$")
	documented := map[string][2]string{}
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		for path := range strings.SplitSeq(strings.ReplaceAll(m[1], "POST ", ""), ", ") {
			documented[strings.Trim(path, "`")] = [2]string{m[2], m[3]}
		}
	}
	for e := range Endpoints() {
		got, want := documented[e.Path], string(e.Format)
		if got[0] != want || strings.Contains(got[1], "multipart") != e.Multipart {
			t.Errorf("the page has %s as %v", e.Path, got)
		}
		delete(documented, e.Path)
	}
	for path := range documented {
		t.Errorf("the page has %s, which is not served", path)
	}
}
