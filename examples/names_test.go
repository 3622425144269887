package examples

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// source calls f with every Go file of the repository that is no test.
func source(t *testing.T, f func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != ".." && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(path)
		f(strings.TrimPrefix(path, "../"), string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDocumentedNames: docs/metrics.md has every metric of the code and no
// other, and docs/observability.md every cause of the access log.
func TestDocumentedNames(t *testing.T) {
	metric := regexp.MustCompile(`"((?:weir|gen_ai)_[a-z]\w+)"`)
	cause := regexp.MustCompile(`Cause\w+\s+= "(\w+)"`)
	metrics, causes := map[string]bool{}, map[string]bool{}
	source(t, func(path, text string) {
		if dir, _, _ := strings.Cut(path, "/"); !slices.Contains([]string{"admin", "cmd", "extproc", "gateway", "telemetry", "xds"}, dir) {
			return
		}
		for _, m := range metric.FindAllStringSubmatch(text, -1) {
			metrics[m[1]] = true
		}
		if path == "telemetry/accesslog/record.go" {
			for _, m := range cause.FindAllStringSubmatch(text, -1) {
				causes[m[1]] = true
			}
		}
	})
	if len(metrics) < 20 || len(causes) < 15 {
		t.Errorf("found only %d metrics and %d causes", len(metrics), len(causes))
	}
	docs := documents(t, "docs/metrics.md", "docs/observability.md")
	for name := range metrics {
		if !strings.Contains(docs["docs/metrics.md"], "`"+name+"`") {
			t.Errorf("docs/metrics.md does not have %s", name)
		}
	}
	for name := range causes {
		if !strings.Contains(docs["docs/observability.md"], "`"+name+"`") {
			t.Errorf("docs/observability.md does not have the cause %s", name)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(docs["docs/metrics.md"], -1) {
		for _, name := range strings.Split(m[1], ", ") {
			if !metrics[strings.Trim(name, "`")] {
				t.Errorf("docs/metrics.md has %s, which the code has not", name)
			}
		}
	}
}
