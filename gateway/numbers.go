package gateway

import (
	"sync/atomic"
	"time"

	"weir/policy"
	"weir/policy/expression"
	"weir/telemetry/rolling"
)

// numbers are the rolling numbers of models and provider keys, since the start.
type numbers struct {
	store *rolling.Store // nil before the first configuration
}

// of returns the store. The window of the first configuration stays.
func (n *numbers) of(window time.Duration) *rolling.Store {
	if n.store == nil {
		n.store = rolling.New(window)
	}
	return n.store
}

// measure returns the numbers of what a policy has.
func (n *numbers) measure(p *policy.Policy) *measured {
	store := n.of(p.Window)
	models, keys := p.Measured()
	m := &measured{policy: p, models: make([]*rolling.Model, len(models)), keys: make([]*rolling.Key, len(keys))}
	for i, of := range models {
		m.models[i] = store.Model(of.Provider, of.ID)
	}
	for i, id := range keys {
		m.keys[i] = store.Key(id)
	}
	m.renew()
	return m
}

// measured are the numbers of a policy's models and keys, by their indexes there.
type measured struct {
	policy *policy.Policy
	models []*rolling.Model
	keys   []*rolling.Key
	now    atomic.Pointer[snapshot]
}

// snapshot is what strategies make of the numbers between two ticks of the store.
type snapshot struct{ policy.Numbers }

// renew evaluates what the strategies share. It is called when the numbers have changed,
// so that no request has to wait for it.
func (m *measured) renew() { m.now.Store(&snapshot{m.policy.Snapshot(m)}) }

// Now implements extproc.Numbers.
func (m *measured) Now() policy.Numbers { return m.now.Load().Numbers }

// Model implements policy.Numbers.
func (m *measured) Model(place int, of expression.Metric) float64 {
	n := m.models[place].Read()
	if n == nil {
		return 0
	}
	switch of {
	case expression.RequestCount:
		return float64(n.RequestCount)
	case expression.UpstreamAvg:
		return n.UpstreamAvg
	case expression.UpstreamP95:
		return n.UpstreamP95
	case expression.TTFTAvg:
		return n.TTFTAvg
	case expression.TTFTP95:
		return n.TTFTP95
	case expression.ErrorTotal:
		return n.ErrorTotal
	case expression.ErrorTimeout:
		return n.ErrorTimeout
	case expression.ErrorRateLimit:
		return n.ErrorRateLimit
	case expression.ErrorClient:
		return n.ErrorClient
	case expression.ErrorServer:
		return n.ErrorServer
	}
	return 0
}

// Key implements policy.Numbers.
func (m *measured) Key(place int) expression.KeyNumbers {
	n := m.keys[place].Read()
	return expression.KeyNumbers{
		RemainingRequests: expression.Quota{Remaining: n.RemainingRequests.Value, Known: n.RemainingRequests.Known},
		RemainingTokens:   expression.Quota{Remaining: n.RemainingTokens.Value, Known: n.RemainingTokens.Known},
		ErrorRates:        expression.ErrorRates(n.Errors),
	}
}
