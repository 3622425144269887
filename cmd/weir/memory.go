package main

import (
	"cmp"
	"runtime/debug"

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
func (m memoryLimits) limitWeir(sys system) {
	if m.weir > 0 && sys.getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(m.weir))
	}
}
