package examples

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/internal/gatewaytest"
)

const startPage = "docs/getting-started.md"

// TestGettingStarted does what the page says, from top to bottom, with nothing but the
// binary. Only the ports are others.
func TestGettingStarted(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Dir(gatewaytest.Binary(t)), filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	first, firstAdmin := gatewaytest.FreeAddr(t), gatewaytest.FreeAddr(t)
	secondAdmin := gatewaytest.FreeAddr(t)
	ports := strings.NewReplacer(
		"127.0.0.1:8080", first, "127.0.0.1:9080", gatewaytest.FreeAddr(t), "127.0.0.1:9081", secondAdmin,
		"make run", "bin/weir run --listen "+first+" --admin "+firstAdmin)
	makefile := documents(t, "Makefile")["Makefile"]
	if !strings.Contains(makefile, "\nrun: build ") || !strings.Contains(makefile, "\n\tbin/weir run\n") {
		t.Error("make run does not build and run bin/weir")
	}
	exports, output := "", ""
	shell := func(script string) *exec.Cmd {
		cmd := exec.Command("sh", "-ec", exports+script)
		cmd.Dir, cmd.Env = dir, environment()
		return cmd
	}
	done := map[string]int{}
	var stops []func()
	for _, b := range blocks(ports.Replace(documents(t, startPage)[startPage])) {
		done[b.info]++
		switch {
		case b.info == "yaml":
			if done["yaml"] > 1 { // the page says to stop both gateways first
				for _, stop := range stops {
					stop()
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		case b.info == "sh" && strings.HasPrefix(b.text, "bin/weir run "):
			done["run"]++
			admin := firstAdmin
			if done["run"] > 1 {
				admin = secondAdmin
			}
			stops = append(stops, background(t, shell("exec "+b.text), admin))
		case b.info == "sh":
			out, err := shell(b.text).Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, b.text)
			}
			output = string(out)
			for line := range strings.Lines(b.text) {
				if strings.HasPrefix(line, "export ") {
					exports += line
				}
				if strings.HasSuffix(line, "/v1/models\n") && !strings.Contains(output, `demo-echo"`) {
					t.Errorf("the models are %s", output)
				}
			}
		case b.info == "text":
			if output != b.text {
				t.Errorf("got\n%s\nwant\n%s", output, b.text)
			}
		default:
			t.Errorf("a block of type %q", b.info)
		}
	}
	if done["run"] != 2 || done["sh"] < 8 || done["text"] < 5 || done["yaml"] != 2 {
		t.Errorf("the page has %v", done)
	}
}

// environment is that of this process, without keys of providers.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "OPENAI_") || strings.HasPrefix(v, "ANTHROPIC_") || strings.HasPrefix(v, "WEIR_")
	})
}

// background runs a gateway until stop is called or the test ends, and waits until it is
// ready.
func background(t *testing.T, cmd *exec.Cmd, admin string) (stop func()) {
	t.Helper()
	var log gatewaytest.Output
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Stdin = bytes.NewReader(nil)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%v\n%s", err, log.String())
			}
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			t.Errorf("does not stop:\n%s", log.String())
		}
		if t.Failed() {
			t.Log(log.String())
		}
		if strings.Contains(log.String(), "level=WARN") || strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("a clean start and stop has warnings:\n%s", log.String())
		}
	})
	t.Cleanup(stop)
	gatewaytest.Eventually(t, cmd.String()+" to be ready", func() bool {
		resp, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return stop
}
