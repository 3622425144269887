package arch

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rule is what a package imports of Weir, and what it must not depend on, even through
// other packages, with the reason.
type rule struct {
	path           string
	imports, never []string
	reason         string
}

var (
	transport = []string{"google.golang.org/grpc", "github.com/envoyproxy", "net/http"}
	network   = []string{"net", "github.com", "google.golang.org"}
)

// product has the packages of the product in the order of the stages. A package imports
// only packages further down.
var product = []rule{
	{"cmd/weir", []string{"admin", "demo", "envoy", "gateway", "llm", "metadata", "policy", "policy/config", "policy/litellm"}, nil, "flags, signals, exit codes and what is printed"},
	{"gateway", []string{"admin", "envoy", "extproc", "extproc/admit", "extproc/peers", "extproc/wire", "gateway/retire", "internal/memory", "internal/private", "internal/sample", "policy", "policy/config", "policy/expression", "telemetry", "telemetry/accesslog", "telemetry/health", "telemetry/limits", "telemetry/rolling", "xds"}, nil, "it connects the parts of the product"},
	{"gateway/retire", []string{"metadata", "policy", "internal/requestkey"}, []string{"google.golang.org/grpc", "github.com/envoyproxy", "github.com/prometheus", "net/http"}, "what requests need is tracked by ids and clusters alone"},
	{"admin", []string{"identity", "llm", "llm/body", "policy", "telemetry/limits"}, []string{"google.golang.org/grpc", "github.com/envoyproxy"}, "operators get what the gateway reports, however it runs"},
	{"extproc", []string{"identity", "llm", "llm/body", "metadata", "policy", "extproc/echo", "extproc/gate", "extproc/wire", "extproc/admit", "telemetry/limits", "internal/sample"}, []string{"github.com/envoyproxy"}, "the request path and the control plane share policy, not code of each other"},
	{"extproc/admit", []string{"internal/requestkey"}, []string{"google.golang.org/grpc", "github.com/envoyproxy", "github.com/prometheus", "net/http"}, "running requests are counted by ids and sizes alone"},
	{"extproc/peers", []string{"metadata"}, []string{"github.com/prometheus"}, "it counts connections and tells Envoy which to close"},
	{"extproc/echo", nil, []string{"net/http", "github.com", "google.golang.org"}, "it searches bytes for secrets and needs nothing else"},
	{"extproc/gate", []string{"llm"}, transport, "responses are judged by their bytes alone"},
	{"extproc/wire", []string{"internal/protofield"}, []string{"github.com/envoyproxy"}, "it handles bytes, so that bodies are not copied into generated types"},
	{"xds", []string{"llm", "metadata", "policy", "policy/config", "policy/header"}, []string{"github.com/prometheus"}, "the request path and the control plane share policy, not code of each other"},
	{"telemetry", []string{"llm", "telemetry/accesslog", "telemetry/rolling", "internal/jsontext", "internal/sample"}, []string{"github.com/envoyproxy"}, "what is counted and logged depends on records alone"},
	{"telemetry/health", []string{"identity", "policy", "telemetry/accesslog"}, []string{"github.com/envoyproxy", "github.com/prometheus"}, "what is ejected depends on records and a clock alone"},
	{"telemetry/accesslog", []string{"llm", "metadata", "policy", "internal/protofield"}, []string{"github.com/prometheus", "github.com/envoyproxy"}, "reading Envoy's log is separate from what is made of it"},
	{"telemetry/rolling", nil, []string{"google.golang.org/grpc", "github.com/envoyproxy", "github.com/prometheus", "net/http"}, "it counts, whoever writes and whoever reads the numbers"},
	{"telemetry/limits", nil, []string{"google.golang.org/grpc", "github.com/envoyproxy"}, "it counts; whoever enforces a limit calls it"},
	{"policy", []string{"identity", "llm", "llm/body", "metadata", "policy/catalogue", "policy/config", "policy/expression", "policy/header", "policy/nearest", "policy/tokens"}, transport, "rules are values in, values out: no Envoy, no gRPC, no HTTP"},
	{"policy/catalogue", []string{"llm", "policy/config"}, transport, "facts about providers, as a configuration would state them"},
	{"policy/litellm", []string{"policy/config"}, transport, "a file in, a file out"},
	{"policy/config", []string{"llm", "policy/expression", "policy/nearest"}, transport, "a file is decoded before it is given a meaning"},
	{"policy/expression", []string{"policy/header", "policy/nearest"}, transport, "it evaluates strategies and does not know where their values come from"},
	{"policy/header", []string{"llm", "metadata"}, transport, "one table says what happens to a header, for all who act on it"},
	{"policy/tokens", []string{"internal/jsontext", "llm/prompt"}, network, "it counts with what is in the binary: no network, no dependency"},
	{"policy/nearest", nil, network, "words in, words out"},
	{"identity", nil, transport, "who clients are is data, and an index of it"},
	{"metadata", []string{"llm", "llm/body"}, transport, "plain structs that the request path writes and others read"},
	{"llm/body", []string{"internal/jsontext", "llm"}, transport, "bodies are read and edited as bytes"},
	{"llm/prompt", nil, network, "what a model reads of a request is a table, for whoever counts it"},
	{"llm", nil, transport, "what an API looks like is defined once, and depends on nothing"},
	{"envoy", []string{"internal/private", "internal/sample"}, nil, "finding and running Envoy depends on no policy"},
	{"demo", nil, []string{"google.golang.org/grpc"}, "it is a provider like any other"},
	{"internal/memory", nil, nil, "it reads limits of the operating system"},
	{"internal/private", nil, []string{"google.golang.org/grpc", "github.com"}, "who may access a file depends on the operating system alone"},
	{"internal/sample", nil, []string{"google.golang.org/grpc", "github.com"}, "events in, some of them out"},
	{"internal/requestkey", nil, nil, "ids in, keys out"},
	{"internal/jsontext", nil, network, "strings in, JSON out"},
	{"internal/protofield", nil, nil, "bytes in, fields out"},
}

