// Command weir is an LLM gateway that works through Envoy.
//
// This package reads flags, passes signals on, prints, and chooses the exit code.
// Package gateway is the product.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	reopen := make(chan os.Signal, 1)
	signal.Notify(reopen, syscall.SIGHUP)
	os.Exit(run(context.Background(), system{
		args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		getenv: os.Getenv, stop: stop, reload: reload, reopen: reopen, localServers: localServers,
	}))
}

// system is everything a command takes from outside, so that a test can be
// the outside.
type system struct {
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	// stop asks for an orderly end, a second time for one at once; reload for
	// the configuration to be read again, reopen for the log file to be opened
	// again. SIGHUP asks for both; neither waits for the other.
	stop, reload, reopen <-chan os.Signal
	// localServers are looked for when there is no configuration.
	localServers []localServer
}

// run gives the exit code: 0, 1 for a failure, 2 for a wrong command line.
func run(ctx context.Context, sys system) int {
	command, code, done := parse(sys)
	if done {
		return code
	}
	err := command(ctx)
	if err == nil {
		return 0
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(sys.stderr, "weir:", err)
	}
	return 1
}

// errReported is a failure that its command has already described.
var errReported = errors.New("reported")
