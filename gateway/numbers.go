package gateway

import (
	"time"

	"weir/telemetry/rolling"
)

// numbers are those of the whole life of the process.
func (g *Gateway) numbers(window time.Duration) *rolling.Store {
	if g.rolling == nil {
		g.rolling = rolling.New(window)
	}
	return g.rolling
}
