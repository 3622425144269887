package e2e

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/envoy"
	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// certificateOfThreePrimes is one that Go takes and Envoy does not: the modulus
// of its RSA key has three prime factors.
func certificateOfThreePrimes(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key := keyOfPrimes(t, 683, 683, 682)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(30 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = dir+"/cert.pem", dir+"/key.pem"
	write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	return certFile, keyFile
}

// keyOfPrimes makes an RSA key from primes of so many bits, which add up to the
// bits of its modulus.
func keyOfPrimes(t *testing.T, bits ...int) *rsa.PrivateKey {
	t.Helper()
	total := 0
	for _, b := range bits {
		total += b
	}
	one := big.NewInt(1)
	for {
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: big.NewInt(1), E: 65537}}
		totient := big.NewInt(1)
		for _, b := range bits {
			p, err := rand.Prime(rand.Reader, b)
			if err != nil {
				t.Fatal(err)
			}
			key.Primes = append(key.Primes, p)
			key.N.Mul(key.N, p)
			totient.Mul(totient, new(big.Int).Sub(p, one))
		}
		key.D = new(big.Int).ModInverse(big.NewInt(int64(key.E)), totient)
		if key.D == nil || key.N.BitLen() != total {
			continue
		}
		key.Precompute()
		if err := key.Validate(); err != nil {
			t.Fatal(err)
		}
		return key
	}
}

// TestRejectedByEnvoy sends Envoy configurations that Weir accepts and Envoy rejects: the
// previous configuration stays in force, and Envoy's reason is passed on.
func TestRejectedByEnvoy(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	certFile, keyFile := certificateOfThreePrimes(t)

	const alpha = "id: alpha, api_keys: [{value: key-of-alpha}], base_url: "
	good := setup{top: "listen: 127.0.0.1:0", providers: []string{alpha + p.URL()}}
	g := gatewaytest.Start(t, good.String(), gatewaytest.Secrets("key-of-alpha", "key-of-beta"), gatewaytest.Listen())
	version := health(t, g).Config.Version
	l := newLoad(t, g.URL)
	l.chat(`{"model":"alpha:m"}`, "m", p)
	cases := []struct {
		name  string
		bad   setup
		words string
	}{
		{"listeners", setup{top: "listen: " + taken.Addr().String(), providers: good.providers},
			"cannot bind '" + taken.Addr().String() + "': Address already in use"},
		{"secrets", setup{top: good.top, providers: []string{"id: beta, base_url: https://127.0.0.1, api_keys: [{value: key-of-beta}], tls: {cert_file: " + certFile + ", key_file: " + keyFile + "}"}},
			"Failed to load private key"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			waitRejected(t, g, func() { g.Write(c.bad.String()) })
			if reason := g.Field(rejection, "reason"); !strings.Contains(reason, "refuses what is made of this ("+c.name+"): ") || !strings.Contains(reason, c.words) {
				t.Errorf("the log has %q, want %q", reason, c.words)
			}
			h := health(t, g)
			if len(h.Config.Problems) != 1 || !strings.Contains(h.Config.Problems[0], c.words) {
				t.Errorf("/healthz has the problems %q, not %q", h.Config.Problems, c.words)
			}
			if h.Status != "degraded" || !h.Ready || h.Config.Version != version {
				t.Errorf("/healthz %+v", h)
			}
			if got := metric(t, g, "weir_config_last_reload_successful"); got != "0" {
				t.Errorf("weir_config_last_reload_successful %s", got)
			}
			if a := g.Post("/v1/chat/completions", `{"model":"alpha:m"}`); a.Status != http.StatusOK {
				t.Errorf("response %d %s", a.Status, a.Body)
			}
			// Whoever asks again gets it tried again.
			waitRejected(t, g, func() { hup(t, g) })

			g.Reload(good.String())
			if h := health(t, g); h.Status != "ok" || len(h.Config.Problems) != 0 || len(h.Envoys) != 1 || len(h.Envoys[0].Rejections) != 0 {
				t.Errorf("/healthz %+v after the good configuration is back", h)
			}
			next := good
			next.gateway = "per_request_timeout: 20s"
			g.Reload(next.String())
			if h := health(t, g); h.Status != "ok" || h.Config.Version == version {
				t.Errorf("/healthz %+v after a better configuration", h)
			}
			g.Reload(good.String())
		})
	}
	l.end()
}

