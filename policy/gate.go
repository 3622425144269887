package policy

import (
	"time"

	"weir/metadata"
)

// gate returns what to do with the response of a plan's first attempt.
func (p *Policy) gate(req *Request, plan *Plan) metadata.Gate {
	g := metadata.Gate{
		Response: req.Endpoint.Response, Stream: plan.Stream, MayStream: plan.Stream || req.Body.MayStream,
		Strict:   p.StrictStreamEnd,
		Deadline: plan.Deadline, Attempt: plan.AttemptTimeout,
		// Without another attempt after a timeout or a reset, a held response would be
		// lost. Over HTTP/2, another response to the same client can pause this one
		// while it is held and complete, and Envoy 1.40 crashes.
		Hold: p.ResponseGate && !req.Multiplexed && len(plan.Attempts) > 1 && (p.Failover.Reset || p.Failover.Timeout),
	}
	if g.Hold {
		g.Faults, g.Wider = p.Failover.Faults, plan.wider
	}
	if p.watchesIdle(len(plan.Attempts)) {
		g.Idle = p.StreamIdleTimeout
	}
	return g
}

// LongestWait bounds the time until the first byte of a stream with so many attempts.
func (p *Policy) LongestWait(attempts int) time.Duration {
	return min(time.Duration(attempts)*p.PerRequestTimeout, p.TotalTimeout)
}

// watchesIdle reports whether Weir, and not Envoy, bounds the silence inside a stream.
// Envoy's timer costs nothing, but it also runs until the first byte, so that it cannot be
// shorter than LongestWait. A configured value is met exactly; for the default it is
// enough that the effective limit is less than twice as long.
func (p *Policy) watchesIdle(attempts int) bool {
	s, wait := p.StreamIdleTimeout, p.LongestWait(attempts)
	if p.gateway.StreamIdleTimeout != 0 {
		return s < wait
	}
	return s < p.AttemptTimeout() || 2*s < wait
}
