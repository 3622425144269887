package gateway_test

import (
	"context"
	"log/slog"
	"os"
	"os/signal"

	"weir/envoy"
	"weir/gateway"
)

// A gateway with an Envoy of its own, which runs until Ctrl-C.
func ExampleGateway_Run() {
	openFiles, err := envoy.RaiseOpenFiles()
	if err != nil {
		slog.Error("open files", "reason", err)
		return
	}
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, os.Interrupt)
	g := gateway.New(gateway.Options{
		Log:        slog.Default(),
		Source:     gateway.FileSource("weir.yaml", os.Getenv),
		ConfigFile: "weir.yaml", Watch: true,
		Getenv: os.Getenv, Stdout: os.Stdout, Stderr: os.Stderr,
		Stop: stop, OpenFiles: openFiles,
	})
	if err := g.Run(context.Background(), ""); err != nil {
		slog.Error("gateway", "reason", err)
	}
}
