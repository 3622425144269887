package gateway

import (
	"time"

	"weir/policy"
	"weir/telemetry/health"
	"weir/telemetry/rolling"
)

// numbers are what strategies read of the life of the process.
type numbers struct {
	store  *rolling.Store // from the first configuration on
	health *health.Tracker
}

// of returns the store. Its window is that of the first configuration.
func (n *numbers) of(window time.Duration) *rolling.Store {
	if n.store == nil {
		n.store = rolling.New(window)
	}
	return n.store
}

// bring lets a policy read the numbers.
func (n *numbers) bring(src *policy.Source) {
	src.Metrics, src.Health = n.of, n.health.Cluster
}
