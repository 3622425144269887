package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
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

var tlsFile = regexp.MustCompile(`\b(cert_file|key_file|client_ca_file|ca_file): /[^\s,}]+`)

// TestDocumentedConfigurations: every YAML block of the documents loads. Files
// for TLS that it names are replaced by those of a test's CA.
func TestDocumentedConfigurations(t *testing.T) {
	ca := recorder.NewCA(t)
	certFile, keyFile := ca.IssueFiles(t, "localhost")
	files := map[string]string{"cert_file": certFile, "key_file": keyFile, "client_ca_file": ca.File(t), "ca_file": ca.File(t)}
	n := 0
	for name, text := range documents(t) {
		for _, block := range blocks(text, "yaml") {
			n++
			block = tlsFile.ReplaceAllStringFunc(block, func(setting string) string {
				name, _, _ := strings.Cut(setting, ":")
				return name + ": " + files[name]
			})
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

var (
	pageBlock = regexp.MustCompile("(?s)\n```(yaml|sh|text|json sent|json log)\n(.*?)```")
	pageHost  = regexp.MustCompile(`base_url: http://([a-z0-9.-]+\.internal)`)
)

// TestPages: a command of a page in docs runs against the configuration above
// it. What follows it is its output (text), the body that a provider received
// (json sent), or lines of the access log, of which the fields are compared
// (json log). Hosts that begin with down answer 503.
func TestPages(t *testing.T) {
	n := 0
	for name, text := range documents(t) {
		if !strings.HasPrefix(name, "docs/") || !strings.Contains(text, "\n```sh\ncurl ") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var config, output string
			var g *gatewaytest.Gateway
			var stands []*recorder.Provider
			for _, m := range pageBlock.FindAllStringSubmatch(text, -1) {
				switch block := m[2]; {
				case m[1] == "yaml":
					config, g = block, nil
				case m[1] == "sh" && strings.HasPrefix(block, "curl "):
					if g == nil {
						g, stands = startPage(t, config)
					}
					for _, s := range stands {
						s.Reset()
						if strings.HasPrefix(s.Name, "down") {
							s.Script(recorder.Status(503, nil, "busy"))
						}
					}
					n++
					output = execute(t, g, block, os.Environ())
				case m[1] == "text":
					if output != block {
						t.Errorf("got\n%s\nwant\n%s", output, block)
					}
				case m[1] == "json sent":
					var got []string
					for _, s := range stands {
						for _, r := range s.Requests() {
							got = append(got, string(r.Body))
						}
					}
					if len(got) != 1 || got[0] != strings.TrimSpace(block) {
						t.Errorf("providers received %q, want %s", got, block)
					}
				case m[1] == "json log":
					want := fields(block)
					eventually(t, "the access log", func() bool { return strings.Contains(g.Stdout(), `"kind":"request"`) })
					if got := fields(g.Stdout()); got != want {
						t.Errorf("fields of the log\n%s\nwant\n%s", got, want)
					}
				}
			}
		})
	}
	if n == 0 {
		t.Error("no command found")
	}
}

// startPage starts a configuration whose hosts are led to recording providers.
func startPage(t *testing.T, config string) (*gatewaytest.Gateway, []*recorder.Provider) {
	t.Helper()
	var stands []*recorder.Provider
	led := map[string]bool{}
	text := config + "\nconnect_to:\n"
	for _, m := range pageHost.FindAllStringSubmatch(config, -1) {
		if led[m[1]] {
			continue
		}
		led[m[1]] = true
		p := recorder.Start(t, recorder.WithName(m[1]))
		stands = append(stands, p)
		text += "  \"" + m[1] + ":80\": \"" + p.Addr() + "\"\n"
	}
	var options []gatewaytest.Option
	for _, m := range secretRef.FindAllStringSubmatch(config, -1) {
		variable := strings.ToUpper("WEIR_SECRET_" + m[1] + "_" + m[2])
		options = append(options, gatewaytest.Env(strings.NewReplacer("-", "_", ".", "_").Replace(variable), "a-value-of-some-length-"+m[1]+m[2]))
	}
	return gatewaytest.Start(t, text, options...), stands
}

var fieldName = regexp.MustCompile(`"([a-z_]+)":`)

// fields are the names of the fields of log lines, a line for each line, sorted.
func fields(log string) string {
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(log)) {
		var names []string
		for _, m := range fieldName.FindAllStringSubmatch(line, -1) {
			names = append(names, m[1])
		}
		lines = append(lines, strings.Join(names, " "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
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
