package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"weir/admin"
	"weir/envoy"
	"weir/extproc"
	"weir/extproc/wire"
	"weir/internal/memory"
	"weir/internal/private"
	"weir/policy"
	"weir/policy/config"
	"weir/xds"
)

// elsewhereWorkers is the assumed number of worker threads of an Envoy that Weir does
// not start, unless envoy.concurrency is set.
const elsewhereWorkers = 32

// ElsewhereShare divides the file descriptors of an Envoy that Weir does not start.
// openFiles overrides the configuration, unless it is 0.
func ElsewhereShare(p *policy.Policy, openFiles int) (envoy.Share, error) {
	openFiles = cmp.Or(openFiles, p.Limits.OpenFiles, config.DefaultOpenFiles)
	return envoy.Divide(openFiles, cmp.Or(p.Config.Envoy.Concurrency, elsewhereWorkers), p.Limits.MaxClientConnections)
}

// Serve runs the gateway for existing Envoys until it is asked to stop. socket is where
// they connect; if it is empty, the configured one or DefaultSocket.
func (g *Gateway) Serve(ctx context.Context, socket string) error {
	loaded, err := g.loader.load(configuration{})
	if err != nil {
		return err
	}
	first := loaded.Policy
	memoryOf(first, memory.Available(), false).limitWeir(g.options.SetMemoryLimit)
	if g.publisher.share, err = ElsewhereShare(first, 0); err != nil {
		return err
	}
	if socket != "" {
		g.overridden = append(g.overridden, "envoy.socket")
	}
	socket = cmp.Or(socket, first.Config.Envoy.Socket, DefaultSocket(g.options.Getenv))
	users, err := private.ParseUsers(first.Config.Envoy.Users)
	if err != nil {
		return fmt.Errorf("envoy.users: %w", err)
	}
	if err := socketFolder(socket, users); err != nil {
		return err
	}
	return g.run(ctx, loaded, socket, users, func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	})
}

// run serves until it is asked to stop. beside runs next to the services and returns
// when its context ends. Only then do the services end: what beside runs (an Envoy that
// drains) still needs them.
func (g *Gateway) run(ctx context.Context, loaded configuration, socket string, users private.Users, beside func(context.Context) error) error {
	first := loaded.Policy
	listener, err := listenForEnvoy(socket, users, g.log, g.registry)
	if err != nil {
		return err
	}
	operators, err := net.Listen("tcp", g.addresses.forOperators(first.AdminListen))
	if err != nil {
		return errors.Join(fmt.Errorf("admin: %w", err), listener.Close())
	}
	bound := operators.Addr().String()
	g.addresses.operators.Store(&bound)
	sockets, err := g.addresses.sockets(first)
	if err == nil {
		err = g.adopt(ctx, loaded)
	}
	if err != nil {
		return errors.Join(err, listener.Close(), operators.Close())
	}
	g.log.Info("weir started", "socket", listener.Addr().String(), "admin", operators.Addr().String(), "listen", written(sockets), "config", g.options.ConfigFile, "version", first.Version)

	if g.observer, err = newObserver(g, first); err != nil {
		return errors.Join(fmt.Errorf("telemetry.access_log: %w", err), listener.Close(), operators.Close())
	}
	defer g.observer.close()
	server := g.grpcServer()
	services, endServices := context.WithCancel(ctx)
	work, endWork := context.WithCancel(services)
	defer endServices()
	defer endWork()

	group, services := errgroup.WithContext(services)
	for _, service := range g.options.Services {
		group.Go(func() error { return service(services) })
	}
	group.Go(func() error { return server.Serve(listener) })
	group.Go(func() error { return ServeHTTP(services, operators, admin.Handler(g, g.registry)) })
	group.Go(func() error { return g.announce(work) })
	group.Go(func() error { return giveBack(work) })
	group.Go(func() error { return g.observer.run(services) })
	group.Go(func() error { return g.observer.recorder.Run(services) })
	group.Go(func() error { return g.envoyLimits.run(services) })
	group.Go(func() error { return g.observer.reopens(services, g.options.Reopen) })
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

// signals ends work when the gateway is asked to stop.
func (g *Gateway) signals(ctx context.Context, endWork func()) error {
	select {
	case <-ctx.Done():
		return nil
	case s := <-g.options.Stop:
		g.log.Info("stopping: running requests may finish; send the signal again to stop at once", "signal", s.String())
		g.stopping.asked.Store(true)
		endWork()
	}
	select {
	case <-ctx.Done():
	case <-g.options.Stop:
		close(g.stopping.now)
	}
	return nil
}

// announce reports that the gateway is ready, once.
func (g *Gateway) announce(ctx context.Context) error {
	if g.firstServed(ctx) != nil {
		return nil // stopped before
	}
	g.everServed.Store(true)
	sockets, err := g.addresses.sockets(g.current.Load())
	if err != nil {
		return err
	}
	g.log.Info("ready", "listen", written(sockets))
	freeMemory()
	if g.options.OnReady != nil {
		g.options.OnReady(Addresses{Listen: texts(sockets), Admin: *g.addresses.operators.Load()})
	}
	return nil
}

// grpcServer returns the server for everything between Envoy and Weir. It is served on
// one socket.
func (g *Gateway) grpcServer() *grpc.Server {
	// The largest body that any configuration allows, with its plan; Envoy
	// enforces the limit of the current one.
	options := append(wire.ServerOptions(config.MaxMaxBodyBytes+8<<20),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: envoy.KeepaliveInterval / 2, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
	)
	server := grpc.NewServer(options...)
	g.publisher.server.Register(server)
	g.observer.receiver.Register(server)
	g.peers.Register(server)
	wire.Register(server, extproc.New(g.current.forRequest, g.log, extproc.NewMetrics(g.registry), g.admission.limiter, g.admission.reached, g.book, g.health, g.credentials.Of))
	return server
}

// stopServer waits for decisions that are being made. Discovery streams never end by
// themselves, so the wait is bounded.
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

// ServeHTTP serves until ctx ends.
func ServeHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
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

// firstServed waits until an Envoy has everything that the first configuration needs.
// It logs an Envoy's rejection; a change of the file may correct that.
func (g *Gateway) firstServed(ctx context.Context) error {
	var told string
	for {
		var refused *xds.Rejected
		err := g.publisher.server.Wait(ctx, func(nodes []xds.NodeStatus) bool {
			refused = g.publisher.server.Rejection()
			return g.publisher.served(nodes) || refused != nil && refused.Error() != told
		})
		if err != nil {
			return err
		}
		if g.publisher.served(g.publisher.server.Nodes()) {
			g.status.currentServed()
			return nil
		}
		told = refused.Error()
		problems := g.publisher.located(g.current.load().Loaded, refused)
		g.log.Error("configuration rejected by envoy: not ready until it is corrected", "config", g.options.ConfigFile, "reason", problems)
		g.status.currentRefused(problems)
	}
}
