package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// elsewhere are names in the documents that look like ours and are not.
var elsewhere = []string{"encoding/json", "jotaen/kong-completion", "package.Test", "t.Parallel", "testing/synctest", "TLS/1.2", "willabides/kongplete"}

// TestNamed: what the documents for developers name in backticks exists: files and
// folders, tests and benchmarks, `package.Name`, `Type.Method` and targets of make.
func TestNamed(t *testing.T) {
	repo := declarations(t)
	block := regexp.MustCompile("(?ms)^```.*?^```")
	quoted := regexp.MustCompile("(package )?`([^`]+)`")
	for _, doc := range []struct {
		name string
		few  int // a document has more names than this
	}{{"RATIONALE.md", 60}, {"CONTRIBUTING.md", 40}, {"docs/tour.md", 20}} {
		text := strings.Join(strings.Fields(block.ReplaceAllString(page(t, doc.name), "")), " ")
		n := 0
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			exists, checked := repo.has(m[2])
			if m[1] != "" {
				exists, checked = isThere(m[2]), true
			}
			if !checked || slices.Contains(elsewhere, m[2]) {
				continue
			}
			if n++; !exists {
				t.Errorf("%s: %s does not exist (if it is not of this repository, list it in elsewhere)", doc.name, m[2])
			}
		}
		if n <= doc.few {
			t.Errorf("%s: only %d names were recognized", doc.name, n)
		}
	}
}

// TestQuestions: where the code or RATIONALE.md itself refers to an entry by its
// question, there is one. No question is there twice, and each answer has one date, at
// its end: another one would be an entry whose question is not a heading.
func TestQuestions(t *testing.T) {
	rationale := page(t, "RATIONALE.md")
	questions := map[string]bool{}
	entries, _, _ := strings.Cut(rationale, "\n## Dependencies\n")
	for _, entry := range regexp.MustCompile(`(?m)^#+ `).Split(entries, -1)[1:] {
		question, answer, _ := strings.Cut(entry, "\n")
		switch {
		case !strings.HasSuffix(question, "?"): // a subject
			continue
		case questions[question]:
			t.Errorf("two entries: %s", question)
		case len(aDate.FindAllString(answer, -1)) != 1 || !strings.HasSuffix(strings.TrimSpace(answer), aDate.FindString(answer)):
			t.Errorf("the answer does not end with one date, as in (2026-12): %s", question)
		}
		questions[question] = true
	}
	referred := 0
	check := func(where, text string, reference *regexp.Regexp) {
		text = strings.Join(strings.Fields(strings.ReplaceAll(text, "//", "")), " ")
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			referred++
			if !questions[m[1]] {
				t.Errorf("%s refers to %q, which RATIONALE.md does not have", where, m[1])
			}
		}
	}
	check("RATIONALE.md", rationale, regexp.MustCompile(`see "([^"]*)"`))
	walkGo(t, func(path string) {
		if !strings.HasPrefix(path, "internal/arch/") {
			check(path, page(t, path), regexp.MustCompile(`RATIONALE\.md, "([^"]*)"`))
		}
	})
	if len(questions) < 50 || referred < 4 {
		t.Errorf("found only %d questions and %d references", len(questions), referred)
	}
}

// TestDependencies: RATIONALE.md has a reason for every direct dependency and for
// every tool.
func TestDependencies(t *testing.T) {
	_, table, _ := strings.Cut(page(t, "RATIONALE.md"), "\n## Dependencies\n")
	listed := map[string]bool{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			for name := range strings.SplitSeq(cells[1], ",") {
				name, _, _ = strings.Cut(strings.TrimSpace(name), " ")
				listed[name] = true
			}
		}
	}
	needed := func(module string) bool { return listed[strings.TrimPrefix(module, "github.com/")] }
	direct := regexp.MustCompile(`(?m)^(?:require)?\s+(\S+) v\S+$`).FindAllStringSubmatch(page(t, "go.mod"), -1)
	for _, m := range direct {
		if !needed(m[1]) {
			t.Errorf("go.mod: %s has no row in RATIONALE.md", m[1])
		}
	}
	if len(direct) < 10 {
		t.Errorf("go.mod: found only %d direct dependencies", len(direct))
	}
	for _, file := range []string{"tools/go.mod", "tools/prometheus/go.mod"} {
		tools := regexp.MustCompile(`(?m)^tool (\S+?)/cmd/\S+$`).FindAllStringSubmatch(page(t, file), -1)
		for _, m := range tools {
			if !needed(m[1]) {
				t.Errorf("%s: %s has no row in RATIONALE.md", file, m[1])
			}
		}
		if len(tools) == 0 {
			t.Errorf("%s: found no tool", file)
		}
	}
}

