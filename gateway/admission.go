package gateway

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"weir/extproc"
	"weir/extproc/admit"
	"weir/policy"
	"weir/telemetry/limits"
)

// admission limits how many requests run and how many bytes their bodies hold.
type admission struct {
	limiter *admit.Limiter
	reached *extproc.Reached
	// refreshed is what was in use at the last refresh.
	refreshed atomic.Pointer[admit.Usage]
}

func newAdmission(r *limits.Registry, registry prometheus.Registerer) *admission {
	a := &admission{limiter: admit.New()}
	a.reached = extproc.NewReached(r, a.usage)
	registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_requests_running", Help: "Requests that have been accepted and have not ended.",
		}, func() float64 { return float64(a.usage().Requests) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_requests_waiting", Help: "Requests that wait because a limit is reached.",
		}, func() float64 { return float64(a.usage().Waiting) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "weir_requests_lost_total", Help: "Requests that are no longer counted as running because Envoy has not reported them for 6 seconds.",
		}, func() float64 { return float64(a.usage().Lost) }),
	)
	return a
}

// usage returns what was in use at the last refresh, for metrics.
func (a *admission) usage() admit.Usage {
	if u := a.refreshed.Load(); u != nil {
		return *u
	}
	return admit.Usage{}
}

// refresh reads what is in use. It walks every access key with running requests,
// so a scrape does it once.
func (a *admission) refresh() {
	u := a.limiter.Usage()
	a.refreshed.Store(&u)
}

// adopt applies the limits of a policy. Running requests still count.
func (a *admission) adopt(p *policy.Policy) {
	a.reached.SetValues(p.Limits)
	a.limiter.Configure(admit.Settings{Total: admit.Limits(p.Limits.Total), MaxWait: p.Limits.MaxWait})
}

// Running records that a request is running.
func (a *admission) Running(id, keyID, clientIP string, bodyBytes int64) {
	a.limiter.Running(admit.Request{ID: id, Subject: policy.Subject(keyID, clientIP), BodyBytes: bodyBytes})
}

// Ended records that a request has ended.
func (a *admission) Ended(id string) { a.limiter.Ended(id) }
