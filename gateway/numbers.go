package gateway

import (
	"time"

	"weir/policy"
	"weir/telemetry/health"
	"weir/telemetry/rolling"
)

// numbers are what strategies read: rolling numbers, and health. They live as long as
// the process.
type numbers struct {
	store  *rolling.Store // nil before the first configuration
	health *health.Tracker
}

// of returns the store. The window of the first configuration stays.
func (n *numbers) of(window time.Duration) *rolling.Store {
	if n.store == nil {
		n.store = rolling.New(window)
	}
	return n.store
}

// bring makes the numbers readable for the policy of a source.
func (n *numbers) bring(src *policy.Source) {
	src.Metrics = n.of
}
