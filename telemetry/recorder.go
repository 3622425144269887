package telemetry

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/telemetry/accesslog"
	"weir/telemetry/rolling"
)

// Config configures a Recorder.
type Config struct {
	// Registerer registers the metrics.
	Registerer prometheus.Registerer
	// Rolling receives what is observed of models and keys. Its owner calls its Tick.
	Rolling *rolling.Store
	// Log receives the log lines; nil disables them.
	Log io.Writer
	// Now returns the current time.
	Now func() time.Time
}

// Recorder is an accesslog.Sink that turns records into metrics, rolling numbers and
// log lines. Its methods may be called concurrently and retain nothing of a record.
type Recorder struct {
	metrics *metrics
	rolling *rolling.Store
	log     *lines // nil: none
	now     func() time.Time
	refused refusals

	retain sync.Mutex
	gone   map[target]time.Time // what is no longer configured, and since when
}

// New returns a Recorder and registers its metrics.
func New(c Config) *Recorder {
	r := &Recorder{metrics: newMetrics(c.Registerer), rolling: c.Rolling, now: c.Now}
	if c.Log != nil {
		r.log = newLines(c.Log, r.metrics.dropped)
	}
	return r
}

// Run writes log lines until ctx is done. Close writes what is left then.
func (r *Recorder) Run(ctx context.Context) error {
	if r.log == nil {
		<-ctx.Done()
		return nil
	}
	return r.log.run(ctx)
}

// Close writes the remaining lines; later ones are dropped. It returns an error if the
// writer has not taken them within two seconds: they are lost when the process ends.
func (r *Recorder) Close() error {
	if r.log == nil {
		return nil
	}
	r.reportRest(true)
	return r.log.close(time.After(lastWrite))
}

// Sweep writes lines that report how many lines were suppressed, where no later line
// has reported it. Call it about once a second.
func (r *Recorder) Sweep() {
	if r.log != nil {
		r.reportRest(false)
	}
}

func (r *Recorder) reportRest(last bool) {
	now := r.now()
	r.refused.rest(now, last, func(why reason, n int) { r.log.suppressed(now, why, n) })
}

// Attempt records an attempt.
func (r *Recorder) Attempt(a *accesslog.Attempt) {
	m := r.metrics
	m.attemptRecords.Inc()
	outcome := a.Cause
	if outcome == "" {
		outcome = "ok"
	}
	m.attempts.get(labels{a.Provider, a.ModelLabel, outcome}).Inc()
	if a.Cause != "" && !a.Final {
		m.failovers.get(labels{a.Provider, a.Cause}).Inc()
	}
	if a.ConnectFailure != "" {
		m.unconnected.get(labels{a.Provider, a.ConnectFailure}).Inc()
	}
	r.observe(a)
	if r.log != nil {
		r.log.attempt(a)
	}
}

// observe updates the rolling numbers. Models that are not configured have none.
func (r *Recorder) observe(a *accesslog.Attempt) {
	o, ok := outcomeOf(a)
	if !ok && a.Status == 0 {
		return
	}
	now := r.now()
	if ok && a.Provider != "" && a.ModelLabel != "" && a.ModelLabel != accesslog.OtherLabel {
		r.rolling.Model(a.Provider, a.ModelLabel).Observe(now, o)
	}
	if a.ProviderKey == "" {
		return
	}
	k := r.rolling.Key(a.ProviderKey)
	if ok {
		k.Observe(now, o.Class)
	}
	if q, ok := a.Quota.Quota(a.Status, now); ok {
		k.Quota(now, rolling.Quota(q))
	}
}

// outcomeOf returns what an attempt shows about its provider, and false if it shows
// nothing. If the client left, it shows only the time to the first token, if there was
// one.
func outcomeOf(a *accesslog.Attempt) (rolling.Outcome, bool) {
	o := rolling.Outcome{Upstream: a.Duration}
	if a.Stream {
		o.FirstToken = a.FirstByte
	}
	switch a.Cause {
	case "":
	case accesslog.CauseClientGone:
		o.Upstream = 0
		return o, a.Status >= 200 && a.Status < 300
	case accesslog.CauseTimeout:
		o.Class = rolling.Timeout
	case accesslog.CauseRateLimit:
		o.Class = rolling.RateLimit
	case accesslog.CauseAuth, accesslog.CauseStatus4xx:
		o.Class = rolling.Client
	default:
		o.Class = rolling.Server
	}
	return o, true
}

// Request records a request.
func (r *Recorder) Request(q *accesslog.Request) {
	m := r.metrics
	m.requestRecords.Inc()
	m.requests.get(labels{q.Operation, statusClass(q.Status), q.Code}).Inc()
	if q.ClientGone {
		m.clientGone.Inc()
	}
	if q.Provider != "" {
		m.served(q)
	}
	if r.log == nil {
		return
	}
	suppressed := 0
	if unknownSender(q) {
		var ok bool
		if suppressed, ok = r.refused.take(q, r.now()); !ok {
			m.suppressed.Inc()
			return
		}
	}
	r.log.request(q, suppressed)
}

// served records a request that reached a provider.
func (m *metrics) served(q *accesslog.Request) {
	l := labels{q.Operation, q.Provider, q.AskedLabel, q.ModelLabel}
	with := func(last string) labels { l := l; l[4] = last; return l }

	errorType := q.Cause
	if errorType == "" {
		errorType = q.Code
	}
	m.duration.get(with(errorType)).Observe(q.Duration.Seconds())
	if q.Stored {
		return // no tokens
	}

	// A response that began used tokens, whichever side ended it.
	responded := q.Status >= 200 && q.Status < 300 && q.Code == ""
	t := &q.Tokens
	count := func(kind string, n int64, estimated bool) {
		if estimated {
			m.estimated.get(labels{q.Provider, q.Operation, kind}).Add(float64(n))
		} else {
			m.tokens.get(with(kind)).Observe(float64(n))
		}
	}
	if t.Known {
		count("input", t.Input, t.InputEstimated)
		if t.OutputKnown {
			count("output", t.Output, t.OutputEstimated)
		}
	}
	if responded && (!t.Known || t.Estimated()) {
		m.unknown.get(labels{q.Provider, q.Operation}).Inc()
	}

	if q.Truncated {
		m.truncated.get(labels{q.Provider, q.Operation}).Inc()
	}

	if !responded || !q.Stream || q.FirstByte <= 0 || errorType != "" && errorType != accesslog.CauseClientGone && errorType != accesslog.CauseTruncated {
		return
	}
	m.firstToken.get(l).Observe(q.FirstByte.Seconds())
	if errorType == "" && t.Known && !t.OutputEstimated && t.Output > 1 && q.LastByte > q.FirstByte {
		m.perToken.get(l).Observe((q.LastByte - q.FirstByte).Seconds() / float64(t.Output-1))
	}
}
