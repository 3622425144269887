package policy

import (
	"time"

	"weir/metadata"
)

// gate says what is to be done with the answers of a plan's first attempt.
func (p *Policy) gate(req *Request, plan *Plan) metadata.Gate {
	g := metadata.Gate{
		Response: req.Endpoint.Response, Stream: plan.Stream, MayStream: plan.Stream || req.Body.MayStream,
		Strict:   p.StrictStreamEnd,
		Deadline: plan.Deadline, Attempt: plan.AttemptTimeout,
		// What is held past its timeout would be lost if that led nowhere. Over
		// HTTP/2 another response to the same client can pause this one while it
		// is held and already complete, and Envoy 1.40 crashes.
		Hold: p.ResponseGate && !req.Multiplexed && len(plan.Attempts) > 1 && (p.Failover.Reset || p.Failover.Timeout),
	}
	if p.watchesIdle(len(plan.Attempts)) {
		g.Idle = p.StreamIdleTimeout
	}
	return g
}

// LongestWait bounds the time until one of so many attempts of a stream begins
// its answer.
func (p *Policy) LongestWait(attempts int) time.Duration {
	return min(time.Duration(attempts)*p.PerRequestTimeout, p.TotalTimeout)
}

// watchesIdle says that Weir bounds the silence inside a stream. Envoy's timer,
// which costs nothing, also runs while attempts are waited for, so that it
// cannot be shorter than that. What is configured is kept to; of the default, it
// is good enough not to be twice as long.
func (p *Policy) watchesIdle(attempts int) bool {
	s, wait := p.StreamIdleTimeout, p.LongestWait(attempts)
	if p.gateway.StreamIdleTimeout != 0 {
		return s < wait
	}
	return s < p.AttemptTimeout() || 2*s < wait
}
