package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"weir/extproc"
	"weir/extproc/admit"
	"weir/policy"
)

// admission counts running requests against their limits.
type admission struct {
	limiter *admit.Limiter
	reached *extproc.Reached
}

func newAdmission(g *Gateway) admission {
	a := admission{limiter: admit.New()}
	a.reached = extproc.NewReached(g.limits, a.limiter.Usage)
	g.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_requests_running", Help: "Requests that are being decided on or were passed on, and have not ended.",
		}, func() float64 { return float64(a.limiter.Usage().Requests) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_requests_waiting", Help: "Requests that wait for room because a limit is reached.",
		}, func() float64 { return float64(a.limiter.Usage().Waiting) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "weir_requests_lost_total", Help: "Requests that no longer count because Envoy has not reported them for 6 seconds.",
		}, func() float64 { return float64(a.limiter.Usage().Lost) }),
	)
	return a
}

// adopt goes by the limits of a policy. Requests that run go on to count.
func (a admission) adopt(p *policy.Policy) {
	a.reached.SetValues(p.Limits)
	a.limiter.Configure(admit.Settings{Total: admit.Limits(p.Limits.Total), MaxWait: p.Limits.MaxWait})
}

// Running tells of a request that goes on.
func (a admission) Running(id, keyID, clientIP string, bodyBytes int64) {
	a.limiter.Running(admit.Request{ID: id, Subject: policy.Subject(keyID, clientIP), BodyBytes: bodyBytes})
}

// Ended tells of a request that is over.
func (a admission) Ended(id string) { a.limiter.Ended(id) }
