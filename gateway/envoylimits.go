package gateway

import (
	"context"
	"strings"
	"sync"
	"time"

	"weir/envoy"
	"weir/telemetry/accesslog"
	"weir/telemetry/limits"
)

// envoyLimits counts what Envoy refuses because of a limit on connections or on its
// heap. Requests are reported in Envoy's access log. Connections are only in the counters
// of Envoy's admin interface, which Weir reads from the Envoy that it runs.
type envoyLimits struct {
	clients, providers, waiting, heap *limits.Counter

	mu    sync.Mutex
	admin *envoy.Admin // nil if this gateway runs no Envoy
	pid   func() int
	of    int // the process whose counters are seen
	seen  map[*limits.Counter]uint64
	last  time.Time // when the counters were read
}

const (
	// limitsInterval is how often the counters are read.
	limitsInterval = 10 * time.Second
	// limitsRest is the shortest time between two reads of the counters.
	limitsRest = 500 * time.Millisecond
	// limitsTimeout bounds one read.
	limitsTimeout = 2 * time.Second
	// limitCounters are the counters that are read.
	limitCounters = `^listener\..*\.downstream_(global_cx_overflow|cx_overload_reject)$|^cluster\..*\.upstream_cx_overflow$`
)

func newEnvoyLimits(r *limits.Registry) *envoyLimits {
	return &envoyLimits{
		clients: r.Register(limits.Limit{
			Name:   "client_connections",
			Advice: "raise the limit of open files (ulimit -Hn, LimitNOFILE) or limits.max_client_connections, lower limits.client_idle_timeout, or limit connections per address",
		}),
		providers: r.Register(limits.Limit{
			Name:   "provider_connections",
			Advice: "requests wait for a connection to a provider: raise limits.max_provider_connections or the limit of open files (ulimit -Hn, LimitNOFILE), or configure another provider for the model",
		}),
		waiting: r.Register(limits.Limit{
			Name:   "provider_waiting_requests",
			Advice: "requests are refused because too many wait for a connection to a provider: raise limits.max_provider_connections or the limit of open files (ulimit -Hn, LimitNOFILE), or configure another provider for the model",
		}),
		heap: r.Register(limits.Limit{
			Name:   "envoy_heap",
			Advice: "requests are refused because Envoy's memory is nearly full: raise limits.envoy_heap_bytes if the machine has more memory, or lower max_body_bytes, limits.max_requests and limits.max_buffered_body_bytes",
		}),
		seen: map[*limits.Counter]uint64{},
	}
}

// adopt sets the limits of a policy: connections of clients, and connections to one
// host of a provider.
func (e *envoyLimits) adopt(clients, perHost int) {
	e.clients.SetValue(int64(clients))
	e.providers.SetValue(int64(perHost))
	e.waiting.SetValue(int64(perHost))
}

// follow makes read use the admin interface of an Envoy. pid returns its process id, or
// 0 if it is not running: the counters of a new process begin at zero.
func (e *envoyLimits) follow(admin *envoy.Admin, pid func() int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.admin, e.pid = admin, pid
}

func (e *envoyLimits) request(r *accesslog.Request) {
	if r.Cause == accesslog.CauseOverloaded {
		e.waiting.Hit()
	}
	if r.HeapFull {
		e.heap.Hit()
	}
}

// run reads the counters until ctx ends.
func (e *envoyLimits) run(ctx context.Context) error {
	tick := time.NewTicker(limitsInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			e.read(ctx)
		}
	}
}

// read adds what the counters have grown by. If Envoy does not respond, it adds nothing.
func (e *envoyLimits) read(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.admin == nil || time.Since(e.last) < limitsRest {
		return
	}
	defer func() { e.last = time.Now() }()
	pid := e.pid()
	if pid == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limitsTimeout)
	defer cancel()
	counters, err := e.admin.Counters(ctx, limitCounters)
	if err != nil || e.pid() != pid {
		return
	}
	if pid != e.of {
		e.of = pid
		clear(e.seen)
	}
	now := map[*limits.Counter]uint64{}
	for name, value := range counters {
		switch {
		case strings.HasSuffix(name, ".downstream_global_cx_overflow"):
			now[e.clients] += value
		case strings.HasSuffix(name, ".downstream_cx_overload_reject"):
			now[e.heap] += value
		default:
			now[e.providers] += value
		}
	}
	for counter, value := range now {
		// The counters of a removed cluster no longer exist.
		if before := e.seen[counter]; value > before {
			counter.Add(value - before)
		}
		e.seen[counter] = value
	}
}
