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

// Config is what a Recorder is made of.
type Config struct {
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	// Rolling takes what is observed of models and keys. Whoever owns it calls
	// its Tick.
	Rolling *rolling.Store
	// Log takes the log lines; nil: none are made.
	Log io.Writer
	// Now is time.Now, or a test's.
	Now func() time.Time
}

// Recorder takes records and makes metrics, rolling numbers and log lines of
// them. Its methods may be called at the same time, and keep nothing of a
// record.
type Recorder struct {
	metrics *metrics
	rolling *rolling.Store
	log     *lines // nil: none
	now     func() time.Time
	refused refusals

	retain sync.Mutex
	gone   map[target]time.Time // what is configured no longer, since when
}

// New makes a recorder and registers its metrics.
func New(c Config) *Recorder {
	r := &Recorder{metrics: newMetrics(c.Registerer), rolling: c.Rolling, now: c.Now}
	if c.Log != nil {
		r.log = newLines(c.Log, r.metrics.dropped)
	}
	return r
}

// Run writes log lines until the context is done. What is left then is for
// Close.
func (r *Recorder) Run(ctx context.Context) error {
	if r.log == nil {
		<-ctx.Done()
		return nil
	}
	return r.log.run(ctx)
}

// Close writes the lines that are left; later ones are dropped. It waits for a
// writer that does not take them for two seconds, and then fails: they are lost
// when the process ends.
func (r *Recorder) Close() error {
	if r.log == nil {
		return nil
	}
	r.tellRest(true)
	return r.log.close(time.After(lastWrite))
}

// Sweep writes how many lines were left out of which nothing tells otherwise.
// Its owner calls it every second or so.
func (r *Recorder) Sweep() {
	if r.log != nil {
		r.tellRest(false)
	}
}

func (r *Recorder) tellRest(last bool) {
	now := r.now()
	r.refused.rest(now, last, func(why reason, n int) { r.log.suppressed(now, why, n) })
}

// Attempt takes in an attempt.
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
	r.observe(a)
	if r.log != nil {
		r.log.attempt(a)
	}
}

// observe feeds the rolling numbers. Models that are not configured have none.
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

// outcomeOf says what an attempt tells of its provider. When the client left,
// that is the first token, or nothing.
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

// Request takes in a request.
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

// served observes a request that reached a provider.
func (m *metrics) served(q *accesslog.Request) {
	l := labels{q.Operation, q.Provider, q.AskedLabel, q.ModelLabel}
	with := func(last string) labels { l := l; l[4] = last; return l }

	errorType := q.Cause
	if errorType == "" {
		errorType = q.Code
	}
	m.duration.get(with(errorType)).Observe(q.Duration.Seconds())

	// An answer that began took tokens, whoever ended it.
	answered := q.Status >= 200 && q.Status < 300 && q.Code == ""
	t := &q.Tokens
	switch {
	case t.Known:
		m.tokens.get(with("input")).Observe(float64(t.Input))
		if t.OutputKnown {
			m.tokens.get(with("output")).Observe(float64(t.Output))
		}
		if t.Cut && answered {
			m.unknown.get(labels{q.Provider, q.Operation}).Inc()
		}
	case answered:
		m.unknown.get(labels{q.Provider, q.Operation}).Inc()
	}

	if q.Truncated {
		m.truncated.get(labels{q.Provider, q.Operation}).Inc()
	}

	if !answered || !q.Stream || q.FirstByte <= 0 || errorType != "" && errorType != accesslog.CauseClientGone && errorType != accesslog.CauseTruncated {
		return
	}
	m.firstToken.get(l).Observe(q.FirstByte.Seconds())
	if errorType == "" && t.Known && t.Output > 1 && q.LastByte > q.FirstByte {
		m.perToken.get(l).Observe((q.LastByte - q.FirstByte).Seconds() / float64(t.Output-1))
	}
}
