package extproc

import (
	"time"

	"weir/extproc/admit"
	"weir/extproc/wire"
	"weir/llm"
	"weir/policy"
	"weir/telemetry/limits"
)

// retryAfter is the Retry-After of refused requests, in seconds. Room becomes free when
// another request ends, which can be at any time.
const retryAfter = 1

// Reached counts the requests that each limit refused.
type Reached struct {
	keyRequests, keyBytes, requests, bytes *limits.Counter
}

// NewReached registers the limits of running requests. usage returns how much of
// them is in use.
func NewReached(r *limits.Registry, usage func() admit.Usage) *Reached {
	return &Reached{
		keyRequests: r.Register(limits.Limit{
			Name:      "key_requests",
			InUse:     func() int64 { return int64(usage().Largest.Requests) },
			Advice:    "an access key, or a client without one, has too many requests running at once: raise limits.max_requests_per_key or the key's limits.max_requests",
			OneClient: true,
		}),
		keyBytes: r.Register(limits.Limit{
			Name:      "key_buffered_body_bytes",
			InUse:     func() int64 { return usage().Largest.BodyBytes },
			Advice:    "the request bodies of an access key, or of a client without one, are too large together: raise limits.max_buffered_body_bytes_per_key or the key's limits.max_buffered_body_bytes",
			OneClient: true,
		}),
		requests: r.Register(limits.Limit{
			Name:   "requests",
			InUse:  func() int64 { return int64(usage().Requests) },
			Advice: "too many requests run at once: raise limits.max_requests if there is memory for more, or add a gateway",
		}),
		bytes: r.Register(limits.Limit{
			Name:   "buffered_body_bytes",
			InUse:  func() int64 { return usage().BodyBytes },
			Advice: "the request bodies are too large together: raise limits.max_buffered_body_bytes if there is memory for more, or add a gateway",
		}),
	}
}

// SetValues sets the limits to those of a policy. Access keys may have their own.
func (r *Reached) SetValues(l policy.Limits) {
	r.keyRequests.SetValue(int64(l.PerKey.Requests))
	r.keyBytes.SetValue(l.PerKey.BodyBytes)
	r.requests.SetValue(int64(l.Total.Requests))
	r.bytes.SetValue(l.Total.BodyBytes)
}

// enter counts a request before its body arrives, or refuses it. gone is set if the
// client left while the request waited for room.
func (p *Processor) enter(stream *wire.Stream, x *exchange, current *policy.Policy, req *request) (slot admit.Slot, gone bool, err error) {
	own := current.LimitsOf(req.Key)
	bytes := int64(current.MaxBodyBytes) // the most that a body without a declared length can have
	if req.Length >= 0 {
		bytes = req.Length
	}
	who, subject := "this access key", ""
	if req.Key != nil {
		subject = req.Key.ID
	} else {
		who, subject = "this client", policy.Subject("", clientIP(x.in.Attribute("source.address")))
	}
	slot, reason := p.limiter.Enter(stream.Context(), admit.Request{ID: req.ID, Subject: subject, Limits: admit.Limits(own), BodyBytes: bytes})
	if reason == admit.None {
		return slot, false, nil
	}
	var refusal *llm.Error
	switch reason {
	case admit.SubjectRequests:
		p.reached.keyRequests.Hit()
		refusal = llm.Errorf(llm.RateLimit, "%s has reached its limit of %d running requests: wait until one ends", who, own.Requests)
	case admit.SubjectBodyBytes:
		p.reached.keyBytes.Hit()
		refusal = llm.Errorf(llm.RateLimit, "%s has reached its limit of %d bytes of request bodies: wait until a request ends", who, own.BodyBytes)
	case admit.TotalRequests:
		p.reached.requests.Hit()
		refusal = llm.Errorf(llm.Overloaded, "the gateway has reached its limit of running requests: try again in %s", retryAfter*time.Second)
	case admit.TotalBodyBytes:
		p.reached.bytes.Hit()
		refusal = llm.Errorf(llm.Overloaded, "the gateway has reached its limit of bytes of request bodies: try again in %s", retryAfter*time.Second)
	default:
		return slot, true, nil
	}
	refusal.RetryAfter = retryAfter
	return slot, false, refusal
}
