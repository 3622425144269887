// Package gateway is the running product. It loads a configuration, publishes its
// resources to Envoys, adopts it for the requests to come, and retires what the
// configuration before it needed. It owns every goroutine of the process.
//
// Decisions are made elsewhere: package policy compiles a configuration and plans
// requests, xds builds Envoy's resources, extproc answers Envoy.
package gateway

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"weir/extproc/peers"
	"weir/gateway/retire"
	"weir/policy"
	"weir/telemetry/health"
	"weir/telemetry/limits"
)

// Addresses are where a gateway is reached, as host:port.
type Addresses struct {
	Listen []string // by clients
	Admin  string   // by operators
}

// Options are what a gateway takes from outside.
type Options struct {
	Log *slog.Logger
	// Source reads the configuration. It is called again for each reload.
	Source func() (policy.Source, error)
	// ConfigFile is the name of what Source reads. With Watch, a change of that file
	// or of a file that it names is a reload.
	ConfigFile string
	Watch      bool
	// Listen and Admin take the place of the configuration's addresses.
	Listen []string
	Admin  string
	Getenv func(string) string
	// Stdout and Stderr are where an access log may go.
	Stdout, Stderr io.Writer

	// Stop asks for an orderly end, a second time for an immediate one. Reload asks
	// for the configuration to be read again, Reopen for the log file to be opened
	// again.
	Stop, Reload, Reopen <-chan os.Signal

	// Services run from the start to the end, after that of Envoy. They return when
	// their context ends.
	Services []func(context.Context) error
	// OnReady is called once, when an Envoy serves the first configuration.
	OnReady func(Addresses)
}

// Gateway is the running product. Its parts follow the stages of a configuration:
//
//	loader      reads it and compiles it to a policy      (load.go, watch.go)
//	publisher   sends its resources to every Envoy        (publish.go)
//	current     is the policy and the keys of new requests (current.go, adopt.go, reload.go)
//	book        knows what replaced policies still need   (retire.go)
type Gateway struct {
	options  Options
	log      *slog.Logger
	registry *prometheus.Registry
	metrics  *metrics
	status   status

	addresses *addresses
	loader    *loader
	publisher *publisher
	current   current
	reloading reloading
	book      *retire.Book
	// credentials are those that requests in flight may carry.
	credentials *retire.Credentials

	// What is counted while requests run, and what follows from it.
	limits      *limits.Registry
	admission   *admission
	peers       *peers.Limiter
	envoyLimits *envoyLimits
	health      *health.Tracker
	ejections   *ejections
	observer    *observer // from the start on

	// process is the Envoy that this gateway runs; nil if it runs none.
	process *envoyProcess
	// everServed is set once an Envoy had what the current policy needs.
	everServed atomic.Bool
	stopping   stopping
}

// New returns a gateway that does not run yet.
func New(options Options) *Gateway {
	g := &Gateway{
		options: options, log: options.Log,
		registry:    prometheus.NewRegistry(),
		addresses:   newAddresses(options.Listen, options.Admin),
		reloading:   reloading{changed: make(chan struct{}, 1)},
		book:        retire.New(time.Now),
		credentials: retire.NewCredentials(time.Now),
		stopping:    stopping{now: make(chan struct{})},
	}
	g.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	g.limits = limits.New(g.log, time.Now)
	g.registry.MustRegister(g.limits)
	g.envoyLimits = newEnvoyLimits(g.limits)
	g.peers = newPeers(g.limits)
	g.admission = newAdmission(g.limits, g.registry)
	g.ejections = newEjections(g.registry, g.log, &g.current, func(cluster string) []*policy.Ejection { return g.health.Ejections(cluster) })
	g.health = health.New(time.Now, g.ejections.tell)
	g.loader = newLoader(options.Source, options.ConfigFile, g.addresses, g.health)
	g.publisher = newPublisher(g.log, g.addresses)
	g.metrics = newMetrics(g.registry, &g.status, g.publisher.server.Nodes, &g.current)
	return g
}

// stopping is the state of an orderly end.
type stopping struct {
	asked atomic.Bool
	// now is closed when it was asked for a second time: nothing is waited for.
	now chan struct{}
}
