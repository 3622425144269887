package gatewaytest

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
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

// Memory returns a size of a process in bytes, by its field in
// /proc/PID/status: VmRSS is what it takes, VmHWM the most that it took.
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
