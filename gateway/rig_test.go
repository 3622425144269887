package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"weir/admin"
	"weir/envoy"
	"weir/gateway/retire"
	"weir/internal/gatewaytest"
	"weir/policy"
	"weir/xds"
)

// rig is a gateway in this process. The test takes the place of its reload loop.
type rig struct {
	*Gateway
	t         *testing.T
	config    string // what the next load reads
	log       gatewaytest.Output
	socket    string
	operators *httptest.Server
	// later moves the clock of the book.
	later atomic.Int64
}

func newRig(t *testing.T, config string) *rig {
	t.Helper()
	b := &rig{t: t, config: config}
	b.Gateway = New(Options{
		Log: slog.New(slog.NewTextHandler(&b.log, nil)), Listen: []string{gatewaytest.FreeAddr(t)}, Stdout: io.Discard, Stderr: io.Discard,
		Source: func() (policy.Source, error) {
			return policy.Source{File: "weir.yaml", Data: []byte(b.config), Getenv: func(string) string { return "" }, ReadFile: os.ReadFile}, nil
		},
	})
	b.book = retire.New(func() time.Time { return time.Now().Add(time.Duration(b.later.Load())) })
	first, err := b.loader.load(configuration{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.adopt(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of weir:\n%s", b.log.String())
		}
	})
	return b
}

// serve opens the listeners for Envoys and operators.
func (b *rig) serve() {
	b.t.Helper()
	b.socket = filepath.Join(b.t.TempDir(), "weir.sock")
	l, err := net.Listen("unix", b.socket)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.observer, err = newObserver(b.Gateway, b.current.Load()); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(b.observer.close)
	server := b.grpcServer()
	go func() { _ = server.Serve(l) }()
	b.t.Cleanup(func() { stopServer(server) })
	b.operators = httptest.NewServer(admin.Handler(b, b.registry))
	b.t.Cleanup(b.operators.Close)
}

// envoy runs an Envoy until the end of the test, and waits until it has the
// configuration.
func (b *rig) envoy(node string) (pid int, admin *envoy.Admin) {
	b.t.Helper()
	pid, admin = b.startEnvoy(node)
	b.wait(node+" to be synced", func(nodes []xds.NodeStatus) bool {
		return slices.ContainsFunc(nodes, func(n xds.NodeStatus) bool { return n.Node == node && n.Synced })
	})
	return pid, admin
}

// startEnvoy runs an Envoy until the end of the test.
func (b *rig) startEnvoy(node string) (pid int, admin *envoy.Admin) {
	b.t.Helper()
	path, err := envoy.Find(b.t.Context(), envoy.FindOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	dir := b.t.TempDir()
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapOptions{NodeID: node, Socket: b.socket, AdminSocket: filepath.Join(dir, "admin.sock")})
	if err != nil {
		b.t.Fatal(err)
	}
	pids := make(chan int, 8)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- envoy.Run(ctx, envoy.Config{
			Path: path, Bootstrap: bootstrap, Dir: dir, Concurrency: 1, LogLevel: "error",
			Log: slog.New(slog.NewTextHandler(&b.log, nil)), Started: func(pid int) { pids <- pid },
		})
	}()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	return <-pids, envoy.NewAdmin(filepath.Join(dir, "admin.sock"))
}

func (b *rig) wait(what string, holds func([]xds.NodeStatus) bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), gatewaytest.Patience)
	defer cancel()
	if b.publisher.server.Wait(ctx, holds) != nil {
		b.t.Fatalf("timed out waiting for %s: %+v", what, b.publisher.server.Nodes())
	}
}

// get reads a path of the admin listener.
func (b *rig) get(path string) (int, string) {
	b.t.Helper()
	resp, err := http.Get(b.operators.URL + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (b *rig) ask(body string) (*http.Response, error) {
	sockets, err := b.addresses.sockets(b.current.Load())
	if err != nil {
		return nil, err
	}
	return http.Post("http://"+sockets[0].String()+"/v1/chat/completions", "application/json", strings.NewReader(body))
}

func send(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

func provider(id, url string) string {
	return fmt.Sprintf("providers: [{id: %s, base_url: %s}]\n", id, url)
}
