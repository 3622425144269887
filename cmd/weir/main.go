// Command weir is an LLM gateway that works through Envoy.
//
// This package parses flags, passes signals on, prints, and chooses the exit code.
// Package gateway is the product.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
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

// system is everything that a command uses of its process, so that tests can replace it.
type system struct {
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	// These are the signals of gateway.Options. SIGHUP is both reload and reopen:
	// neither waits for the other.
	stop, reload, reopen <-chan os.Signal
	// localServers are searched for if there is no configuration.
	localServers []localServer
}

// run returns the exit code: 0, 1 for a failure, 2 for a wrong command line.
func run(ctx context.Context, sys system) int {
	command, code := parse(ctx, sys)
	if command == nil {
		return code
	}
	err := command()
	var exit exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return int(exit)
	}
	fmt.Fprintln(sys.stderr, "weir:", err)
	return 1
}

// exitCode is the error of a command that has already printed what went wrong.
type exitCode int

func (c exitCode) Error() string { return "exit code " + strconv.Itoa(int(c)) }
