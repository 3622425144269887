package gateway

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"weir/extproc/admit"
	"weir/extproc/peers"
	"weir/gateway/retire"
	"weir/policy"
	"weir/telemetry"
	"weir/telemetry/accesslog"
	"weir/telemetry/health"
	"weir/telemetry/rolling"
)

// observer makes metrics, log lines and rolling numbers of what Envoy reports.
type observer struct {
	// These are from the first configuration. Later ones do not change them.
	accessLog string

	rolling  *rolling.Store
	current  *current
	recorder *telemetry.Recorder
	receiver *accesslog.Receiver
	limiter  *admit.Limiter
	events   *slog.Logger
	file     *telemetry.File // nil if the log is not a file
}

// newObserver opens the access log. The first configuration determines where it goes,
// and the rolling window.
func newObserver(g *Gateway, first *policy.Policy) (*observer, error) {
	o := &observer{accessLog: first.AccessLog, rolling: g.numbers.of(first.Window), limiter: g.admission.limiter, current: &g.current, events: g.log}
	var out io.Writer
	switch first.AccessLog {
	case "off":
	case "stdout":
		out = g.options.Stdout
	case "stderr":
		out = g.options.Stderr
	default:
		file, err := telemetry.OpenFile(first.AccessLog)
		if err != nil {
			return nil, err
		}
		out, o.file = file, file
	}
	o.recorder = telemetry.New(telemetry.Config{Registerer: g.registry, Rolling: o.rolling, Log: out, Now: time.Now})
	o.receiver = accesslog.New(sinks{o.recorder, g.health, g.envoyLimits, g.peers}, running{g.admission, g.book}, func() accesslog.Names { return g.current.Load() })
	return o, nil
}

// adopted drops the numbers of what a policy no longer has. It does nothing before the
// start.
func (o *observer) adopted(p *policy.Policy) {
	if o == nil {
		return
	}
	o.rolling.Retain(p.HasModel, p.HasProviderKey)
	o.recorder.Retain(func(provider, model string) bool {
		return p.HasProvider(provider) && (model == "" || p.HasModel(provider, model))
	})
}

// run advances the numbers until ctx ends.
func (o *observer) run(ctx context.Context) error {
	ticks := time.NewTicker(o.rolling.Interval())
	defer ticks.Stop()
	sweeps := time.NewTicker(time.Second)
	defer sweeps.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticks.C:
			o.rolling.Tick(now)
			if m := o.current.load().measured; m != nil {
				m.renew()
			}
		case <-sweeps.C:
			o.receiver.Sweep()
			o.recorder.Sweep()
			o.limiter.Tick()
		}
	}
}

// reopens opens the log file again on request, until ctx ends: log rotation moves it
// away. If that fails, lines still go to the open file.
func (o *observer) reopens(ctx context.Context, asked <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-asked:
		}
		if o.file == nil {
			continue
		}
		switch reopened, err := o.file.Reopen(); {
		case err != nil:
			o.events.Error("access log cannot be opened again: lines go on to the file that is open", "path", o.accessLog, "reason", err)
		case reopened:
			o.events.Info("access log opened again", "path", o.accessLog)
		}
	}
}

// close writes the rest of the log.
func (o *observer) close() {
	o.receiver.Flush()
	if err := o.recorder.Close(); err != nil {
		o.events.Error("access log lines are lost", "error", err)
	}
	if o.file != nil {
		_ = o.file.Close()
	}
}

// sinks take what Envoy reports: an accesslog.Sink.
type sinks struct {
	recorder *telemetry.Recorder
	health   *health.Tracker
	limits   *envoyLimits
	peers    *peers.Limiter
}

func (s sinks) Attempt(a *accesslog.Attempt) {
	s.recorder.Attempt(a)
	s.health.Attempt(a)
}

func (s sinks) Request(r *accesslog.Request) {
	s.recorder.Request(r)
	s.limits.request(r)
}

// Disconnected implements accesslog.Disconnects.
func (s sinks) Disconnected(ip string, port int) {
	if addr, err := netip.ParseAddr(ip); err == nil {
		s.peers.Closed(peers.Canonical(netip.AddrPortFrom(addr, uint16(port))))
	}
}

func (s sinks) Responding(cluster, key, model string, began time.Time) {
	s.health.Responding(cluster, key, model, began)
}

// running follows the requests that run: an accesslog.Follower.
type running struct {
	*admission
	book *retire.Book
}

func (r running) Running(id, keyID, clientIP string, bodyBytes int64) {
	r.admission.Running(id, keyID, clientIP, bodyBytes)
	r.book.Running(id)
}

func (r running) Ended(id string) {
	r.admission.Ended(id)
	r.book.Done(id)
}

func (r running) Begun(id string) { r.book.Done(id) }
