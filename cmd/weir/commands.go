package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"
	"golang.org/x/sync/errgroup"

	"weir/demo"
	"weir/envoy"
	"weir/internal/memory"
	"weir/internal/private"
	"weir/policy"
	"weir/policy/config"
	"weir/xds"
)

func (c schemaCmd) run(sys system) error {
	_, err := io.WriteString(sys.stdout, config.Schema())
	return err
}

func (c versionCmd) run(sys system) error {
	_, err := fmt.Fprintf(sys.stdout, "weir %s (%s/%s, %s)\nenvoy %s\n", version(), runtime.GOOS, runtime.GOARCH, runtime.Version(), envoy.Version)
	return err
}

// version is the module's, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && info.Main.Version == "(devel)" {
			return s.Value
		}
	}
	return info.Main.Version
}

// fileSource reads a configuration file. An empty one would be valid; it is far
// more likely one that is being written.
func fileSource(sys system, file string) func() (policy.Source, error) {
	return func() (policy.Source, error) {
		data, err := os.ReadFile(file)
		if err == nil && len(bytes.TrimSpace(data)) == 0 {
			err = fmt.Errorf("%s: is empty (a configuration without any key is {})", file)
		}
		return policy.Source{File: file, Data: data, Getenv: sys.getenv, ReadFile: os.ReadFile, Own: thisMachine(), Check: xds.Check}, err
	}
}

func (c checkCmd) run(sys system) error {
	src, err := fileSource(sys, c.Config)()
	if err != nil {
		return err
	}
	p, problems := policy.Load(src)
	for _, problem := range problems {
		fmt.Fprintln(sys.stdout, problem)
	}
	count := len(problems)
	if count == 0 {
		if err := checkOpenFiles(p); err != nil {
			fmt.Fprintf(sys.stdout, "%s: %v\n", c.Config, err)
			count = 1
		}
	}
	if count > 0 {
		fmt.Fprintf(sys.stderr, "weir: %s: %s\n", c.Config, counted(count, "problem"))
		return errReported
	}
	for _, warning := range p.Warnings(time.Now()) {
		fmt.Fprintln(sys.stderr, "warning:", warning)
	}
	if c.Print {
		enc := yaml.NewEncoder(sys.stdout)
		enc.SetIndent(2)
		return errors.Join(enc.Encode(p.Effective()), enc.Close())
	}
	_, err = fmt.Fprintf(sys.stdout, "%s: ok\n", c.Config)
	return err
}

// checkOpenFiles returns an error if the configured limits of open files and
// connections cannot fit together, with as few workers as possible. Without
// limits.open_files, that depends on the machine.
func checkOpenFiles(p *policy.Policy) error {
	if p.Limits.OpenFiles == 0 {
		return nil
	}
	_, err := envoy.Divide(p.Limits.OpenFiles, max(p.Config.Envoy.Concurrency, 1), p.Limits.MaxClientConnections)
	return err
}

// counted gives "1 problem", "2 problems".
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

func (c bootstrapCmd) run(sys system) error {
	socket, first := c.Socket, &policy.Policy{Config: &config.Config{}}
	if c.Config != "" {
		src, err := fileSource(sys, c.Config)()
		if err != nil {
			return err
		}
		p, problems := policy.Load(src)
		if len(problems) > 0 {
			return problems
		}
		socket, first = cmp.Or(socket, p.Config.Envoy.Socket), p
	}
	openFiles := cmp.Or(c.OpenFiles, first.Limits.OpenFiles, config.DefaultOpenFiles)
	share, err := envoy.Divide(openFiles, cmp.Or(first.Config.Envoy.Concurrency, elsewhereWorkers), first.Limits.MaxClientConnections)
	if err != nil {
		return err
	}
	yaml, err := envoy.Bootstrap(envoy.BootstrapOptions{
		NodeID: c.Node, Socket: cmp.Or(socket, defaultSocket(sys)), AdminAddress: c.EnvoyAdmin,
		MaxConnections: share.Clients, MaxHeap: cmp.Or(c.EnvoyHeapBytes, first.EnvoyHeapBytes),
	})
	if err != nil {
		return err
	}
	_, err = sys.stdout.Write(yaml)
	return err
}

// elsewhereWorkers is the assumed number of threads of an Envoy that Weir does
// not start, unless envoy.concurrency is set.
const elsewhereWorkers = 32

