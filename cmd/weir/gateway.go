package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"weir/envoy"
	"weir/extproc"
	"weir/extproc/peers"
	"weir/extproc/wire"
	"weir/gateway/retire"
	"weir/internal/private"
	"weir/policy"
	"weir/policy/config"
	"weir/telemetry/health"
	"weir/telemetry/limits"
	"weir/telemetry/rolling"
	"weir/xds"
)

// gateway is the running control process: one policy in force, the control
// plane, the request path, the admin listener.
type gateway struct {
	sys    system
	log    *slog.Logger
	source func() (policy.Source, error)

	configFile     string
	listenOverride []string
	adminOverride  string
	listening      *listening
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
	// onReady is called once, with the address for clients.
	onReady func(address string)
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

func newGateway(sys system, log *slog.Logger, source func() (policy.Source, error)) *gateway {
	g := &gateway{
		sys: sys, log: log, source: source,
		ackTimeout: ackTimeout,
		inputs:     inputs{changed: make(chan struct{}, 1)},
		xds:        xds.NewServer(log),
		registry:   prometheus.NewRegistry(),
		now:        make(chan struct{}),
		changed:    make(chan struct{}, 1),
		listening:  newListening(),
		book:       retire.New(time.Now),
		past:       retire.NewCredentials(time.Now),
	}
	g.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	g.metrics = newMetrics(g)
	g.limits = limits.New(log, time.Now)
	g.registry.MustRegister(g.limits)
	g.envoyLimits = newEnvoyLimits(g.limits)
	g.peers = newPeers(g.limits)
	g.admission = newAdmission(g)
	g.ejections = newEjections(g)
	g.health = health.New(time.Now, g.ejections.tell)
	return g
}

// load reads the configuration and makes it a policy, or lists its problems. It
// gives known back, unless that is nil, where nothing changed.
func (g *gateway) load(known *policy.Policy) (*policy.Policy, error) {
	files := []string{g.configFile}
	defer func() { g.inputs.set(files) }()
	src, err := g.source()
	if err != nil {
		return nil, err
	}
	readFile := src.ReadFile
	src.ReadFile = func(name string) ([]byte, error) {
		files = append(files, name)
		return readFile(name)
	}
	if known != nil && known.MadeFrom(src) {
		return known, nil
	}
	src.Metrics, src.Health = g.numbers, g.health.Cluster
	src.Own.Listen, src.Own.Admin = g.inUse, g.adminInUse
	p, problems := policy.Load(src)
	if len(problems) > 0 {
		return nil, problems
	}
	if len(g.listenOverride) > 0 || g.adminOverride != "" {
		if err := p.CheckListen(g.listenOn(p), cmp.Or(g.adminOverride, p.AdminListen)); err != nil {
			return nil, fmt.Errorf("--listen: %w", err)
		}
	}
	return p, nil
}

// numbers are those of the whole life of the process.
func (g *gateway) numbers(window time.Duration) *rolling.Store {
	if g.rolling == nil {
		g.rolling = rolling.New(window)
	}
	return g.rolling
}

// run serves until asked to stop. beside runs next to the services and must
// return when its context ends; only then do the services end, because what it
// runs (Envoy, while it drains) still needs them.
func (g *gateway) run(ctx context.Context, first *policy.Policy, socket string, beside func(context.Context) error) error {
	if err := envoy.NoCoreDumps(); err != nil {
		g.log.Warn("a crash may leave a core dump, with keys in it", "reason", err)
	}
	listener, err := listenForEnvoy(socket, g.users, g.log, g.registry)
	if err != nil {
		return err
	}
	admin, err := net.Listen("tcp", cmp.Or(g.adminOverride, first.AdminListen))
	if err != nil {
		return errors.Join(fmt.Errorf("admin: %w", err), listener.Close())
	}
	bound := admin.Addr().String()
	g.adminBound.Store(&bound)
	sockets, err := g.sockets(first)
	if err == nil {
		err = g.adopt(ctx, first)
	}
	if err != nil {
		return errors.Join(err, listener.Close(), admin.Close())
	}
	g.log.Info("weir started", "socket", listener.Addr().String(), "admin", admin.Addr().String(), "listen", written(sockets), "config", g.configFile, "version", first.Version)

	if g.observer, err = newObserver(g, first); err != nil {
		return errors.Join(fmt.Errorf("telemetry.access_log: %w", err), listener.Close(), admin.Close())
	}
	defer g.observer.close()
	server := g.grpcServer()
	services, endServices := context.WithCancel(ctx)
	work, endWork := context.WithCancel(services)
	defer endServices()
	defer endWork()

	group, services := errgroup.WithContext(services)
	group.Go(func() error { return server.Serve(listener) })
	group.Go(func() error { return serveHTTP(services, admin, g.adminHandler()) })
	group.Go(func() error { return g.announce(work) })
	group.Go(func() error { return giveBack(work) })
	group.Go(func() error { return g.observer.run(services) })
	group.Go(func() error { return g.observer.recorder.Run(services) })
	group.Go(func() error { return g.envoyLimits.run(services) })
	group.Go(func() error { return g.observer.reopens(services, g.sys.reopen) })
	group.Go(func() error { return g.watch(work) })
	group.Go(func() error { return g.reloads(work) })
	group.Go(func() error { return g.signals(services, endWork) })
	group.Go(func() error {
		defer endServices()
		err := beside(work)
		endWork()
		stopServer(server)
		return err
	})
	return group.Wait()
}

// signals turns requests to stop into ends of contexts.
func (g *gateway) signals(ctx context.Context, endWork func()) error {
	select {
	case <-ctx.Done():
		return nil
	case s := <-g.sys.stop:
		g.log.Info("stopping: running requests may finish; once more to stop at once", "signal", s.String())
		g.draining.Store(true)
		endWork()
	}
	select {
	case <-ctx.Done():
	case <-g.sys.stop:
		g.hurry.Do(func() { close(g.now) })
	}
	return nil
}

// announce says when the first Envoy is ready.
func (g *gateway) announce(ctx context.Context) error {
	if g.firstServed(ctx) != nil {
		return nil // stopped before
	}
	g.everReady.Store(true)
	sockets, err := g.sockets(g.current.Load())
	if err != nil {
		return err
	}
	g.log.Info("ready", "listen", written(sockets))
	// The start took several times what is kept; adopt was there before Envoy.
	debug.FreeOSMemory()
	if g.onReady != nil {
		g.onReady(sockets[0].String())
	}
	return nil
}

// grpcServer carries everything between Envoy and Weir over one socket.
func (g *gateway) grpcServer() *grpc.Server {
	// The largest body that any configuration allows, with its plan; Envoy
	// holds the limit of the one in force.
	options := append(wire.ServerOptions(config.MaxMaxBodyBytes+8<<20),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: envoy.KeepaliveInterval / 2, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
	)
	server := grpc.NewServer(options...)
	g.xds.Register(server)
	g.observer.receiver.Register(server)
	g.peers.Register(server)
	wire.Register(server, extproc.New(g.current.Load, g.log, extproc.NewMetrics(g.registry), g.admission.limiter, g.admission.reached, g.book, g.past.Of))
	return server
}

// stopServer lets decisions that are being made finish. Discovery streams
// never end by themselves, so the wait is bounded.
func stopServer(server *grpc.Server) {
	finished := make(chan struct{})
	go func() {
		server.GracefulStop()
		close(finished)
	}()
	select {
	case <-finished:
	case <-time.After(time.Second):
		server.Stop()
		<-finished
	}
}

// serveHTTP serves until ctx ends.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	stop := context.AfterFunc(ctx, func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if server.Shutdown(bounded) != nil {
			_ = server.Close()
		}
	})
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
