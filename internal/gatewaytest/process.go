package gatewaytest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// EnvoyPID returns the process ID of the newest Envoy that `weir run` started.
func (g *Gateway) EnvoyPID() int {
	g.t.Helper()
	pid := 0
	g.WaitLog(func(lines []map[string]any) bool {
		for _, l := range lines {
			if n, ok := l["pid"].(float64); ok && l["msg"] == "envoy started" {
				pid = int(n)
			}
		}
		return pid != 0
	}, "an Envoy")
	return pid
}

// disconnected is what weir logs when an Envoy has closed its connection.
const disconnected = "envoy disconnected"

// spareEnvoysSleep ends the Envoy of a weir that is stopping once it has closed its
// connections. All that Envoy does after that is to wait for a thread of its allocator,
// which sleeps for up to a second: most of the time that a short test takes. goodbyes
// is how often an Envoy had disconnected before the stop.
func (g *Gateway) spareEnvoysSleep(weir *exec.Cmd, goodbyes int, exited <-chan struct{}) {
	if g.count("envoy started") == 0 {
		return // `weir serve`
	}
	for limit := time.After(Patience); ; {
		g.mu.Lock()
		next := g.lines
		g.mu.Unlock()
		if g.count(disconnected) > goodbyes {
			break
		}
		select {
		case <-next:
		case <-exited:
			return
		case <-limit:
			return
		}
	}
	if envoy := g.EnvoyPID(); parent(envoy) == weir.Process.Pid {
		_ = syscall.Kill(envoy, syscall.SIGKILL)
	}
}

// Pause stops weir, and not its Envoy, and returns a function that lets weir run again.
// It waits until every thread has stopped: SIGSTOP goes to one thread, and until that
// thread gets a turn on a busy machine, the others keep serving.
func (g *Gateway) Pause(t testing.TB) (resume func()) {
	t.Helper()
	weir := g.Cmd.Process
	resume = func() { _ = weir.Signal(syscall.SIGCONT) }
	t.Cleanup(resume)
	if err := weir.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "weir to stop", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", weir.Pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("no threads of process %d: %v", weir.Pid, err)
		}
		return !slices.ContainsFunc(threads, func(stat string) bool { return processField(stat, 0) != "T" })
	})
	return resume
}

// parent returns the process ID of a process's parent, 0 if it is gone.
func parent(pid int) int {
	n, _ := strconv.Atoi(processField(fmt.Sprintf("/proc/%d/stat", pid), 1))
	return n
}

// processField returns a field of a stat file of /proc, counted from the one after the
// name, or "" if the process or thread is gone.
func processField(stat string, i int) string {
	b, err := os.ReadFile(stat)
	if err != nil {
		return ""
	}
	// The name, in parentheses, may have spaces.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if i >= len(fields) {
		return ""
	}
	return fields[i]
}

// EnvoyStat returns the sum of Envoy's counters and gauges whose names match.
func (g *Gateway) EnvoyStat(pattern string) int {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	text, err := g.EnvoyAdmin.Get(ctx, "/stats?filter="+pattern)
	if err != nil {
		g.t.Fatal(err)
	}
	sum := 0
	for line := range strings.Lines(string(text)) {
		_, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		n, err := strconv.Atoi(value)
		if err != nil {
			g.t.Fatalf("%s: %v", line, err)
		}
		sum += n
	}
	return sum
}

// Memory returns a size of a process in bytes, by its field in /proc/PID/status: VmRSS
// is the current size, VmHWM the highest.
func Memory(t testing.TB, pid int, field string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("process %d has no %s", pid, field)
	return 0
}
