package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTour: docs/tour.md names functions and types that are where it says, and
// its picture of the packages has arrows that exist.
func TestTour(t *testing.T) {
	b, err := os.ReadFile("../../docs/tour.md")
	if err != nil {
		t.Fatal(err)
	}
	tour := strings.Join(strings.Fields(string(b)), " ")

	// `Type.Method` and `Type.Other` ([file](../file)).
	place := regexp.MustCompile("((?:`[A-Za-z.]+`(?:, | and )?)+) \\(\\[([^\\]]+)\\]\\(\\.\\./([^)]+)\\)\\)")
	name := regexp.MustCompile("`([A-Za-z]+\\.)?([A-Za-z]+)`")
	placed := map[string]bool{}
	for _, m := range place.FindAllStringSubmatch(tour, -1) {
		if m[2] != m[3] {
			t.Errorf("the link to %s has the text %s", m[3], m[2])
		}
		source := sourceOf(t, m[3])
		for _, n := range name.FindAllStringSubmatch(m[1], -1) {
			placed[n[0]] = true
			owner := strings.TrimSuffix(n[1], ".")
			if owner == filepath.Base(filepath.Dir(m[3])) {
				owner = "" // a package
			}
			if !declares(source, owner, n[2]) {
				t.Errorf("%s does not declare %s", m[3], n[0])
			}
		}
	}
	if len(placed) < 20 {
		t.Errorf("found only %d places", len(placed))
	}
	for _, n := range regexp.MustCompile("`[a-zA-Z]+\\.[A-Z]?[a-z]+[A-Z]?[A-Za-z]*`").FindAllString(tour, -1) {
		if !placed[n] && !strings.HasPrefix(n, "`weir.") {
			t.Errorf("the page does not say in which file %s is", n)
		}
	}

	label := regexp.MustCompile(`(\w+)\["([a-z/]+):`)
	arrow := regexp.MustCompile(`(\w+)(?:\["[^"]*"\])? --> (\w+)`)
	picture, _, _ := strings.Cut(strings.SplitN(string(b), "flowchart TD\n", 2)[1], "```")
	path := map[string]string{}
	for _, m := range label.FindAllStringSubmatch(picture, -1) {
		path[m[1]] = m[2]
	}
	arrows := arrow.FindAllStringSubmatch(picture, -1)
	for _, m := range arrows {
		if !imports(path[m[1]], path[m[2]]) {
			t.Errorf("nothing in %s may import anything in %s", path[m[1]], path[m[2]])
		}
	}
	if len(arrows) < 10 {
		t.Errorf("found only %d arrows", len(arrows))
	}
}

// sourceOf returns a Go file, or all of a folder.
func sourceOf(t *testing.T, path string) string {
	t.Helper()
	files := []string{filepath.Join("../..", path)}
	if !strings.HasSuffix(path, ".go") {
		var err error
		if files, err = filepath.Glob(filepath.Join("../..", path, "*.go")); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Error(err)
		}
		out.Write(b)
	}
	return out.String()
}

// declares reports whether source has a method of a type or, without one, a
// function or type.
func declares(source, owner, name string) bool {
	pattern := `(?m)^(func|type) ` + name + `\b`
	if owner != "" {
		pattern = `(?m)^func \(\w+ \*?` + owner + `\) ` + name + `\(`
	}
	return regexp.MustCompile(pattern).MatchString(source)
}

// imports reports whether the rules let a package in one folder import one in
// another.
func imports(from, to string) bool {
	in := func(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }
	for _, rule := range rules {
		for _, other := range rule.imports {
			if in(rule.path, from) && in(other, to) {
				return true
			}
		}
	}
	return false
}
