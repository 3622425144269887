package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
)

// documents are the Markdown files whose blocks are held here.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range []string{"../README.md", "../docs/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out[strings.TrimPrefix(f, "../")] = string(b)
		}
	}
	return out
}

func blocks(text, language string) []string {
	var out []string
	for _, b := range strings.Split(text, "\n```"+language+"\n")[1:] {
		b, _, _ = strings.Cut(b, "```")
		out = append(out, b)
	}
	return out
}

var secretRef = regexp.MustCompile(`secrets\.get\('([^']+)', '([^']+)'\)`)

// TestDocumentedConfigurations: every YAML block of the documents loads.
func TestDocumentedConfigurations(t *testing.T) {
	n := 0
	for name, text := range documents(t) {
		for _, block := range blocks(text, "yaml") {
			n++
			file := filepath.Join(t.TempDir(), "weir.yaml")
			if err := os.WriteFile(file, []byte(block), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(gatewaytest.Binary(t), "check", "-c", file)
			cmd.Env = os.Environ()
			for _, m := range secretRef.FindAllStringSubmatch(block, -1) {
				variable := strings.ToUpper("WEIR_SECRET_" + m[1] + "_" + m[2])
				cmd.Env = append(cmd.Env, strings.NewReplacer("-", "_", ".", "_").Replace(variable)+"=a-value-of-some-length-"+m[1]+m[2])
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s%s", name, err, out, block)
			}
		}
	}
	if n == 0 {
		t.Error("no YAML block found")
	}
}

// TestReadme: the request of the README gives the answer that it shows, from
// a gateway that was started without a configuration.
func TestReadme(t *testing.T) {
	g := gatewaytest.New(t, "")
	g.Launch("run")
	g.WaitReady()
	readme := documents(t)["README.md"]
	var command string
	for _, b := range blocks(readme, "sh") {
		if strings.HasPrefix(b, "curl ") {
			command = b
		}
	}
	want := strings.TrimSpace(blocks(readme, "json")[0])
	if got := strings.TrimSpace(execute(t, g, command, os.Environ())); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestLinks: documents refer to files that exist.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for name, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
