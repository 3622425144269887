package gatewaytest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"weir/envoy"
)

// Served is `weir serve` with an Envoy that is started separately from the output of
// `weir bootstrap`: neither process supervises the other.
type Served struct {
	*Gateway
	// Envoy is the running Envoy.
	Envoy *exec.Cmd
}

// Serve starts an Envoy, then `weir serve`, and waits until they are connected. The
// order must not matter.
func Serve(t testing.TB, config string, options ...Option) *Served {
	t.Helper()
	// A path of t.TempDir has the test's name in it and may be too long for a
	// socket.
	dir, err := os.MkdirTemp("", "weirtest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "weir.sock")
	listen, admin := FreeAddr(t), FreeAddr(t)
	s := &Served{Gateway: New(t, config, append(options, Args("--socket", socket), Listen(listen))...)}
	s.URL = "http://" + listen
	s.EnvoyAdmin = envoy.NewAdmin(admin)
	s.startEnvoy(dir, "--socket", socket, "--node", "by-hand", "--envoy-admin", admin)
	s.Relaunch()
	return s
}

func (s *Served) startEnvoy(dir string, bootstrapArgs ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	path, err := envoy.Find(ctx, envoy.FindOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	bootstrap, err := exec.CommandContext(ctx, Binary(s.t), append([]string{"bootstrap"}, bootstrapArgs...)...).Output()
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(dir, "envoy.yaml")
	if err := os.WriteFile(file, bootstrap, 0o600); err != nil {
		s.t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "envoy.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.Envoy = exec.Command(path, "--config-path", file, "--disable-hot-restart", "--concurrency", "2", "--log-level", "warning")
	s.Envoy.Stdout, s.Envoy.Stderr = log, log
	s.Envoy.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.Envoy.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = s.Envoy.Process.Kill()
		_ = s.Envoy.Wait()
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && s.t.Failed() {
			s.t.Logf("log of Envoy:\n%s", text)
		}
	})
}

// Relaunch starts weir, the first time or again, and waits until Envoy has its
// configuration.
func (s *Served) Relaunch() {
	s.t.Helper()
	started, ready := s.count("weir started"), s.count("ready")
	s.Launch("serve", "-c", s.Config)
	s.WaitLog(func([]map[string]any) bool {
		return s.count("weir started") > started && s.count("ready") > ready
	}, "weir to be ready")
	s.AdminURL = "http://" + s.Field("weir started", "admin")
}

// Kill kills Weir with SIGKILL, and waits.
func (g *Gateway) Kill() {
	g.t.Helper()
	_ = g.Cmd.Process.Kill()
	_ = g.Wait()
}

// FreeAddr returns an address of this machine that nobody listens on, and that no other
// test is given before this one ends. The port is below the range from which systems take
// ports for connections and for port 0: between this call and Envoy's bind nobody can be
// given it by chance. Tests of all packages tell each other which ports they have by
// binding them for UDP, which nobody else uses.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000))
		claim, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			t.Cleanup(func() { _ = claim.Close() })
			return addr
		}
		_ = claim.Close()
	}
	t.Fatal("no port is free")
	return ""
}

// Eventually polls a condition and fails the test if it does not become true.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(Patience)
	for !condition() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}
