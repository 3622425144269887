// Package gatewaytest runs the product for tests: the built weir command with a real
// Envoy, on their own ports. At the end of a test it searches everything that Weir and
// Envoy show for the values of the configuration's secrets.
package gatewaytest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/envoy"
)

// Patience bounds every wait; a passing test should not come near it.
const Patience = 60 * time.Second

// Option changes how a gateway is started.
type Option func(*Gateway)

// Env adds a variable to the environment of weir and Envoy.
func Env(name, value string) Option {
	return func(g *Gateway) { g.env = append(g.env, name+"="+value) }
}

// Secrets are values that must not show in a log, a dump, an error or a
// metric.
func Secrets(values ...string) Option {
	return func(g *Gateway) { g.secrets = append(g.secrets, values...) }
}

// Args adds arguments to the command line.
func Args(args ...string) Option {
	return func(g *Gateway) { g.args = append(g.args, args...) }
}

// Listen sets the addresses for clients on the command line. Without any, those
// of the configuration count; without this option, it is a free one.
func Listen(addresses ...string) Option {
	return func(g *Gateway) {
		g.listen = []string{}
		for _, a := range addresses {
			g.listen = append(g.listen, "--listen", a)
		}
	}
}

// Command runs another weir than the one that Binary builds, or that one if path is
// empty. setUp, unless nil, changes the command.
func Command(path string, setUp func(*exec.Cmd)) Option {
	return func(g *Gateway) { g.binary, g.setUp = path, setUp }
}

// Gateway is a running weir.
type Gateway struct {
	t       testing.TB
	env     []string
	args    []string
	listen  []string // arguments; nil: a free address
	secrets []string
	binary  string
	setUp   func(*exec.Cmd)

	// Config is the path of the configuration file.
	Config string
	// URL and AdminURL have no path.
	URL, AdminURL string
	// EnvoyAdmin talks to Envoy's own admin interface; `run` only.
	EnvoyAdmin *envoy.Admin
	// Cmd is the running process.
	Cmd *exec.Cmd

	stdout Output

	mu     sync.Mutex
	log    bytes.Buffer
	lines  chan struct{} // closed and replaced at every line
	exited chan struct{}
	err    error // after exited
}

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "weirbin-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "weir")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/weir")
	cmd.Dir = Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &buildError{string(out), err}
	}
	return path, touchSources()
})

// touchSources opens every file from which the command is built. Otherwise go test,
// which tracks only the files that a test has opened itself, would show a cached
// result of another command.
func touchSources() error {
	return filepath.WalkDir(Root(), func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != Root() && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case entry.IsDir() || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		switch filepath.Ext(path) {
		case ".go", ".mod", ".sum", ".yaml", ".json", ".gz", ".py", ".mjs":
			_, err = os.Stat(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // of another test, and gone
		}
		return err
	})
}

type buildError struct {
	out string
	err error
}

func (e *buildError) Error() string { return "go build ./cmd/weir: " + e.err.Error() + "\n" + e.out }

