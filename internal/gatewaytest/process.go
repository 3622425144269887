package gatewaytest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
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

// parent returns the process ID of a process's parent, 0 if it is gone.
func parent(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may have spaces.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(fields[1])
	return n
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
