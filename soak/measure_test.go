package soak

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
)

// figures are what must not grow. All are taken while nothing runs.
type figures struct {
	EnvoyMemory, WeirMemory           int // bytes, resident
	EnvoyDescriptors, WeirDescriptors int
	Goroutines, Clusters              int
}

func (f figures) String() string {
	return fmt.Sprintf("Envoy %d MiB and %d descriptors, Weir %d MiB and %d descriptors, %d goroutines, %d clusters",
		f.EnvoyMemory>>20, f.EnvoyDescriptors, f.WeirMemory>>20, f.WeirDescriptors, f.Goroutines, f.Clusters)
}

func measure(t *testing.T, g *gatewaytest.Gateway, envoy int) figures {
	t.Helper()
	weir := g.Cmd.Process.Pid
	return figures{
		EnvoyMemory: gatewaytest.Memory(t, envoy, "VmRSS"), WeirMemory: gatewaytest.Memory(t, weir, "VmRSS"),
		EnvoyDescriptors: descriptors(t, envoy), WeirDescriptors: descriptors(t, weir),
		Goroutines: metric(t, g, "go_goroutines"),
		Clusters:   g.EnvoyStat(`cluster_manager\.active_clusters$`),
	}
}

// growth compares two measurements and lists what grew by more than noise.
func growth(before, after figures) []string {
	var out []string
	check := func(what string, before, after, slack int) {
		if after > before+before/5+slack {
			out = append(out, fmt.Sprintf("%s: %d, then %d", what, before, after))
		}
	}
	const memory = 32 << 20
	check("memory of Envoy", before.EnvoyMemory, after.EnvoyMemory, memory)
	check("memory of Weir", before.WeirMemory, after.WeirMemory, memory)
	check("descriptors of Envoy", before.EnvoyDescriptors, after.EnvoyDescriptors, 10)
	check("descriptors of Weir", before.WeirDescriptors, after.WeirDescriptors, 10)
	check("goroutines of Weir", before.Goroutines, after.Goroutines, 10)
	check("clusters of Envoy", before.Clusters, after.Clusters, 10)
	return out
}

// typical is the median of each figure.
func typical(all []figures) figures {
	median := func(of func(figures) int) int {
		var values []int
		for _, f := range all {
			values = append(values, of(f))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return figures{
		EnvoyMemory:      median(func(f figures) int { return f.EnvoyMemory }),
		WeirMemory:       median(func(f figures) int { return f.WeirMemory }),
		EnvoyDescriptors: median(func(f figures) int { return f.EnvoyDescriptors }),
		WeirDescriptors:  median(func(f figures) int { return f.WeirDescriptors }),
		Goroutines:       median(func(f figures) int { return f.Goroutines }),
		Clusters:         median(func(f figures) int { return f.Clusters }),
	}
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// metric reads a metric without labels.
func metric(t *testing.T, g *gatewaytest.Gateway, name string) int {
	t.Helper()
	for line := range strings.Lines(g.Admin("/metrics")) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
