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

// allowed lists, for each package, what it may import of Weir, and what it
// must never import, even through others, with the reason.
var allowed = map[string]struct {
	may    []string
	never  []string
	reason string
}{
	"weir/extproc/wire":         {[]string{"weir/internal/protofield"}, []string{"github.com/envoyproxy"}, "it speaks bytes, so that bodies are not copied into generated types"},
	"weir/identity":             {nil, []string{"google.golang.org/grpc", "github.com/envoyproxy", "net/http"}, "who clients are is plain structs and an index; whoever decides reads them"},
	"weir/llm":                  {nil, []string{"google.golang.org/grpc", "github.com/envoyproxy", "net/http"}, "what an API looks like is known once, and depends on nothing"},
	"weir/llm/body":             {[]string{"weir/internal/jsontext", "weir/llm"}, []string{"google.golang.org/grpc", "github.com/envoyproxy", "net/http"}, "bodies are read and edited as bytes"},
	"weir/llm/prompt":           {nil, []string{"net", "github.com", "google.golang.org"}, "what a model reads of a request is a table; whoever counts it reads the table"},
	"weir/metadata":             {[]string{"weir/llm", "weir/llm/body"}, []string{"google.golang.org/grpc", "github.com/envoyproxy", "net/http"}, "plain structs that the request path writes and others read"},
	"weir/policy/config":        {[]string{"weir/llm", "weir/policy/expression", "weir/policy/nearest"}, []string{"google.golang.org/grpc", "github.com/envoyproxy", "net/http"}, "a file becomes values before it means anything"},
	"weir/policy":               {[]string{"weir/identity", "weir/llm", "weir/llm/body", "weir/metadata", "weir/policy/config", "weir/policy/expression", "weir/policy/header", "weir/policy/nearest", "weir/policy/tokens"}, []string{"google.golang.org/grpc", "github.com/envoyproxy", "net/http"}, "rules are values in, values out: no Envoy, no gRPC, no HTTP"},
	"weir/policy/tokens":        {[]string{"weir/internal/jsontext", "weir/llm/prompt"}, []string{"net", "github.com", "google.golang.org"}, "it counts text with what is in the binary: no network, no dependency"},
	"weir/policy/nearest":       {nil, []string{"net", "github.com", "google.golang.org"}, "words in, words out"},
	"weir/policy/header":        {[]string{"weir/metadata"}, []string{"google.golang.org/grpc", "github.com/envoyproxy", "net/http"}, "one table of what becomes of headers, for all who act by it"},
	"weir/policy/expression":    {[]string{"weir/policy/header", "weir/policy/nearest"}, []string{"google.golang.org/grpc", "github.com/envoyproxy", "net/http"}, "the language of strategies knows their values, and nothing of where these come from"},
	"weir/extproc/gate":         {[]string{"weir/llm"}, []string{"google.golang.org/grpc", "github.com/envoyproxy", "net/http"}, "answers are judged by their bytes alone"},
	"weir/extproc/echo":         {nil, []string{"net/http", "github.com", "google.golang.org"}, "it looks for secrets in bytes alone"},
	"weir/extproc":              {[]string{"weir/identity", "weir/llm", "weir/llm/body", "weir/metadata", "weir/policy", "weir/extproc/echo", "weir/extproc/gate", "weir/extproc/wire", "weir/extproc/admit", "weir/telemetry/limits", "weir/internal/sample"}, []string{"github.com/envoyproxy"}, "the request path agrees with the control plane through policy alone"},
	"weir/xds":                  {[]string{"weir/llm", "weir/metadata", "weir/policy", "weir/policy/config", "weir/policy/header"}, []string{"github.com/prometheus"}, "the control plane agrees with the request path through policy alone"},
	"weir/envoy":                {[]string{"weir/internal/private", "weir/internal/sample"}, nil, "finding and running Envoy is nobody's business"},
	"weir/demo":                 {nil, []string{"google.golang.org/grpc"}, "a provider like any other"},
	"weir/extproc/admit":        {[]string{"weir/internal/requestkey"}, []string{"google.golang.org/grpc", "github.com/envoyproxy", "github.com/prometheus", "net/http"}, "what runs is counted by ids and sizes alone"},
	"weir/gateway/retire":       {[]string{"weir/metadata", "weir/policy", "weir/internal/requestkey"}, []string{"google.golang.org/grpc", "github.com/envoyproxy", "github.com/prometheus", "net/http"}, "what requests need is counted by ids and clusters alone"},
	"weir/telemetry/limits":     {nil, []string{"google.golang.org/grpc", "github.com/envoyproxy"}, "it counts; whoever enforces a limit calls it"},
	"weir/extproc/peers":        {[]string{"weir/metadata"}, []string{"github.com/prometheus"}, "it counts connections, and answers Envoy with the count"},
	"weir/telemetry/rolling":    {nil, []string{"google.golang.org/grpc", "github.com/envoyproxy", "github.com/prometheus", "net/http"}, "numbers are counted the same, whoever brings and whoever reads them"},
	"weir/telemetry/health":     {[]string{"weir/identity", "weir/policy", "weir/telemetry/accesslog"}, []string{"github.com/envoyproxy", "github.com/prometheus"}, "who is ejected is decided by records and a clock alone"},
	"weir/telemetry/accesslog":  {[]string{"weir/llm", "weir/metadata", "weir/policy", "weir/internal/protofield"}, []string{"github.com/prometheus", "github.com/envoyproxy"}, "what Envoy tells is read apart from what is made of it"},
	"weir/telemetry":            {[]string{"weir/llm", "weir/telemetry/accesslog", "weir/telemetry/rolling", "weir/internal/jsontext", "weir/internal/sample"}, []string{"github.com/envoyproxy"}, "what is counted and logged is a matter of records alone"},
	"weir/admin":                {[]string{"weir/identity", "weir/llm", "weir/llm/body", "weir/policy", "weir/telemetry/limits"}, []string{"google.golang.org/grpc", "github.com/envoyproxy"}, "operators are served what the gateway reports, however it runs"},
	"weir/gateway":              {[]string{"weir/admin", "weir/envoy", "weir/extproc", "weir/extproc/admit", "weir/extproc/peers", "weir/extproc/wire", "weir/gateway/retire", "weir/identity", "weir/internal/memory", "weir/internal/private", "weir/internal/sample", "weir/policy", "weir/policy/config", "weir/policy/expression", "weir/telemetry", "weir/telemetry/accesslog", "weir/telemetry/health", "weir/telemetry/limits", "weir/telemetry/rolling", "weir/xds"}, nil, "the running product wires the others together"},
	"weir/cmd/weir":             {[]string{"weir/admin", "weir/demo", "weir/envoy", "weir/gateway", "weir/llm", "weir/metadata", "weir/policy", "weir/policy/config"}, nil, "flags, signals, exit codes and what is printed"},
	"weir/bench":                {[]string{"weir/envoy"}, nil, "it measures the product from outside"},
	"weir/e2e":                  {nil, nil, "tests only"},
	"weir/faults":               {nil, nil, "tests only"},
	"weir/examples":             {nil, nil, "tests only"},
	"weir/soak":                 {nil, nil, "tests only"},
	"weir/internal/requestkey":  {nil, nil, "ids in, keys out"},
	"weir/internal/protofield":  {nil, nil, "bytes in, fields out"},
	"weir/internal/jsontext":    {nil, []string{"net", "github.com", "google.golang.org"}, "strings in, JSON out"},
	"weir/internal/memory":      {nil, nil, "it reads what the system says"},
	"weir/internal/private":     {nil, []string{"google.golang.org/grpc", "github.com"}, "who may touch a file is a matter of the system alone"},
	"weir/internal/sample":      {nil, []string{"google.golang.org/grpc", "github.com"}, "events in, some of them out"},
	"weir/internal/arch":        {nil, nil, "tests only"},
	"weir/internal/recorder":    {[]string{"weir/demo"}, []string{"google.golang.org/grpc"}, "a provider like any other"},
	"weir/internal/gatewaytest": {[]string{"weir/envoy"}, []string{"weir/policy"}, "it drives the built command"},
}