func (c serveCmd) run(ctx context.Context, sys system) error {
	g := newGateway(sys, c.logger(sys), fileSource(sys, c.Config))
	g.configFile, g.listenOverride, g.adminOverride = c.Config, given(c.Listen), c.Admin
	first, err := g.load(nil)
	if err != nil {
		return err
	}
	memoryOf(first, memory.Available(), false).limitWeir(sys)
	if _, err := envoy.RaiseOpenFiles(); err != nil {
		g.log.Warn("the limit of open files stays as it is", "reason", err)
	}
	openFiles := cmp.Or(first.Limits.OpenFiles, config.DefaultOpenFiles)
	g.share, err = envoy.Divide(openFiles, cmp.Or(first.Config.Envoy.Concurrency, elsewhereWorkers), first.Limits.MaxClientConnections)
	if err != nil {
		return err
	}
	socket := cmp.Or(c.Socket, first.Config.Envoy.Socket, defaultSocket(sys))
	if g.users, err = private.ParseUsers(first.Config.Envoy.Users); err != nil {
		return fmt.Errorf("envoy.users: %w", err)
	}
	if err := socketFolder(socket, g.users); err != nil {
		return err
	}
	return g.run(ctx, first, socket, func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	})
}

func (c runCmd) run(ctx context.Context, sys system) error {
	log := c.logger(sys)
	services, stop := context.WithCancel(ctx)
	defer stop()
	var extra errgroup.Group // the demo provider

	source := fileSource(sys, c.Config)
	var found *quickstart
	if c.Config == "" {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		extra.Go(func() error { return serveHTTP(services, listener, demo.Handler()) })
		found = lookAround(ctx, sys, listener.Addr().String())
		source = found.source
	}
	g := newGateway(sys, log, source)
	g.configFile, g.listenOverride, g.adminOverride = c.Config, given(c.Listen), c.Admin
	first, err := g.load(nil)
	if err != nil {
		return err
	}
	sockets, err := g.sockets(first)
	if err != nil {
		return err
	}
	if err := free(sockets); err != nil {
		return err
	}
	path, err := envoy.Find(ctx, envoy.FindOptions{Path: cmp.Or(c.Envoy, first.Config.Envoy.Path), Getenv: sys.getenv, Log: log})
	if err != nil {
		return err
	}
	openFiles, share, err := shareFiles(first)
	if err != nil {
		return err
	}
	g.share = share
	dir, err := private.TempDir("weir-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "weir.sock")
	m := memoryOf(first, memory.Available(), true)
	m.limitWeir(sys)
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapOptions{
		NodeID: "weir-run", Socket: socket, AdminSocket: filepath.Join(dir, "envoy.sock"),
		MaxConnections: g.share.Clients, MaxHeap: m.envoyHeap,
	})
	if err != nil {
		return err
	}
	if found != nil {
		g.onReady = func(address string) { fmt.Fprint(sys.stdout, found.welcome(address)) }
	}
	g.process = newEnvoyProcess(g, path)
	g.envoyLimits.follow(envoy.NewAdmin(filepath.Join(dir, "envoy.sock")), g.process.current)
	// Not in the function below, which would keep the first policy for ever.
	run := envoy.Config{
		Path: path, Bootstrap: bootstrap, Dir: dir,
		Concurrency: first.Config.Envoy.Concurrency, LogLevel: first.Config.Envoy.LogLevel,
		DrainTime: first.ShutdownTimeout, LogFlush: xds.LogFlush, Now: g.now, Log: log.With("from", "envoy"),
		Started: g.process.started, Died: func(cause error, wait time.Duration) { g.process.dead(cause, wait); g.peers.Reset() }, Served: g.everReady.Load,
	}
	err = g.run(ctx, first, socket, func(ctx context.Context) error {
		log.Info("connections fit the open files", "open_files", openFiles, "clients", share.Clients, "providers", share.Providers)
		log.Info("memory is limited", "envoy_heap_bytes", m.envoyHeap, "go_memory_bytes", m.weir)
		return envoy.Run(ctx, run)
	})
	stop()
	return errors.Join(err, extra.Wait())
}

// shareFiles raises the limit of open files and divides what an Envoy of ours
// may have, which it returns first.
func shareFiles(first *policy.Policy) (openFiles int, share envoy.Share, err error) {
	openFiles, err = envoy.RaiseOpenFiles()
	if err != nil {
		return 0, envoy.Share{}, err
	}
	if wanted := first.Limits.OpenFiles; wanted > openFiles {
		return 0, envoy.Share{}, fmt.Errorf("limits.open_files: %d open files are configured, but this process may have only %d: raise its hard limit (ulimit -Hn, LimitNOFILE), or lower limits.open_files", wanted, openFiles)
	}
	openFiles = cmp.Or(first.Limits.OpenFiles, openFiles)
	share, err = envoy.Divide(openFiles, cmp.Or(first.Config.Envoy.Concurrency, runtime.NumCPU()), first.Limits.MaxClientConnections)
	return openFiles, share, err
}
