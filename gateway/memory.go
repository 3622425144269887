package gateway

import (
	"cmp"
	"context"
	"runtime"
	"runtime/debug"
	gometrics "runtime/metrics"
	"time"

	"weir/envoy"
	"weir/internal/memory"
	"weir/policy"
)

// memoryLimits are the bytes that Envoy's heap and Weir may use. 0 is no limit.
type memoryLimits struct {
	envoyHeap, weir uint64
}

// memoryOf divides the available memory. Envoy's heap gets half: Envoy also needs
// kernel buffers, and memory that its allocator keeps. Weir gets a quarter, most of it for
// the bodies that it reads. If Envoy runs elsewhere and Weir has a control group of its
// own, Weir gets most of that.
func memoryOf(p *policy.Policy, available memory.Limit, withEnvoy bool) memoryLimits {
	weir := available.Bytes / 4
	if available.Cgroup && !withEnvoy {
		weir = available.Bytes / 8 * 7
	}
	heap := uint64(envoy.DefaultMaxHeap)
	if available.Bytes > 0 {
		heap = max(available.Bytes/2, envoy.MinMaxHeap)
	}
	return memoryLimits{
		envoyHeap: cmp.Or(p.EnvoyHeapBytes, heap),
		weir:      cmp.Or(p.WeirMemoryBytes, weir),
	}
}

// limitWeir calls set, unless it is nil, with Weir's limit, if there is one.
func (m memoryLimits) limitWeir(set func(bytes int64)) {
	if m.weir > 0 && set != nil {
		set(int64(m.weir))
	}
}

// freeMemory returns unused memory to the system. It is for the rare times when much
// more was used than is kept: building and sending the resources of a whole configuration
// takes several times what is kept of them. It forces a garbage collection, so nothing
// that happens often may call it.
func freeMemory() { debug.FreeOSMemory() }

const (
	// giveBackInterval is how often Weir checks whether it holds unused memory.
	giveBackInterval = 5 * time.Second
	// muchUnused is the growth that is worth giving back. quietAllocation is the most
	// that may be allocated in an interval that counts as quiet: under load, Go collects
	// garbage by itself.
	muchUnused      = 32 << 20
	quietAllocation = 8 << 20
)

// giveBack returns memory to the system when the load is over, until ctx ends. An idle
// Go process would keep it for minutes: it collects garbage every two minutes, and a
// sync.Pool drops its buffers at the second collection.
func giveBack(ctx context.Context) error {
	sample := []gometrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	read := func() (allocated, held uint64) {
		gometrics.Read(sample)
		for _, s := range sample[1:] {
			held += s.Value.Uint64()
		}
		return sample[0].Value.Uint64(), held
	}
	before, kept := read()
	ticks := time.NewTicker(giveBackInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
		allocated, held := read()
		quiet := allocated-before < quietAllocation
		before = allocated
		if quiet && held > kept+muchUnused {
			runtime.GC()
			freeMemory()
			before, kept = read()
		}
	}
}
