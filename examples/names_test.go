package examples

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedNames: docs/observability.md has every metric, and every cause
// of the access log, that the code has.
func TestDocumentedNames(t *testing.T) {
	b, err := os.ReadFile("../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := string(b)
	metric := regexp.MustCompile(`"((?:weir|gen_ai)_[a-z]\w+)"`)
	cause := regexp.MustCompile(`Cause\w+\s+= "(\w+)"`)
	metrics, causes := 0, 0
	for _, dir := range []string{"admin", "cmd", "extproc", "gateway", "telemetry", "xds"} {
		err := filepath.WalkDir(filepath.Join("..", dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			names := metric.FindAllSubmatch(source, -1)
			metrics += len(names)
			if path == filepath.Join("..", "telemetry", "accesslog", "record.go") {
				found := cause.FindAllSubmatch(source, -1)
				causes, names = len(found), append(names, found...)
			}
			for _, m := range names {
				if !strings.Contains(documented, "`"+string(m[1])+"`") {
					t.Errorf("%s has %s, which docs/observability.md does not name", path, m[1])
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if metrics < 20 || causes < 15 {
		t.Errorf("found only %d metrics and %d causes", metrics, causes)
	}
}
