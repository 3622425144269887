package litellm_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"weir/policy"
	"weir/policy/litellm"
)

var update = flag.Bool("update", false, "write the wanted files")

// TestImport imports each file of testdata, compares the result, and loads it.
func TestImport(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			input := archive.Files[0].Data
			result, err := litellm.Import(input, func(name string) string {
				if name == "FROM_THE_ENVIRONMENT" {
					return "https://gpu.example.com/v1"
				}
				return ""
			})
			var notes strings.Builder
			if err != nil {
				fmt.Fprintln(&notes, err)
			}
			for _, n := range result.Notes {
				fmt.Fprintf(&notes, "%d: %s: %s\n", n.Line, n.Path, n.Text)
			}
			for _, s := range result.Secrets {
				fmt.Fprintf(&notes, "%s from %s\n", s.Variable, s.From)
			}
			got := &txtar.Archive{Comment: archive.Comment, Files: []txtar.File{
				archive.Files[0], {Name: "weir.yaml", Data: result.YAML}, {Name: "notes", Data: []byte(notes.String())},
			}}
			if *update {
				if err := os.WriteFile(name, txtar.Format(got), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if want := txtar.Format(archive); string(want) != string(txtar.Format(got)) {
				t.Errorf("got\n%s\nwant\n%s", txtar.Format(got), want)
			}
			if err != nil {
				return
			}
			if out := string(result.YAML) + notes.String(); strings.Contains(out, "sk-literal") {
				t.Errorf("a key was repeated:\n%s", out)
			}
			_, problems := policy.Reload(policy.Source{
				File: "weir.yaml", Data: result.YAML, ReadFile: os.ReadFile,
				Getenv: func(name string) string {
					for _, s := range result.Secrets {
						if s.Variable == name {
							return "0123456789abcdef-" + name
						}
					}
					return ""
				},
			}, policy.Loaded{})
			for _, p := range problems {
				t.Error(p)
			}
		})
	}
}