func TestArrows(t *testing.T) {
	// The test is cached by the files that it looks at itself.
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "../.." {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "weir/...")
	out, err := cmd.Output()
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
		rule, ok := allowed[p.ImportPath]
		if !ok {
			t.Errorf("%s has no rule here: say what it may import, and why", p.ImportPath)
			continue
		}
		seen[p.ImportPath] = true
		for _, i := range p.Imports {
			if strings.HasPrefix(i, "weir/") && !slices.Contains(rule.may, i) {
				t.Errorf("%s imports %s, which it may not: %s", p.ImportPath, i, rule.reason)
			}
		}
		for _, d := range p.Deps {
			for _, never := range rule.never {
				if d == never || strings.HasPrefix(d, never+"/") {
					t.Errorf("%s depends on %s, which it must not: %s", p.ImportPath, d, rule.reason)
				}
			}
		}
	}
	for path := range allowed {
		if !seen[path] {
			t.Errorf("%s has a rule and does not exist", path)
		}
	}
}

// TestTable: the table in CONTRIBUTING.md has every package, and the arrows that
// are allowed. Test support has one row for all of it.
func TestTable(t *testing.T) {
	page, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	support := []string{"weir/internal/arch", "weir/internal/recorder", "weir/internal/gatewaytest"}
	rows := map[string]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			continue
		}
		for name := range strings.SplitSeq(cells[1], ",") {
			rows["weir/"+strings.Trim(name, " `")] = strings.TrimSpace(cells[3])
		}
	}
	for path, rule := range allowed {
		imports, ok := rows[path]
		switch {
		case slices.Contains(support, path):
		case !ok:
			t.Errorf("%s has no row in CONTRIBUTING.md", path)
		case imports == "all of these", imports == "" && rule.may == nil:
		default:
			got := []string{}
			for name := range strings.SplitSeq(imports, ",") {
				if name != "none" {
					got = append(got, "weir/"+strings.Trim(name, " `"))
				}
			}
			want := slices.Sorted(slices.Values(rule.may))
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s: CONTRIBUTING.md has the imports %v, allowed are %v", path, got, want)
			}
		}
	}
}
