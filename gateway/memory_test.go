package gateway

import (
	"testing"

	"weir/internal/memory"
	"weir/policy"
)

func TestMemoryOf(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, c := range []struct {
		name      string
		available memory.Limit
		withEnvoy bool
		set       policy.Policy
		want      memoryLimits
	}{
		{"nothing is known", memory.Limit{}, true, policy.Policy{}, memoryLimits{gib, 0}},
		{"a machine", memory.Limit{Bytes: 2 * gib}, true, policy.Policy{}, memoryLimits{gib, 512 * mib}},
		{"a container", memory.Limit{Bytes: 2 * gib, Cgroup: true}, true, policy.Policy{}, memoryLimits{gib, 512 * mib}},
		{"a container of Weir alone", memory.Limit{Bytes: gib, Cgroup: true}, false, policy.Policy{}, memoryLimits{512 * mib, 896 * mib}},
		{"a machine that Envoy may share", memory.Limit{Bytes: 2 * gib}, false, policy.Policy{}, memoryLimits{gib, 512 * mib}},
		{"hardly any", memory.Limit{Bytes: 100 * mib}, true, policy.Policy{}, memoryLimits{64 * mib, 25 * mib}},
		{"configured", memory.Limit{Bytes: 2 * gib}, true, policy.Policy{EnvoyHeapBytes: 7 * gib, WeirMemoryBytes: 5 * gib}, memoryLimits{7 * gib, 5 * gib}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := memoryOf(&c.set, c.available, c.withEnvoy); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}