// declared is what the repository declares.
type declared struct {
	packages map[string]map[string]bool // the top-level names of a package, by its name
	types    map[string]map[string]bool // the methods of a type, by its name
	tests    map[string]map[string]bool // the tests and benchmarks of a folder
	makefile string
}

func declarations(t *testing.T) *declared {
	d := &declared{map[string]map[string]bool{}, map[string]map[string]bool{}, map[string]map[string]bool{}, page(t, "Makefile")}
	walkGo(t, func(path string) {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../..", path), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		pkg := strings.TrimSuffix(file.Name.Name, "_test")
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv != nil {
					put(d.types, receiver(decl.Recv.List[0].Type), decl.Name.Name)
					continue
				}
				put(d.packages, pkg, decl.Name.Name)
				if aTest.MatchString(decl.Name.Name) {
					put(d.tests, filepath.Dir(path), decl.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					switch spec := spec.(type) {
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							put(d.packages, pkg, name.Name)
						}
					case *ast.TypeSpec:
						put(d.packages, pkg, spec.Name.Name)
					}
				}
			}
		}
	})
	return d
}

func put(in map[string]map[string]bool, key, name string) {
	if in[key] == nil {
		in[key] = map[string]bool{}
	}
	in[key][name] = true
}

// receiver returns the name of a receiver's type.
func receiver(of ast.Expr) string {
	switch of := of.(type) {
	case *ast.StarExpr:
		return receiver(of.X)
	case *ast.IndexExpr:
		return receiver(of.X)
	case *ast.Ident:
		return of.Name
	}
	return ""
}

var (
	aDate     = regexp.MustCompile(`\(20\d\d-\d\d\)`)
	aTest     = regexp.MustCompile(`^(Test|Benchmark|Fuzz|Example)[A-Z]\w*$`)
	aPath     = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)*$`)
	qualified = regexp.MustCompile(`^(\w+)\.(\w+)$`)
	benchmark = regexp.MustCompile(`-bench (\S+)(?: -\S+)* \./(\S+)$`)
	target    = regexp.MustCompile(`^make ([\w-]+)$`)
)

// has reports whether the repository has what a document names, and whether that is
// anything that can be looked up: words of other programs are not.
func (d *declared) has(name string) (exists, checked bool) {
	if m := benchmark.FindStringSubmatch(name); m != nil {
		pattern := regexp.MustCompile(m[1])
		for test := range d.tests[m[2]] {
			if strings.HasPrefix(test, "Benchmark") && pattern.MatchString(test) {
				return true, true
			}
		}
		return false, true
	}
	if m := target.FindStringSubmatch(name); m != nil {
		return regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(d.makefile), true
	}
	if aTest.MatchString(name) {
		for _, names := range d.packages {
			exists = exists || names[name]
		}
		return exists, true
	}
	if m := qualified.FindStringSubmatch(name); m != nil {
		first, second := m[1], m[2]
		switch {
		case isFile(name):
		case ast.IsExported(first):
			return d.types[first][second], true
		case ast.IsExported(second):
			return d.packages[first][second], true
		}
	}
	return isThere(name), aPath.MatchString(name) && (strings.Contains(name, "/") || isFile(name))
}

func isFile(name string) bool {
	return slices.Contains([]string{".go", ".md", ".mod"}, filepath.Ext(name))
}

func isThere(path string) bool {
	_, err := os.Stat(filepath.Join("../..", path))
	return err == nil
}

// page returns the text of a file of the repository.
func page(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// walkGo calls f with each Go file of the repository.
func walkGo(t *testing.T, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "../.." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go"):
			f(strings.TrimPrefix(filepath.ToSlash(path), "../../"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
