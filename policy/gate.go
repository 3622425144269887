package policy

import (
	"time"

	"weir/metadata"
)

// gate returns what to do with the response of a plan's first attempt.
func (p *Policy) gate(req *Request, plan *Plan) metadata.Gate {
	g := metadata.Gate{
		Response: req.Endpoint.Response, Stream: plan.Stream, MayStream: plan.Stream || req.Body.MayStream,
		Strict:   plan.Attempts[0].Cluster.StrictEnd,
		Deadline: plan.Deadline, Attempt: plan.AttemptTimeout,
		// Without another attempt after a timeout or a reset, a held response would be
		// lost. Over HTTP/2, another response to the same client can pause this one
		// while it is held and complete, and Envoy 1.40 crashes.
		Hold: p.ResponseGate && !req.Multiplexed && len(plan.Attempts) > 1 && (p.Failover.Reset || p.Failover.Timeout),
	}
	for i := range plan.Attempts {
		g.Later = g.Later || plan.Stream && plan.Attempts[i].Cluster.StrictEnd
	}
	if g.Hold {
		g.Faults, g.Wider = p.Failover.Faults, plan.wider
	}
	if p.watchesIdle(plan) {
		g.Idle = plan.Attempts[0].Cluster.Idle
	}
	return g
}

// idleSlack covers the time between attempts, so that the attempt's own timeout
// fires first.
const idleSlack = 500 * time.Millisecond

// EnvoyIdle returns Envoy's idle timeout for streams of a class, from 1 to
// metadata.MaxAttempts. Envoy's timer also runs until the first byte, through all attempts,
// so a class has the time that so many attempts may take. If providers have timeouts of
// their own, the last class has the time for all of them.
func (p *Policy) EnvoyIdle(class int) time.Duration {
	if class == metadata.MaxAttempts && p.HasOwnTimeouts() {
		return max(p.longestIdle, p.TotalTimeout+idleSlack)
	}
	return max(p.StreamIdleTimeout, min(time.Duration(class)*p.PerRequestTimeout, p.TotalTimeout)+idleSlack)
}

// HasOwnTimeouts reports whether a provider has timeouts of its own.
func (p *Policy) HasOwnTimeouts() bool { return p.ownTimeouts || p.longestIdle > p.StreamIdleTimeout }

// timeouts sets the timeouts of a plan from those of its attempts.
func (p *Policy) timeouts(plan *Plan) {
	plan.AttemptTimeout, plan.Class = p.AttemptTimeout(), len(plan.Attempts)
	if !p.HasOwnTimeouts() {
		return
	}
	var longest, wait, idle time.Duration
	for i := range plan.Attempts {
		t := p.timeoutOf(&plan.Attempts[i])
		longest, wait, idle = max(longest, t), wait+t, max(idle, plan.Attempts[i].Cluster.Idle)
		plan.OwnTimeouts = plan.OwnTimeouts || plan.Attempts[i].Cluster.Timeout != 0
	}
	plan.AttemptTimeout = longest
	need := max(min(wait, p.TotalTimeout)+idleSlack, idle)
	for plan.Class = 1; plan.Class < metadata.MaxAttempts && p.EnvoyIdle(plan.Class) < need; plan.Class++ {
	}
}

// timeoutOf returns the timeout of one attempt.
func (p *Policy) timeoutOf(a *Attempt) time.Duration {
	if a.Cluster.Timeout != 0 {
		return a.Cluster.Timeout
	}
	return p.AttemptTimeout()
}

// watchesIdle reports whether Weir, and not Envoy, bounds the silence inside a stream. A
// configured value is met exactly; for the default it is enough that the effective limit is
// less than twice as long.
func (p *Policy) watchesIdle(plan *Plan) bool {
	wait := p.EnvoyIdle(plan.Class) - idleSlack
	for i := range plan.Attempts {
		s := plan.Attempts[i].Cluster.Idle
		if p.gateway.StreamIdleTimeout != 0 || s != p.StreamIdleTimeout {
			if s < wait {
				return true
			}
		} else if s < plan.AttemptTimeout || 2*s < wait {
			return true
		}
	}
	return false
}
