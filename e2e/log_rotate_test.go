package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestLogRotation: a log file that is moved away is opened again at SIGHUP, and
// no line is lost or written twice. SIGHUP still reads the configuration again.
func TestLogRotation(t *testing.T) {
	provider := recorder.Start(t)
	dir := filepath.Join(t.TempDir(), "log")
	must(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "access.log")
	g := gatewaytest.Start(t, fmt.Sprintf(`
telemetry: {access_log: %q}
providers: [{id: p, base_url: %q}]
`, path, provider.URL()))
	all := func() string {
		files, err := filepath.Glob(path + "*")
		must(t, err)
		var b strings.Builder
		for _, f := range files {
			text, err := os.ReadFile(f)
			must(t, err)
			b.Write(text)
		}
		return b.String()
	}
	times := func(message string) int { return strings.Count(g.Log(), `"msg":"`+message+`"`) }

	var asked atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		client := http1(t)
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if a := post(t, client, g.URL+"/v1/chat/completions", []byte(`{"model":"p:m"}`), true); a.Status != 200 {
					t.Errorf("status %d %s", a.Status, a.Body)
					return
				}
				asked.Add(1)
			}
		})
	}
	end := sync.OnceFunc(func() {
		close(stop)
		clients.Wait()
	})
	defer end()
	const rotations = 4
	for i := range rotations {
		stage(t, fmt.Sprint("rotation ", i+1), func(t *testing.T) {
			// Something is in the file each time.
			gatewaytest.Eventually(t, "lines in the log", func() bool {
				info, err := os.Stat(path)
				return err == nil && info.Size() > 0
			})
			reloads := times("configuration in force")
			must(t, os.Rename(path, fmt.Sprintf("%s.%d", path, i)), g.Cmd.Process.Signal(syscall.SIGHUP))
			gatewaytest.Eventually(t, "the log to be opened again and the configuration to be read", func() bool {
				return times("access log opened again") == i+1 && times("configuration in force") > reloads
			})
		})
	}
	stage(t, "no line is lost or written twice", func(t *testing.T) {
		end()
		n := int(asked.Load())
		lines := waitLogged(t, all, "all lines", n, func(l *logLine) bool { return l.Code == "" && l.Rejected == "" })
		seen := map[string]bool{}
		for _, l := range lines {
			seen[l.request.RequestID] = true
		}
		if len(lines) != n || len(seen) != n {
			t.Errorf("%d lines of %d requests, for %d that were sent", len(lines), len(seen), n)
		}
	})
	stage(t, "the folder is gone: the open file takes the lines", func(t *testing.T) {
		must(t, os.Rename(dir, dir+".old"), g.Cmd.Process.Signal(syscall.SIGHUP))
		gatewaytest.Eventually(t, "the failure to be logged", func() bool {
			return times("access log cannot be opened again: lines go on to the file that is open") == 1
		})
		id := g.Post("/v1/chat/completions", `{"model":"p:m"}`).Header.Get("X-Weir-Request-Id")
		gatewaytest.Eventually(t, "its line in the open file", func() bool {
			text, err := os.ReadFile(filepath.Join(dir+".old", "access.log"))
			return err == nil && strings.Count(string(text), id) == 2 // of the request and of its attempt
		})
	})
}

// TestRefusalsAreSampled: who has no key cannot fill the disk. What is left out
// is told, metrics count everything, and clients with a key have all lines.
func TestRefusalsAreSampled(t *testing.T) {
	t.Parallel()
	provider := recorder.Start(t)
	const key = "a-long-key-of-a-client"
	g := gatewaytest.Start(t, fmt.Sprintf(`
access_keys: [{name: team, value: %s}]
providers: [{id: p, base_url: %q, models: []}]
`, key, provider.URL()))
	client := http1(t)
	const n, burst = 100, 20
	for range n {
		for path, status := range map[string]int{"/v1/chat/completions": 401, "/nowhere": 404} {
			if a := post(t, client, g.URL+path, []byte(`{"model":"p:m"}`), true); a.Status != status {
				t.Fatalf("status %d %s", a.Status, a.Body)
			}
		}
		if a := g.Post("/v1/chat/completions", `{"model":"nowhere:m"}`, "Authorization", "Bearer "+key); a.Status != 404 {
			t.Fatalf("status %d %s", a.Status, a.Body)
		}
		conn := g.Dial()
		_, _ = fmt.Fprint(conn, "GET / HTTP/1.1\r\nBad Header\r\n\r\n")
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	gatewaytest.Eventually(t, "all requests to be counted", func() bool { return scrape(t, g).sum("weir_requests_total") >= 4*n })
	if got := scrape(t, g).sum("weir_requests_total", `code="invalid_api_key"`); got != n {
		t.Errorf("%v requests without a key counted, want %d", got, n)
	}
	suppressed := func(text string) (left int) {
		for _, l := range parseLog(t, text) {
			left += l.Suppressed
		}
		return left
	}
	// A line a second more passes, for as long as this test takes.
	var count map[string]int
	total, left := 0, 0
	gatewaytest.Eventually(t, "every request to have a line or to be reported as suppressed", func() bool {
		text := g.Stdout()
		count, total, left = map[string]int{}, 0, suppressed(text)
		for _, l := range parseLog(t, text) {
			if l.Kind == "request" {
				count[l.Key+" "+l.Code+l.Rejected]++
				total++
			}
		}
		return total+left >= 4*n && left == int(scrape(t, g).sum("weir_access_log_lines_suppressed_total"))
	})
	if count["team model_not_found"] != n {
		t.Errorf("%d lines of a client with a key, want %d", count["team model_not_found"], n)
	}
	for kind, lines := range count {
		if kind != "team model_not_found" && lines < burst {
			t.Errorf("%d lines of %q", lines, kind)
		}
	}
	if left == 0 || total+left != 4*n {
		t.Errorf("%d lines and %d suppressed, want %d together: %v", total, left, 4*n, count)
	}
}