// Root returns the folder of the module: the first one above the test's that has go.mod.
// It works for binaries that were built with -trimpath, too.
func Root() string {
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// Binary builds the weir command once for all tests of a process. Call
// Cleanup in TestMain.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Main runs the tests of a package and removes the built binary after.
func Main(m *testing.M) {
	code := m.Run()
	if path, err := build(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// Start runs `weir run` with a configuration and waits until it is ready.
func Start(t testing.TB, config string, options ...Option) *Gateway {
	t.Helper()
	g := New(t, config, options...)
	g.Launch("run", "-c", g.Config)
	g.WaitReady()
	g.EnvoyAdmin = envoy.NewAdmin(filepath.Join(filepath.Dir(g.Field("weir started", "socket")), "envoy.sock"))
	return g
}

// New writes the configuration and starts nothing.
func New(t testing.TB, config string, options ...Option) *Gateway {
	t.Helper()
	g := &Gateway{t: t, Config: filepath.Join(t.TempDir(), "weir.yaml"), lines: make(chan struct{})}
	for _, o := range options {
		o(g)
	}
	g.Write(config)
	return g
}

// Write replaces the configuration file atomically, as an editor does.
func (g *Gateway) Write(config string) {
	g.t.Helper()
	next := g.Config + ".next"
	if err := os.WriteFile(next, []byte(config), 0o600); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Rename(next, g.Config); err != nil {
		g.t.Fatal(err)
	}
}

// Launch starts the weir command; it is stopped at the end of the test.
func (g *Gateway) Launch(args ...string) {
	g.t.Helper()
	listen := g.listen
	if listen == nil {
		listen = []string{"--listen", FreeAddr(g.t)}
	}
	args = append(append(args, listen...), "--admin", "127.0.0.1:0", "--log-format", "json")
	if g.binary == "" {
		g.binary = Binary(g.t)
	}
	g.Cmd = exec.Command(g.binary, append(args, g.args...)...)
	g.Cmd.Env = append(os.Environ(), g.env...)
	g.Cmd.Stdout = &g.stdout
	if g.setUp != nil {
		g.setUp(g.Cmd)
	}
	pipe, err := g.Cmd.StderrPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := g.Cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	exited := make(chan struct{})
	g.exited = exited
	cmd := g.Cmd
	go func() {
		lines := bufio.NewReader(pipe)
		for {
			line, err := lines.ReadBytes('\n')
			g.mu.Lock()
			g.log.Write(line)
			close(g.lines)
			g.lines = make(chan struct{})
			g.mu.Unlock()
			if err != nil {
				break
			}
		}
		err := cmd.Wait()
		g.mu.Lock()
		g.err = err
		g.mu.Unlock()
		close(exited)
	}()
	g.t.Cleanup(func() { g.end(cmd, exited) })
}

// end checks what was shown, stops the process, and prints its log if the
// test failed.
func (g *Gateway) end(cmd *exec.Cmd, exited <-chan struct{}) {
	select {
	case <-exited:
	default:
		if len(g.secrets) > 0 {
			g.CheckSecrets()
		}
		goodbyes := g.count(disconnected)
		_ = cmd.Process.Signal(syscall.SIGTERM)
		g.spareEnvoysSleep(cmd, goodbyes, exited)
		select {
		case <-exited:
		case <-time.After(Patience):
			g.t.Error("weir did not stop")
			_ = cmd.Process.Kill()
			<-exited
		}
	}
	for _, s := range g.secrets {
		if strings.Contains(g.Log()+g.Stdout(), s) {
			g.t.Errorf("the log shows the secret %q", s)
		}
	}
	if g.t.Failed() {
		g.t.Logf("log of weir:\n%s", g.Log())
	}
}

// CheckSecrets searches for secrets in everything that Weir and Envoy show.
func (g *Gateway) CheckSecrets() {
	g.t.Helper()
	shown := map[string]string{"log": g.Log(), "/healthz": g.Admin("/healthz"), "/metrics": g.Admin("/metrics")}
	if g.EnvoyAdmin != nil {
		for _, path := range []string{"/config_dump?include_eds", "/stats", "/clusters", "/listeners", "/certs"} {
			ctx, cancel := context.WithTimeout(context.Background(), Patience)
			if b, err := g.EnvoyAdmin.Get(ctx, path); err == nil {
				shown["envoy"+path] = string(b)
			}
			cancel()
		}
	}
	for where, text := range shown {
		for _, s := range g.secrets {
			if strings.Contains(text, s) {
				g.t.Errorf("%s shows the secret %q", where, s)
			}
		}
	}
}

// Log is what weir has written to standard error so far.
func (g *Gateway) Log() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.String()
}

// Stdout is what weir has written to standard output so far.
func (g *Gateway) Stdout() string { return g.stdout.String() }

// WaitReady waits for the log line that says that Envoy is ready, and reads the
// addresses from it.
func (g *Gateway) WaitReady() {
	g.t.Helper()
	g.URL = "http://" + g.Field("ready", "listen")
	g.AdminURL = "http://" + g.Field("weir started", "admin")
}

// Field waits for a log line with the message and returns a field of the newest one.
func (g *Gateway) Field(message, field string) string {
	g.t.Helper()
	var found string
	g.WaitLog(func(lines []map[string]any) bool {
		ok := false
		for _, l := range lines {
			if l["msg"] == message {
				found, ok = l[field].(string), true
			}
		}
		return ok
	}, "a log line "+message)
	return found
}

// WaitLog waits until the log, parsed, satisfies a condition.
func (g *Gateway) WaitLog(done func(lines []map[string]any) bool, what string) {
	g.t.Helper()
	limit := time.After(Patience)
	for {
		g.mu.Lock()
		text, next := g.log.String(), g.lines
		g.mu.Unlock()
		var lines []map[string]any
		for line := range strings.Lines(text) {
			var l map[string]any
			if json.Unmarshal([]byte(line), &l) == nil {
				lines = append(lines, l)
			}
		}
		if done(lines) {
			return
		}
		select {
		case <-next:
		case <-g.exited:
			g.t.Fatalf("weir ended (%v) while waiting for %s:\n%s", g.err, what, text)
		case <-limit:
			g.t.Fatalf("timed out waiting for %s:\n%s", what, text)
		}
	}
}

// Reload writes a configuration and waits until it is the current one.
func (g *Gateway) Reload(config string) {
	g.t.Helper()
	before := g.count("configuration in force")
	g.Write(config)
	g.WaitLog(func(lines []map[string]any) bool {
		n := 0
		for _, l := range lines {
			if l["msg"] == "configuration in force" {
				n++
			}
		}
		return n > before
	}, "a new configuration")
}

func (g *Gateway) count(message string) int {
	return strings.Count(g.Log(), `"msg":"`+message+`"`)
}

// Wait waits for the process to exit and returns its error.
func (g *Gateway) Wait() error {
	g.t.Helper()
	select {
	case <-g.exited:
		return g.err
	case <-time.After(Patience):
		g.t.Fatalf("weir did not end:\n%s", g.Log())
		return nil
	}
}

// Admin returns the body of a GET on the admin listener.
func (g *Gateway) Admin(path string) string {
	g.t.Helper()
	resp, err := http.Get(g.AdminURL + path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(b)
}

// Response is the response that a client received.
type Response struct {
	Status int
	Header http.Header
	Body   string
	// Err is an error from reading the body.
	Err error
}

// Post sends a JSON body. header holds names and values in turn.
func (g *Gateway) Post(path, body string, header ...string) Response {
	g.t.Helper()
	return g.Send(http.MethodPost, path, strings.NewReader(body), append([]string{"Content-Type", "application/json"}, header...)...)
}

// Get sends a request without a body.
func (g *Gateway) Get(path string, header ...string) Response {
	g.t.Helper()
	return g.Send(http.MethodGet, path, nil, header...)
}

// Send sends any request on a connection of its own.
func (g *Gateway) Send(method, path string, body io.Reader, header ...string) Response {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, g.URL+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	resp, err := client.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return Response{resp.StatusCode, resp.Header, string(b), err}
}

// Address returns the host and port for clients that send raw bytes.
func (g *Gateway) Address() string { return strings.TrimPrefix(g.URL, "http://") }

// Dial opens a raw connection to the gateway.
func (g *Gateway) Dial() net.Conn {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.Address())
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(Patience))
	return conn
}
