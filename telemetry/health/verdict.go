package health

import (
	"slices"
	"time"

	"weir/policy"
	"weir/telemetry/accesslog"
)

// verdict classifies an attempt's effect on its cluster's health.
type verdict uint8

const (
	// nothing: the client left, or the response concerns the request or its model.
	nothing verdict = iota
	success
	failure
	timeout
)

// weight returns how many failures in a row a verdict counts as. A timeout has cost a
// client more than any other failure, and a single one may be a long response.
func (v verdict) weight() int {
	if v == timeout {
		return 2
	}
	return 1
}

// judge returns the effect of an attempt on its cluster's health. A failure that does
// not lead to a further attempt is not a reason to start elsewhere. The statuses 404,
// 408, 409 and 410, all statuses that refuse the request itself, a response without
// content, and the faults of a model (llm.Fault) have no effect: another model, or another
// request, may succeed.
func judge(a *accesslog.Attempt, f policy.Failover) verdict {
	counts, v := false, failure
	switch a.Cause {
	case "":
		return success
	case accesslog.CauseClientGone:
		if a.Status >= 200 && a.Status < 300 {
			return success
		}
	case accesslog.CauseRedirect, accesslog.CauseErrorResponse, accesslog.CauseInvalidResponse:
		counts = true // the next attempt follows in any case
	case accesslog.CauseInvalidKey, accesslog.CauseRegion:
		counts = true // these were held, and the next attempt follows
	case accesslog.CauseAccount:
		counts = a.Status != 402 || slices.Contains(f.Statuses, a.Status)
	case accesslog.CauseConnectFailure:
		counts = f.ConnectFailure
	case accesslog.CauseReset:
		counts = f.Reset || f.Timeout // Envoy reports both in the same way
	case accesslog.CauseTimeout:
		v = timeout
		if counts = f.Reset || f.Timeout; a.Status >= 400 {
			counts = a.Status == 504 && slices.Contains(f.Statuses, a.Status)
		}
	case accesslog.CauseRateLimit, accesslog.CauseAuth, accesslog.CauseStatus5xx:
		counts = slices.Contains(f.Statuses, a.Status)
	}
	if !counts {
		return nothing
	}
	return v
}

// hint returns for how long after now a provider says that it will limit the rate; 0
// if it does not say.
func hint(a *accesslog.Attempt, now time.Time) time.Duration {
	if a.Cause != accesslog.CauseRateLimit {
		return 0
	}
	q, ok := a.Quota.Quota(a.Status, a.Start.Add(a.Duration))
	if !ok {
		return 0
	}
	var until time.Time
	if n := q.RemainingRequests; n != nil && *n == 0 {
		until = q.ResetRequests
	}
	if n := q.RemainingTokens; n != nil && *n == 0 && q.ResetTokens.After(until) {
		until = q.ResetTokens
	}
	return max(until.Sub(now), 0)
}
