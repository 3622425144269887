package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/envoy"
	"weir/internal/gatewaytest"
	"weir/policy/config"
)

var update = flag.Bool("update", false, "write testdata/help.txt")

// outside is a process for a command, with an empty environment.
type outside struct {
	system
	stdout, stderr gatewaytest.Output
	stop, reload   chan os.Signal
}

func newOutside(env map[string]string, args ...string) *outside {
	o := &outside{stop: make(chan os.Signal, 2), reload: make(chan os.Signal, 1)}
	o.system = system{
		args: args, stdin: strings.NewReader(""), stdout: &o.stdout, stderr: &o.stderr,
		getenv: func(name string) string { return env[name] },
		stop:   o.stop, reload: o.reload,
	}
	return o
}

// weir runs a command to its end.
func weir(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	o := newOutside(env, args...)
	code = run(t.Context(), o.system)
	return code, o.stdout.String(), o.stderr.String()
}

// TestHelp compares with testdata/help.txt; go test ./cmd/weir -update writes the
// file.
func TestHelp(t *testing.T) {
	var got strings.Builder
	for _, args := range [][]string{
		{"--help"}, {"run", "--help"}, {"serve", "--help"}, {"bootstrap", "--help"}, {"check", "--help"}, {"explain", "--help"}, {"schema", "--help"}, {"completion", "--help"}, {"version", "--help"}, {"help", "--help"},
	} {
		code, stdout, stderr := weir(t, nil, args...)
		if code != 0 || stderr != "" {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
		fmt.Fprintf(&got, "$ weir %s\n%s\n", strings.Join(args, " "), stdout)
	}
	const file = "testdata/help.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("help (-want +got):\n%s", diff)
	}
	if code, stdout, _ := weir(t, nil); code != 0 || !strings.HasPrefix(got.String(), "$ weir --help\n"+stdout) {
		t.Errorf("without a command: exit code %d, %s", code, stdout)
	}
}

func TestWrongCommandLine(t *testing.T) {
	cases := []struct {
		args []string
		want string
		try  string // the command whose help is named
	}{
		{[]string{"fly"}, "unknown command fly\n", "weir"},
		{[]string{"weir.yaml"}, "unknown command weir.yaml\n", "weir"},
		{[]string{"chekc"}, `unknown command chekc, did you mean "check"?`, "weir"},
		{[]string{"--nope"}, "unknown flag --nope\n", "weir"},
		{[]string{"--listen", "8080"}, "--listen needs a command before it, such as 'weir run --listen'\n", "weir run"},
		{[]string{"-c", "weir.yaml"}, "-c needs a command before it, such as 'weir run -c'\n", "weir run"},
		{[]string{"--json"}, "--json needs a command before it, such as 'weir explain --json'\n", "weir explain"},
		{[]string{"run", "--nope"}, "unknown flag --nope\n", "weir run"},
		{[]string{"run", "extra"}, "unexpected argument extra\n", "weir run"},
		{[]string{"run", "-c"}, "--config: missing value\n", "weir run"},
		{[]string{"run", "--listen"}, "--listen: missing value\n", "weir run"},
		{[]string{"run", "--log-format", "xml"}, `--log-format must be one of "text","json" but got "xml"`, "weir run"},
		{[]string{"run", "--log-level", "loud"}, "--log-level must be one of", "weir run"},
		{[]string{"run", "--lisen", "8080"}, `unknown flag --lisen, did you mean "--listen"?`, "weir run"},
		{[]string{"serve"}, "missing flags: --config=FILE", "weir serve"},
		{[]string{"explain"}, "missing flags: --config=FILE", "weir explain"},
		{[]string{"explain", "-c", "-"}, "explain: standard input cannot be both the configuration and the request", "weir explain"},
		{[]string{"check"}, "check: missing configuration: write weir check FILE", "weir check"},
		{[]string{"check", "a.yaml", "-c", "b.yaml"}, "check: two configurations, a.yaml and b.yaml: check one at a time", "weir check"},
		{[]string{"check", "a.yaml", "b.yaml"}, "unexpected argument b.yaml", "weir check"},
		{[]string{"check", "-c"}, "--config: missing value\n", "weir check"},
		{[]string{"bootstrap", "--node"}, "--node: missing value\n", "weir bootstrap"},
		{[]string{"help", "chekc"}, `unknown command chekc, did you mean "check"?`, "weir"},
		{[]string{"help", "fly"}, "unknown command fly\n", "weir"},
		{[]string{"completion"}, `expected "<shell>"`, "weir completion"},
		{[]string{"completion", "ksh"}, `<shell> must be one of "bash","zsh","fish" but got "ksh"`, "weir completion"},
	}
	for _, c := range cases {
		code, stdout, stderr := weir(t, nil, c.args...)
		if code != 2 || stdout != "" || !strings.HasPrefix(stderr, "weir: "+c.want) || !strings.HasSuffix(stderr, "\nTry '"+c.try+" --help'.\n") {
			t.Errorf("%q: exit code %d, %q, %q, want %s", c.args, code, stdout, stderr, c.want)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}, {"run", "--version"}} {
		code, stdout, stderr := weir(t, nil, args...)
		lines := strings.Split(stdout, "\n")
		if code != 0 || stderr != "" || len(lines) != 3 ||
			!strings.HasPrefix(lines[0], "weir ") || !strings.HasSuffix(lines[0], " ("+runtime.GOOS+"/"+runtime.GOARCH+", "+runtime.Version()+")") ||
			lines[1] != "envoy "+envoy.Version {
			t.Errorf("%v: exit code %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

// TestHelpCommand: weir help x is weir x --help.
func TestHelpCommand(t *testing.T) {
	for _, command := range []string{"", "run", "check", "help"} {
		flag, help := []string{"--help"}, []string{"help"}
		if command != "" {
			flag, help = []string{command, "--help"}, []string{"help", command}
		}
		_, want, _ := weir(t, nil, flag...)
		if code, got, stderr := weir(t, nil, help...); code != 0 || stderr != "" || got != want {
			t.Errorf("%v: exit code %d, %q, %q", help, code, got, stderr)
		}
	}
}

func TestSchemaCommand(t *testing.T) {
	code, stdout, stderr := weir(t, nil, "schema")
	if code != 0 || stderr != "" || stdout != config.Schema() {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}
