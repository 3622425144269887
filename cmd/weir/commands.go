package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.yaml.in/yaml/v4"

	"weir/demo"
	"weir/envoy"
	"weir/gateway"
	"weir/policy"
	"weir/policy/config"
)

func (c schemaCmd) Run(sys system) error {
	_, err := io.WriteString(sys.stdout, config.Schema())
	return err
}

func (c versionCmd) Run(sys system) error {
	_, err := fmt.Fprintln(sys.stdout, versions())
	return err
}

// versions returns the versions of Weir and of the Envoy that it runs.
func versions() string {
	return fmt.Sprintf("weir %s (%s/%s, %s)\nenvoy %s", gateway.Version(), runtime.GOOS, runtime.GOARCH, runtime.Version(), envoy.Version)
}

func (c checkCmd) Run(sys system) error {
	src, err := sys.source(c.file())()
	if err != nil {
		return err
	}
	loaded, problems := gateway.Load(src, policy.Loaded{})
	p := loaded.Policy
	for _, problem := range problems {
		fmt.Fprintln(sys.stdout, problem)
	}
	count := len(problems)
	if count == 0 {
		if err := checkOpenFiles(p); err != nil {
			fmt.Fprintf(sys.stdout, "%s: %v\n", src.File, err)
			count = 1
		}
	}
	if count > 0 {
		fmt.Fprintf(sys.stderr, "weir: %s: %s\n", src.File, counted(count, "problem"))
		return exitCode(1)
	}
	for _, warning := range loaded.Warnings(time.Now()) {
		fmt.Fprintln(sys.stderr, "warning:", warning)
	}
	var file config.Config
	config.Decode(src.File, src.Data, &file)
	switch {
	case reflect.ValueOf(file).IsZero():
		fmt.Fprintf(sys.stderr, "warning: %s: configures nothing: no field has a value\n", src.File)
	case len(p.Clusters) == 0:
		fmt.Fprintf(sys.stderr, "warning: %s: no provider can serve requests: list one under providers, with a key if it needs one\n", src.File)
	}
	if c.Print {
		effective := p.Effective()
		effective.AccessKeys = file.AccessKeys
		enc := yaml.NewEncoder(sys.stdout)
		enc.SetIndent(2)
		return errors.Join(enc.Encode(effective), enc.Close())
	}
	_, err = fmt.Fprintf(sys.stdout, "%s: ok\n", src.File)
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

// counted returns "1 problem", "2 problems".
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

func (c bootstrapCmd) Run(sys system) error {
	socket, first := c.Socket, &policy.Policy{Config: &config.Config{}}
	if c.Config != "" {
		src, err := sys.source(c.Config)()
		if err != nil {
			return err
		}
		loaded, problems := gateway.Load(src, policy.Loaded{})
		if len(problems) > 0 {
			return problems
		}
		first = loaded.Policy
		socket = cmp.Or(socket, first.Config.Envoy.Socket)
	}
	share, err := gateway.ElsewhereShare(first, c.OpenFiles)
	if err != nil {
		return err
	}
	yaml, err := envoy.Bootstrap(envoy.BootstrapOptions{
		NodeID: c.Node, Socket: cmp.Or(socket, gateway.DefaultSocket(sys.getenv)), AdminAddress: c.EnvoyAdmin,
		MaxConnections: share.Clients, MaxHeap: cmp.Or(c.EnvoyHeapBytes, first.EnvoyHeapBytes),
	})
	if err != nil {
		return err
	}
	_, err = sys.stdout.Write(yaml)
	return err
}

// source returns a function that reads a configuration: a file, or standard input if
// file is "-". Standard input is read once.
func (sys system) source(file string) func() (policy.Source, error) {
	if file != "-" {
		return gateway.FileSource(file, sys.getenv)
	}
	return gateway.Source("stdin", sync.OnceValues(func() ([]byte, error) { return io.ReadAll(sys.stdin) }), sys.getenv)
}

// options returns the options of a gateway that reads file, and prepares the process for
// it.
func (sys system) options(log *slog.Logger, file string, flags gatewayFlags) gateway.Options {
	empty := func(s string) bool { return s == "" }
	options := gateway.Options{
		Log: log, Source: sys.source(file), ConfigFile: file, Watch: true,
		Listen: slices.DeleteFunc(slices.Clone(flags.Listen), empty), Admin: flags.Admin,
		Getenv: sys.getenv, Stdout: sys.stdout, Stderr: sys.stderr, Stop: sys.stop, Reload: sys.reload, Reopen: sys.reopen,
	}
	if file == "-" {
		options.ConfigFile, options.Watch = "stdin", false
	}
	sys.own(log, &options)
	return options
}

func (c serveCmd) Run(ctx context.Context, sys system) error {
	return gateway.New(sys.options(c.logger(sys), c.Config, c.gatewayFlags)).Serve(ctx, c.Socket)
}

func (c runCmd) Run(ctx context.Context, sys system) error {
	options := sys.options(c.logger(sys), c.Config, c.gatewayFlags)
	if c.Config == "" {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer listener.Close()
		found := lookAround(ctx, sys, listener.Addr().String())
		options.Source, options.Watch = found.source, false
		options.Services = append(options.Services, func(ctx context.Context) error { return gateway.ServeHTTP(ctx, listener, demo.Handler()) })
		options.OnReady = func(at gateway.Addresses) { fmt.Fprint(sys.stdout, found.welcome(at.Listen[0])) }
	}
	return gateway.New(options).Run(ctx, c.Envoy)
}
