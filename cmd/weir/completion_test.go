package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestCompletionBash completes command lines with bash.
func TestCompletionBash(t *testing.T) {
	_, script, _ := weir(t, nil, "completion", "bash")
	f := func(line, want string) {
		t.Helper()
		words := strings.Split(line, " ")
		command := exec.CommandContext(t.Context(), "bash", append([]string{"--norc", "-c", script + `
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _weir; echo "${COMPREPLY[*]}"`, "bash"}, words...)...)
		out, err := command.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q: %v, %q, want %q", line, err, got, want)
		}
	}
	f("weir ", "run serve bootstrap check explain import schema completion version help")
	f("weir ch", "check")
	f("weir --v", "--version")
	f("weir run --l", "--listen --log-format --log-level")
	f("weir run --log-format ", "text json")
	f("weir run --log-level = d", "debug") // bash splits at =
	f("weir run --log-level =", "debug info warn error")
	f("weir run -c ", "") // bash completes file names
	f("weir run --envoy --l", "")
	f("weir check ", "")
	f("weir check --p", "--print")
	f("weir help b", "bootstrap")
	f("weir completion f", "fish")
}

// TestCompletionHasAll: every command and every flag is in every script.
func TestCompletionHasAll(t *testing.T) {
	parser, err := kong.New(&cli{}, kong.Vars{"version": ""})
	if err != nil {
		t.Fatal(err)
	}
	for shell, forms := range map[string]struct{ command, flag, short string }{
		"bash": {"\n    '%')", "--%", "-%"},
		"zsh":  {"\n    %)\n", "--%", "'*-%["},
		"fish": {"-a % -d", "-l %", "-s %"},
	} {
		_, script, _ := weir(t, nil, "completion", shell)
		has := func(form, name string) {
			t.Helper()
			if want := strings.ReplaceAll(form, "%", name); !strings.Contains(script, want) {
				t.Errorf("%s: no %q", shell, want)
			}
		}
		for _, n := range parser.Model.Leaves(true) {
			has(forms.command, n.Name)
			for _, f := range slices.Concat(n.AllFlags(true)...) {
				has(forms.flag, f.Name)
				if f.Short != 0 {
					has(forms.short, string(f.Short))
				}
			}
		}
	}
}
