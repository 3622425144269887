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

// memoryLimits are what Envoy and Weir may take. 0 is no limit.
type memoryLimits struct {
	envoyHeap, weir uint64
}

// memoryOf divides the memory that there is. Envoy's heap gets half: beside it,
// Envoy has buffers in the kernel, and what its allocator keeps. Weir gets a
// quarter; most of it is for the bodies that it reads. Where Weir has a control
// group of its own, because Envoy runs elsewhere, most of that is Weir's.
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

// limitWeir sets the soft limit of Go's memory, unless the operator did.
func (m memoryLimits) limitWeir(getenv func(string) string) {
	if m.weir > 0 && getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(m.weir))
	}
}

// freeMemory returns memory that is no longer used to the system. It is for the rare
// times when much more was used than is kept: building and sending the resources of a
// whole configuration takes several times what is kept of it. It stops the world for a
// garbage collection, so nothing that happens often may call it.
func freeMemory() { debug.FreeOSMemory() }

const (
	// giveBackInterval is how often Weir looks whether it has memory that it no
	// longer needs.
	giveBackInterval = 5 * time.Second
	// muchUnused is how much more than after the last time is worth giving back,
	// and quietAllocation how much may be allocated in an interval that counts as
	// quiet: under load, Go collects garbage by itself.
	muchUnused      = 32 << 20
	quietAllocation = 8 << 20
)

// giveBack gives memory back to the system when the load is over, until ctx ends.
// An idle Go process would keep it: it collects garbage every two minutes, and the
// buffers of bodies are gone after the second time.
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
