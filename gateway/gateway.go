// Package gateway is the running product. It loads a configuration, publishes its
// resources to Envoys, adopts it for new requests, and retires what only the previous
// configuration needed. It starts and ends what runs in the process.
//
// It makes no decisions about requests: package policy compiles a configuration and
// plans requests, xds builds Envoy's resources, and extproc replies to Envoy. It changes
// no setting of its process: signals, limits and output belong to its caller.
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

// Addresses are the sockets of a gateway, as host:port.
type Addresses struct {
	Listen []string // for clients
	Admin  string   // for operators
}

// Options configure a gateway.
type Options struct {
	Log *slog.Logger
	// Source reads the configuration. It is called again for each reload.
	Source func() (policy.Source, error)
	// ConfigFile is the name of what Source reads, for messages. With Watch, the
	// gateway reloads when that file changes, or a file that it names.
	ConfigFile string
	Watch      bool
	// Listen and Admin override the addresses of the configuration.
	Listen []string
	Admin  string
	Getenv func(string) string
	// Stdout and Stderr receive the access log if it is configured to go there.
	Stdout, Stderr io.Writer

	// OpenFiles is the number of files that an Envoy started by Run may open: see
	// envoy.RaiseOpenFiles. SetMemoryLimit, unless it is nil, is called at the start with
	// Weir's soft memory limit in bytes: see debug.SetMemoryLimit.
	OpenFiles      int
	SetMemoryLimit func(bytes int64)

	// Stop asks for a graceful stop, and the second time for an immediate one. Reload
	// asks to read the configuration again, Reopen to open the log file again.
	Stop, Reload, Reopen <-chan os.Signal

	// Services run until Envoy has stopped. They must return when their context ends.
	Services []func(context.Context) error
	// OnReady is called once, when an Envoy serves the current configuration.
	OnReady func(Addresses)
}

// Gateway is the running product. Its parts follow the stages of a configuration:
//
//	loader      reads it and compiles it to a policy         (load.go, watch.go)
//	publisher   sends the policy's resources to every Envoy  (publish.go)
//	current     is the policy and the keys of new requests   (current.go, adopt.go, reload.go)
//	book        knows what requests need of replaced ones    (retire.go)
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
	// fixed are the fields that are not reloaded, except for those that a flag overrides.
	fixed      []fixedField
	overridden []string
	// credentials are those of other policies that requests in flight may carry.
	credentials *retire.Credentials

	// What is counted while requests run.
	limits      *limits.Registry
	admission   *admission
	peers       *peers.Limiter
	envoyLimits *envoyLimits
	health      *health.Tracker
	ejections   *ejections
	numbers     numbers
	observer    *observer // from the start on

	// process is the Envoy that this gateway runs; nil if it runs none.
	process *envoyProcess
	// everServed is set once an Envoy has had everything that a policy needs.
	everServed atomic.Bool
	stopping   stopping
}

// New returns a gateway that is not running.
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
	if options.Admin != "" {
		g.overridden = append(g.overridden, "admin.listen")
	}
	g.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	g.limits = limits.New(g.log, time.Now)
	g.registry.MustRegister(g.limits)
	g.envoyLimits = newEnvoyLimits(g.limits)
	g.peers = newPeers(g.limits)
	g.admission = newAdmission(g.limits, g.registry)
	g.ejections = newEjections(g.registry, g.log, &g.current, func(cluster string) []*policy.Ejection { return g.health.Ejections(cluster) })
	g.health = health.New(time.Now, g.ejections.tell)
	g.loader = newLoader(options.Source, options.ConfigFile, g.addresses)
	g.publisher = newPublisher(g.log, g.addresses)
	g.metrics = newMetrics(g.registry, &g.status, g.publisher.server.Nodes, &g.current)
	return g
}

// stopping is the state of a graceful stop.
type stopping struct {
	asked atomic.Bool
	// now is closed at the second request to stop: then nothing is waited for.
	now chan struct{}
}