// ready asks whether traffic may come.
func ready(t *testing.T, g *gatewaytest.Gateway) (bool, string) {
	t.Helper()
	resp, err := http.Get(g.AdminURL + "/readyz")
	if err != nil {
		return false, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode == http.StatusOK, string(body)
}

// startEnvoy runs an Envoy of its own for a socket, until the test or the
// function that it returns ends it.
func startEnvoy(t *testing.T, node, socket, adminSocket string) (stop func()) {
	t.Helper()
	path, err := envoy.Find(t.Context(), envoy.FindOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapOptions{NodeID: node, Socket: socket, AdminSocket: adminSocket})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	dir := t.TempDir()
	go func() {
		done <- envoy.Run(ctx, envoy.Config{Path: path, Bootstrap: bootstrap, Dir: dir, Concurrency: 1, LogLevel: "error", Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	}()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	config := setup{providers: []string{"id: alpha, base_url: " + p.URL()}}

	t.Run("serve", func(t *testing.T) {
		g := gatewaytest.New(t, config.String())
		socket := filepath.Join(t.TempDir(), "weir.sock")
		g.Launch("serve", "-c", g.Config, "--socket", socket)
		g.AdminURL = "http://" + g.Field("weir started", "admin")
		if ok, body := ready(t, g); ok || !strings.Contains(body, "no envoy has acknowledged") {
			t.Errorf("ready without an Envoy: %s", body)
		}
		stop := startEnvoy(t, "one", socket, "")
		g.WaitReady()
		if ok, body := ready(t, g); !ok {
			t.Error(body)
		}
		if a := g.Post("/v1/chat/completions", `{"model":"alpha:m"}`); a.Status != http.StatusOK {
			t.Errorf("response %d %s", a.Status, a.Body)
		}
		// A configuration may come while no Envoy is there.
		stop()
		gatewaytest.Eventually(t, "not being ready without an Envoy", func() bool { ok, _ := ready(t, g); return !ok })
		next := setup{providers: []string{"id: beta, base_url: " + p.URL()}}
		g.Reload(next.String())
		if ok, body := ready(t, g); ok {
			t.Errorf("ready without an Envoy: %s", body)
		}
		startEnvoy(t, "two", socket, "")
		gatewaytest.Eventually(t, "being ready again", func() bool { ok, _ := ready(t, g); return ok })
		if a := g.Post("/v1/chat/completions", `{"model":"beta:m"}`); a.Status != http.StatusOK {
			t.Errorf("response %d %s", a.Status, a.Body)
		}
	})

	t.Run("while stopping", func(t *testing.T) {
		g := gatewaytest.Start(t, config.String())
		gate := make(chan struct{})
		p.Script(recorder.Gated(gate))
		n := len(p.Requests())
		answer := background(t, g, `{"model":"alpha:m","stream":true}`)
		p.WaitRequests(t, n+1)
		if err := g.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		gatewaytest.Eventually(t, "not being ready while stopping", func() bool {
			ok, body := ready(t, g)
			return !ok && strings.Contains(body, "stopping")
		})
		if h := health(t, g); h.Ready {
			t.Errorf("/healthz %+v", h)
		}
		close(gate)
		a := answer()
		if _, whole := content(a.Body); !whole || a.Err != nil {
			t.Errorf("response %d %s, %v", a.Status, a.Body, a.Err)
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})

	// Envoy comes after the first configuration was taken, so there is none to
	// go back to: Weir waits for a better one.
	t.Run("refused at first", func(t *testing.T) {
		certFile, keyFile := certificateOfThreePrimes(t)
		bad := setup{providers: []string{"id: alpha, base_url: https://127.0.0.1, tls: {cert_file: " + certFile + ", key_file: " + keyFile + "}"}}
		g := gatewaytest.New(t, bad.String())
		g.Launch("run", "-c", g.Config)
		g.Field("envoy rejected an update", "text")
		g.AdminURL = "http://" + g.Field("weir started", "admin")
		if ok, _ := ready(t, g); ok {
			t.Error("ready with what Envoy has refused")
		}
		h := health(t, g)
		if h.Status != "degraded" || len(h.Envoys) != 1 || !strings.Contains(h.Envoys[0].Rejections["secrets"], "Failed to load private key") {
			t.Errorf("/healthz %+v", h)
		}
		g.Reload(config.String())
		g.WaitReady()
		if ok, body := ready(t, g); !ok {
			t.Error(body)
		}
		if a := g.Post("/v1/chat/completions", `{"model":"alpha:m"}`); a.Status != http.StatusOK {
			t.Errorf("response %d %s", a.Status, a.Body)
		}
	})
}

// TestQuickstart runs what `weir run` prints for its first user.
func TestQuickstart(t *testing.T) {
	const demoSays = "built-in demo model"
	g := gatewaytest.New(t, "", gatewaytest.Env("OPENAI_API_KEY", ""), gatewaytest.Env("ANTHROPIC_API_KEY", ""))
	g.Launch("run")
	g.WaitReady()
	gatewaytest.Eventually(t, "the welcome", func() bool { return strings.Contains(g.Stdout(), "Ctrl-C") })
	// snippet is the indented block that follows a line.
	snippet := func(after string) string {
		t.Helper()
		_, rest, ok := strings.Cut(g.Stdout(), after+"\n")
		if !ok {
			t.Fatalf("no line %q in %s", after, g.Stdout())
		}
		block, _, _ := strings.Cut(rest, "\n\n")
		lines := strings.Split(block, "\n")
		for i := range lines {
			lines[i] = strings.TrimPrefix(lines[i], "  ")
		}
		return strings.Join(lines, "\n")
	}
	output := func(cmd *exec.Cmd) string {
		t.Helper()
		out, err := cmd.Output()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, exit.Stderr)
		} else if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	t.Run("curl", func(t *testing.T) {
		needed(t, "curl")
		text, whole := content(output(exec.CommandContext(t.Context(), "sh", "-c", snippet("Try it:"))))
		if !whole || !strings.Contains(text, demoSays) {
			t.Errorf("the demo responded %q", text)
		}
	})
	t.Run("Python", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), pythonEnv(t), "-c", snippet("Or with the OpenAI SDK (pip install openai):"))
		if got := output(cmd); !strings.Contains(got, demoSays) {
			t.Errorf("the program printed %q", got)
		}
	})
	if h := health(t, g); h.Status != "ok" || !slices.ContainsFunc(strings.Split(g.Stdout(), "\n"), func(l string) bool { return strings.HasPrefix(l, "  - demo: ") }) {
		t.Errorf("/healthz %+v, printed %s", h, g.Stdout())
	}
}
