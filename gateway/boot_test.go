package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/admin"
	"weir/gateway"
	"weir/internal/recorder"
)

// TestBoot runs the product in this process, with an Envoy of its own: it serves, it
// adopts a changed file, and it stops when it is asked to.
func TestBoot(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first, second := recorder.Start(t, recorder.WithName("first")), recorder.Start(t, recorder.WithName("second"))
	file := filepath.Join(t.TempDir(), "weir.yaml")
	configure := func(p *recorder.Provider) {
		t.Helper()
		next := file + ".next"
		text := fmt.Sprintf("listen: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\ntelemetry: {access_log: off}\nproviders: [{id: p, base_url: %s}]\n", p.URL())
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, file); err != nil {
			t.Fatal(err)
		}
	}
	configure(first)

	process := settings(t)
	ready := make(chan gateway.Addresses, 1)
	stop := make(chan os.Signal, 1)
	ended := make(chan error, 1)
	go func() {
		g := gateway.New(gateway.Options{
			Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Getenv: os.Getenv, Stdout: io.Discard, Stderr: io.Discard,
			Source: gateway.FileSource(file, os.Getenv), ConfigFile: file, Watch: true,
			Stop: stop, OpenFiles: 1024, OnReady: func(a gateway.Addresses) { ready <- a },
		})
		ended <- g.Run(ctx, "")
	}()
	var at gateway.Addresses
	select {
	case at = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}

	health := func() (h admin.Health) {
		t.Helper()
		resp, err := http.Get("http://" + at.Admin + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&h); err != nil {
			t.Fatal(err)
		}
		return h
	}
	ask := func(p *recorder.Provider) {
		t.Helper()
		resp, err := http.Post("http://"+at.Listen[0]+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"p:m"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), p.ResponseText("m")) {
			t.Errorf("%d %s, %v", resp.StatusCode, body, err)
		}
	}
	ask(first)
	was := health()
	if was.Status != "ok" || !was.Ready || was.Envoy == nil || was.Envoy.State != "running" {
		t.Errorf("/healthz: %+v", was)
	}
	configure(second)
	for health().Config.Version == was.Config.Version {
		if ctx.Err() != nil {
			t.Fatal("the changed file is not adopted")
		}
		time.Sleep(10 * time.Millisecond)
	}
	ask(second)

	stop <- syscall.SIGTERM
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := http.Get("http://" + at.Admin + "/readyz"); err == nil {
		t.Error("operators are still served")
	}
	if got := settings(t); got != process {
		t.Errorf("the gateway changed its process: %s, before %s", got, process)
	}
}

// settings returns the limits of this process.
func settings(t *testing.T) string {
	t.Helper()
	var core, files syscall.Rlimit
	if err := errors.Join(syscall.Getrlimit(syscall.RLIMIT_CORE, &core), syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("core %v, files %v, memory %d", core, files, debug.SetMemoryLimit(-1))
}