// support has tests, and what helps them. Imports of test files are not listed.
var support = []rule{
	{"e2e", nil, nil, "tests only"},
	{"faults", nil, nil, "tests only"},
	{"soak", nil, nil, "tests only"},
	{"examples", nil, nil, "tests only"},
	{"bench", []string{"envoy"}, nil, "it measures the product from outside"},
	{"internal/gatewaytest", []string{"envoy"}, []string{"weir/policy"}, "it drives the built command"},
	{"internal/recorder", []string{"demo"}, []string{"google.golang.org/grpc"}, "it is a provider like any other"},
	{"internal/protofield/fieldtest", nil, []string{"google.golang.org/grpc"}, "it reads descriptors"},
	{"internal/arch", nil, nil, "tests only"},
}

var rules = slices.Concat(product, support)

// ruleOf returns the rule of a package, or nil.
func ruleOf(path string) *rule {
	i := slices.IndexFunc(rules, func(r rule) bool { return r.path == path })
	if i < 0 {
		return nil
	}
	return &rules[i]
}

// TestImports compares the rules with the imports in the code, in both directions.
func TestImports(t *testing.T) {
	// go test caches a result by the files that the test opens itself.
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "../.." {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "weir/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath    string
			Imports, Deps []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		path := strings.TrimPrefix(p.ImportPath, "weir/")
		rule := ruleOf(path)
		if rule == nil {
			t.Errorf("%s has no rule: write what it may import, and why", path)
			continue
		}
		seen[path] = true
		for _, i := range p.Imports {
			if name, ok := strings.CutPrefix(i, "weir/"); ok && !slices.Contains(rule.imports, name) {
				t.Errorf("%s imports %s, which is not allowed: %s", path, name, rule.reason)
			}
		}
		for _, name := range rule.imports {
			if !slices.Contains(p.Imports, "weir/"+name) {
				t.Errorf("%s may import %s and does not: delete it from the rule", path, name)
			}
		}
		for _, d := range p.Deps {
			for _, never := range rule.never {
				if d == never || strings.HasPrefix(d, never+"/") {
					t.Errorf("%s depends on %s, which is not allowed: %s", path, d, rule.reason)
				}
			}
		}
	}
	for _, rule := range rules {
		if !seen[rule.path] {
			t.Errorf("%s has a rule and does not exist", rule.path)
		}
	}
}

// TestOrder tests that arrows point down.
func TestOrder(t *testing.T) {
	for i, user := range product {
		for _, name := range user.imports {
			if !slices.ContainsFunc(product[i+1:], func(r rule) bool { return r.path == name }) {
				t.Errorf("%s imports %s, which is not further down", user.path, name)
			}
		}
	}
}

// TestTable compares the rules with the tables in CONTRIBUTING.md: the same packages,
// in the same order, with the same imports.
func TestTable(t *testing.T) {
	page, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		got = append(got, strings.TrimSpace(cells[1])+": "+strings.TrimSpace(cells[3]))
	}
	for _, rule := range rules {
		imports := "none"
		if len(rule.imports) > 0 {
			imports = "`" + strings.Join(rule.imports, "`, `") + "`"
		}
		want = append(want, "`"+rule.path+"`: "+imports)
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("row %d of CONTRIBUTING.md is %q, want %q", i+1, got[i:min(i+1, len(got))], want[i:min(i+1, len(want))])
		}
	}
}
