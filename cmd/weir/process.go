package main

import (
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"weir/envoy"
	"weir/gateway"
)

// own sets what belongs to the whole process, for a command that runs a gateway.
// Package gateway leaves this to its caller.
func (sys system) own(log *slog.Logger, options *gateway.Options) {
	// A log shipper that exits must not stop the gateway: with a handler for the
	// signal, the write to its pipe fails instead, and the lost lines are counted.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	if err := envoy.NoCoreDumps(); err != nil {
		log.Warn("a crash may leave a core dump, with keys in it", "reason", err)
	}
	var err error
	if options.OpenFiles, err = envoy.RaiseOpenFiles(); err != nil {
		log.Warn("cannot raise the limit of open files", "reason", err)
	}
	if sys.getenv("GOMEMLIMIT") == "" {
		options.SetMemoryLimit = func(bytes int64) { debug.SetMemoryLimit(bytes) }
	}
}
