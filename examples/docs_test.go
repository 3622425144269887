package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// documents returns the Markdown files that match the patterns, by their path
// in the repository.
func documents(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range patterns {
		files, err := filepath.Glob("../" + pattern)
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

func pages(t *testing.T) map[string]string { return documents(t, "README.md", "docs/*.md") }

// block is a fenced block of a page: its info string, and its text.
type block struct{ info, text string }

var fence = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")

func blocks(text string) []block {
	var out []block
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		out = append(out, block{m[1], m[2]})
	}
	return out
}

var secretRef = regexp.MustCompile(`secrets\.get\('([^']+)', '([^']+)'\)`)

// secrets returns a variable for each secret that a configuration refers to.
func secrets(config string) map[string]string {
	out := map[string]string{}
	for _, m := range secretRef.FindAllStringSubmatch(config, -1) {
		name := strings.ToUpper("WEIR_SECRET_" + m[1] + "_" + m[2])
		out[strings.NewReplacer("-", "_", ".", "_").Replace(name)] = secretValue(m[1], m[2])
	}
	return out
}

func secretValue(store, key string) string { return "a-value-of-some-length-" + store + key }

var tlsFile = regexp.MustCompile(`\b(cert_file|key_file|client_ca_file|ca_file): /[^\s,}]+`)

// TestPages checks every block of README.md and of the pages in docs; the one of
// startPage is TestGettingStarted's. A
// configuration (yaml) loads. A command (sh) runs against the configuration
// above it, with the hosts of its providers replaced by recording providers; a
// host that begins with down answers 503. The block after a command is its
// output (text, json), the body that a provider received (json sent), or lines
// of the access log, whose fields are compared (json log). Other samples of JSON
// (json fields) have only fields that the code has.
func TestPages(t *testing.T) {
	ca := recorder.NewCA(t)
	certFile, keyFile := ca.IssueFiles(t, "localhost")
	files := map[string]string{"cert_file": certFile, "key_file": keyFile, "client_ca_file": ca.File(t), "ca_file": ca.File(t)}
	found := map[string]int{}
	for name, text := range pages(t) {
		for _, b := range blocks(text) {
			found[b.info]++
		}
		if name == startPage {
			continue
		}
		t.Run(name, func(t *testing.T) {
			p := page{t: t, dir: t.TempDir()}
			before := ""
			for _, b := range blocks(text) {
				switch b.info {
				case "yaml":
					p.configure(tlsFile.ReplaceAllStringFunc(b.text, func(setting string) string {
						name, _, _ := strings.Cut(setting, ":")
						return name + ": " + files[name]
					}))
				case "sh":
					p.run(b.text)
				case "text", "json":
					if before != "sh" {
						t.Errorf("the output of no command:\n%s", b.text)
					} else if strings.TrimSpace(p.output) != strings.TrimSpace(b.text) {
						t.Errorf("got\n%s\nwant\n%s", p.output, b.text)
					}
				case "json sent":
					p.sent(b.text)
				case "json log":
					want := fields(b.text)
					eventually(t, "the access log", func() bool { return strings.Contains(p.g.Stdout(), `"kind":"request"`) })
					if got := fields(p.g.Stdout()); got != want {
						t.Errorf("fields of the log\n%s\nwant\n%s", got, want)
					}
				case "json fields":
					for _, field := range strings.Fields(fields(b.text)) {
						if !jsonField(t, field) {
							t.Errorf("nothing in the code has the field %q", field)
						}
					}
				case "python", "js", "toml", "sh claude": // e2e: TestClientsPage
				case "json error": // llm: TestErrorsPage
				case "mermaid", "ini", "logrotate": // not Weir's
				default:
					t.Errorf("no test reads a block of type %q:\n%s", b.info, b.text)
				}
				before = b.info
			}
		})
	}
	if found["yaml"] < 30 || found["sh"] < 20 {
		t.Errorf("found only %v", found)
	}
}

// page is what a reader has who followed a page down to a block.
type page struct {
	t       *testing.T
	dir     string
	exports string // lines of shell
	config  string // empty: the demo provider
	g       *gatewaytest.Gateway
	stands  []*recorder.Provider
	output  string
}

func (p *page) configure(config string) {
	p.t.Helper()
	p.config, p.g, p.stands = config, nil, nil
	if err := os.WriteFile(filepath.Join(p.dir, "weir.yaml"), []byte(config), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if out, err := p.shell("weir check -c weir.yaml").CombinedOutput(); err != nil {
		p.t.Errorf("%v\n%s%s", err, out, config)
	}
}

var makeTarget = regexp.MustCompile(`^make ([a-z]+)$`)

// run runs a block of commands. What starts the gateway is not run as it is
// written: the gateway starts when a later command needs it, on free ports.
func (p *page) run(script string) {
	p.t.Helper()
	command := strings.TrimSpace(script)
	if target := makeTarget.FindStringSubmatch(command); target != nil {
		makefile, err := os.ReadFile("../Makefile")
		if err != nil {
			p.t.Fatal(err)
		}
		if !strings.Contains(string(makefile), "\n"+target[1]+":") {
			p.t.Errorf("no target for %q", command)
		}
		p.config, p.g = "", nil
		return
	}
	if command == "weir run -c weir.yaml" && p.config != "" {
		p.start()
		return
	}
	if strings.Contains(command, "127.0.0.1:808") && p.g == nil {
		p.start()
	}
	for _, s := range p.stands {
		s.Reset()
		if strings.HasPrefix(s.Name, "down") {
			s.Script(recorder.Status(503, nil, "busy"))
		}
	}
	cmd := p.shell(command)
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("%v\n%s", err, command)
	}
	p.output = string(out)
	for line := range strings.Lines(command) {
		if strings.HasPrefix(line, "export ") {
			p.exports += line
		}
	}
}

// shell returns a command that runs a script in the page's folder, with weir on
// the path.
func (p *page) shell(script string) *exec.Cmd {
	if p.g != nil {
		admin := strings.TrimPrefix(p.g.AdminURL, "http://")
		script = strings.NewReplacer("127.0.0.1:8080", p.g.Address(), "127.0.0.1:8081", admin).Replace(script)
	}
	cmd := exec.Command("sh", "-ec", p.exports+script)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(gatewaytest.Binary(p.t))+":"+os.Getenv("PATH"),
		"WEIR_KEY="+secretValue("clients", "team-a"))
	for name, value := range secrets(p.config) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

var pageHost = regexp.MustCompile(`base_url: http://([a-z0-9.-]+\.internal)(:[0-9]+)?`)

func (p *page) start() {
	p.t.Helper()
	if p.config == "" {
		p.g = gatewaytest.New(p.t, "")
		p.g.Launch("run")
		p.g.WaitReady()
		return
	}
	led := map[string]bool{}
	text := p.config + "\nconnect_to:\n"
	for _, m := range pageHost.FindAllStringSubmatch(p.config, -1) {
		host, port := m[1], m[2]
		if port == "" {
			port = ":80"
		}
		if led[host+port] {
			continue
		}
		led[host+port] = true
		s := recorder.Start(p.t, recorder.WithName(host))
		p.stands = append(p.stands, s)
		text += "  \"" + host + port + "\": \"" + s.Addr() + "\"\n"
	}
	var options []gatewaytest.Option
	for name, value := range secrets(p.config) {
		options = append(options, gatewaytest.Env(name, value))
	}
	p.g = gatewaytest.Start(p.t, text, options...)
}

// sent compares the only body that providers received.
func (p *page) sent(want string) {
	p.t.Helper()
	var got []string
	for _, s := range p.stands {
		for _, r := range s.Requests() {
			got = append(got, string(r.Body))
		}
	}
	if len(got) != 1 || got[0] != strings.TrimSpace(want) {
		p.t.Errorf("providers received %q, want %s", got, want)
	}
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

// jsonField reports whether the code has a JSON field of a name: as a tag, or
// in a line that it writes itself.
func jsonField(t *testing.T, name string) bool {
	t.Helper()
	field := regexp.MustCompile(`json:"` + name + `[",]|"` + name + `\\?":`)
	found := false
	source(t, func(path, text string) { found = found || field.MatchString(text) })
	return found
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	linked  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// anchors are the fragments that GitHub makes of a page's headings.
func anchors(text string) map[string]bool {
	out := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		var b strings.Builder
		for _, r := range strings.ToLower(linked.ReplaceAllString(m[1], "$1")) {
			switch {
			case r == ' ':
				b.WriteByte('-')
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				b.WriteRune(r)
			}
		}
		out[b.String()] = true
	}
	return out
}

// TestLinks: documents refer to files and headings that exist.
func TestLinks(t *testing.T) {
	found := 0
	for name, text := range documents(t, "*.md", "docs/*.md", "examples/*/README.md") {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			file, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(file, ":") { // an URL
				continue
			}
			found++
			path := filepath.Join("..", filepath.Dir(name), file)
			if file == "" {
				path = filepath.Join("..", name)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if fragment == "" {
				continue
			}
			target, err := os.ReadFile(path)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if !anchors(string(target))[fragment] {
				t.Errorf("%s: %s has no heading %q", name, file, fragment)
			}
		}
	}
	if found < 100 {
		t.Errorf("found only %d links", found)
	}
}

// TestIndexed: docs/README.md links to every page in docs.
func TestIndexed(t *testing.T) {
	index := documents(t, "docs/README.md")["docs/README.md"]
	for name := range documents(t, "docs/*.md") {
		if base := filepath.Base(name); base != "README.md" && !strings.Contains(index, "]("+base+")") {
			t.Errorf("docs/README.md does not link to %s", base)
		}
	}
}

// TestCosts: the figures of README.md are those of docs/performance.md.
func TestCosts(t *testing.T) {
	row := regexp.MustCompile(`(?m)^\| ([^|]*) \| ([0-9.]+) \| ([0-9.]+) \| ([0-9.]+) \|`)
	full := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(documents(t, "docs/performance.md")["docs/performance.md"], -1) {
		full[m[1]] = m[2:]
	}
	rows := row.FindAllStringSubmatch(documents(t, "README.md")["README.md"], -1)
	for _, m := range rows {
		if !slices.Equal(m[2:], full[m[1]]) {
			t.Errorf("%s: README.md has %v, docs/performance.md %v", m[1], m[2:], full[m[1]])
		}
	}
	if len(rows) < 3 {
		t.Errorf("found only %d rows", len(rows))
	}
}

// quoted is what a shell takes as it is: texts in quotes, and the lines up to a quoted END.
var quoted = regexp.MustCompile(`(?s)<<'END'\n.*?\nEND\n|'[^']*'|"(?:\\.|[^"\\])*"`)

// TestCommandsInZsh: no command has an unquoted pattern, which zsh refuses if it matches
// no file.
func TestCommandsInZsh(t *testing.T) {
	found := 0
	for name, text := range documents(t, "*.md", "docs/*.md", "examples/*/README.md") {
		for _, b := range blocks(text) {
			if kind, _, _ := strings.Cut(b.info, " "); kind != "sh" {
				continue
			}
			found++
			if strings.ContainsAny(quoted.ReplaceAllString(b.text, ""), "?*[") {
				t.Errorf("%s: quote the pattern in\n%s", name, b.text)
			}
		}
	}
	if found < 40 {
		t.Errorf("found only %d commands", found)
	}
}
