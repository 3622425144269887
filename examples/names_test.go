package examples

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
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

// TestCommandLine: docs/cli.md has every command, and under each its flags.
func TestCommandLine(t *testing.T) {
	page := documents(t, "docs/cli.md")["docs/cli.md"]
	help := func(args ...string) string {
		out, err := exec.Command(gatewaytest.Binary(t), append(args, "--help")...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	_, commands, _ := strings.Cut(help(), "\nCommands:\n")
	names := regexp.MustCompile(`(?m)^  ([a-z]+) `).FindAllStringSubmatch(commands, -1)
	if len(names) < 8 {
		t.Errorf("found only %v", names)
	}
	flag := regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z-]+)`)
	for _, m := range names {
		if !strings.Contains(page, "| `weir "+m[1]+"`") {
			t.Errorf("the table does not have weir %s", m[1])
		}
		_, section, _ := strings.Cut(page, "\n## `weir "+m[1]+"`\n")
		section, _, _ = strings.Cut(section, "\n## ")
		documented := map[string]bool{"--help": true, "--version": true}
		for _, f := range regexp.MustCompile("`(--[a-z-]+)`").FindAllStringSubmatch(section, -1) {
			documented[f[1]] = true
		}
		for _, f := range flag.FindAllStringSubmatch(help(m[1]), -1) {
			if !documented[f[1]] {
				t.Errorf("weir %s has %s, which the page does not", m[1], f[1])
			}
		}
	}
}

// TestWorkInProgress: docs/hardening.md names every part of Envoy that Envoy warns about as
// work in progress, and no other.
func TestWorkInProgress(t *testing.T) {
	_, section, found := strings.Cut(documents(t, "docs/hardening.md")["docs/hardening.md"], "\n## Envoy filters that are work in progress\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !found {
		t.Fatal("docs/hardening.md has no such section")
	}
	for _, c := range []struct{ telemetry, cell string }{{"{stream_end: true}", ""}, {"{disabled: true}", "| not configured |"}} {
		g := gatewaytest.New(t, "telemetry: "+c.telemetry+"\nproviders: [{id: p, base_url: http://p.internal}]\n")
		g.Launch("run", "-c", g.Config, "--log-level", "debug")
		g.WaitReady()
		warned := map[string]bool{}
		for _, m := range regexp.MustCompile(`proto file 'envoy/[a-z_/]*/([a-z_]+)/v3/[a-z_]+\.proto' marked as work-in-progress`).FindAllStringSubmatch(g.Log(), -1) {
			warned[m[1]] = true
		}
		for row := range strings.Lines(section) {
			if !strings.HasPrefix(row, "| `") {
				continue
			}
			first, _, _ := strings.Cut(row[1:], "|")
			for _, m := range regexp.MustCompile("`(?:envoy[a-z_.]*\\.)?([a-z_]+)`").FindAllStringSubmatch(first, -1) {
				want := c.cell == "" || !strings.Contains(row, c.cell)
				name := m[1]
				if warned[name] != want {
					t.Errorf("telemetry %s: Envoy warns about %s: %v, want %v", c.telemetry, name, warned[name], want)
				}
				delete(warned, name)
			}
		}
		for name := range warned {
			t.Errorf("telemetry %s: the page does not have %s", c.telemetry, name)
		}
	}
}
