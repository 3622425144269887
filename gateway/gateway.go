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
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"weir/envoy"
	"weir/extproc/peers"
	"weir/gateway/retire"
	"weir/internal/private"
	"weir/policy"
	"weir/telemetry/health"
	"weir/telemetry/limits"
	"weir/telemetry/rolling"
	"weir/xds"
)

// Options are what a gateway takes from outside.
type Options struct {
	Log *slog.Logger
	// Source reads the configuration. It is called again for each reload.
	Source func() (policy.Source, error)
	// ConfigFile is the file that Source reads. It is watched, with the files that
	// it names. Empty: the configuration does not change.
	ConfigFile string
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
	// OnReady is called once, with the address for clients.
	OnReady func(address string)
}

// Gateway is the running product: one current policy, the control plane, the
// request path and the operators' listener.
type Gateway struct {
	Options
	log       *slog.Logger
	listening *listening
	// users may connect to the socket beside this one and root.
	users private.Users
	// ackTimeout bounds the wait for Envoys.
	ackTimeout time.Duration
	// share divides the descriptors of an Envoy.
	share envoy.Share

	current atomic.Pointer[policy.Policy]
	// inForce is the publication that brought the current policy.
	inForce   atomic.Uint64
	inputs    inputs
	xds       *xds.Server
	rolling   *rolling.Store // from the first configuration on
	health    *health.Tracker
	ejections *ejections
	observer  *observer
	registry  *prometheus.Registry
	metrics   *metrics
	limits    *limits.Registry
	admission admission
	status    status
	draining  atomic.Bool
	// refusedAtStart is set if an Envoy has refused the current policy and none
	// has accepted it.
	refusedAtStart atomic.Bool
	// adminBound is the address for operators, once it is bound.
	adminBound  atomic.Pointer[string]
	envoyLimits *envoyLimits
	peers       *peers.Limiter
	// everReady is set once an Envoy had what the policy in force needs.
	everReady atomic.Bool
	// process is the Envoy that this gateway runs; nil if it runs none.
	process *envoyProcess
	// now is closed when waiting has to end.
	now     chan struct{}
	hurry   sync.Once
	changed chan struct{} // a reload is wanted

	// book knows what of replaced policies is needed.
	book *retire.Book

	// retiring, kept and refused belong to the reload loop. refused is the version
	// of the configuration that an Envoy turned down last.
	// kept are the clusters that Envoys were told to keep last.
	retiring []retired
	kept     []string
	refused  string
	// past are credentials that requests in flight may carry.
	past *retire.Credentials
}

// New returns a gateway that does not run yet.
func New(options Options) *Gateway {
	g := &Gateway{
		Options: options, log: options.Log,
		ackTimeout: ackTimeout,
		inputs:     inputs{changed: make(chan struct{}, 1)},
		xds:        xds.NewServer(options.Log),
		registry:   prometheus.NewRegistry(),
		now:        make(chan struct{}),
		changed:    make(chan struct{}, 1),
		listening:  newListening(),
		book:       retire.New(time.Now),
		past:       retire.NewCredentials(time.Now),
	}
	g.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	g.metrics = newMetrics(g)
	g.limits = limits.New(g.log, time.Now)
	g.registry.MustRegister(g.limits)
	g.envoyLimits = newEnvoyLimits(g.limits)
	g.peers = newPeers(g.limits)
	g.admission = newAdmission(g)
	g.ejections = newEjections(g)
	g.health = health.New(time.Now, g.ejections.tell)
	return g
}
