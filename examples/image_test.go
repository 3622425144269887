package examples

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"weir/envoy"
	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestImage does, without a container engine, what Dockerfile and compose.yaml
// say: the same build, the same command line as the same user, and an Envoy
// from the bootstrap that is mounted there.
func TestImage(t *testing.T) {
	dockerfile := read(t, "../Dockerfile")
	dir, err := os.MkdirTemp("", "weirimage-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })

	build := regexp.MustCompile(`RUN (CGO_ENABLED=0 go build [^\\]*)`).FindStringSubmatch(dockerfile)
	if build == nil {
		t.Fatal("the Dockerfile builds no static binary")
	}
	binary := filepath.Join(dir, "weir")
	cmd := exec.Command("sh", "-ec", strings.Replace(build[1], "/out/weir", binary, 1))
	cmd.Dir = gatewaytest.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	static(t, binary)

	ca := recorder.NewCA(t)
	openai := recorder.Start(t, recorder.WithTLS("api.openai.com"), recorder.WithCA(ca))
	config := fmt.Sprintf("%s\nconnect_to: {\"api.openai.com:443\": %q}\n", read(t, "compose/weir.yaml"), openai.Addr())
	file := filepath.Join(dir, "weir.yaml")
	socket := filepath.Join(dir, "run", "weir.sock")
	roots := filepath.Join(dir, "roots.pem")
	for path, content := range map[string][]byte{file: []byte(config), roots: ca.PEM()} {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	asUser := func(c *exec.Cmd) {}
	if os.Getuid() == 0 { // as in the image: the user owns the folder of the socket, and nothing else
		const user = 65532
		if err := os.Chown(filepath.Dir(socket), user, user); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		asUser = func(c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		}
	}
	var args []string
	line := regexp.MustCompile(`(?m)^CMD (\[.*\])$`).FindStringSubmatch(dockerfile)
	if line == nil || json.Unmarshal([]byte(line[1]), &args) != nil {
		t.Fatal("the Dockerfile has no CMD")
	}
	for i := range args {
		args[i] = strings.NewReplacer("/etc/weir/weir.yaml", file, "/run/weir/weir.sock", socket).Replace(args[i])
	}
	g := gatewaytest.New(t, config, gatewaytest.Command(binary, asUser),
		gatewaytest.Env("SSL_CERT_FILE", roots), gatewaytest.Env("WEIR_SECRET_OPENAI_API_KEY", "sk-image-of-test"),
		gatewaytest.Env("WEIR_SECRET_CLIENTS_DEFAULT", "a-long-key-of-a-client"), gatewaytest.Secrets("sk-image-of-test", "a-long-key-of-a-client"))
	g.Launch(args...)
	g.Field("weir started", "socket")

	startEnvoy(t, dir, strings.ReplaceAll(read(t, "compose/envoy.yaml"), "/run/weir/weir.sock", socket))
	g.WaitReady()
	a := g.Post("/v1/chat/completions", `{"model": "gpt-4o", "messages": []}`, "Authorization", "Bearer a-long-key-of-a-client")
	if a.Status != 200 || openai.Last(t).Header.Get("Authorization") != "Bearer sk-image-of-test" {
		t.Errorf("response %d %s", a.Status, a.Body)
	}
}

// TestBootstrapFile: the mounted bootstrap is what the command prints.
func TestBootstrapFile(t *testing.T) {
	out, err := exec.Command(gatewaytest.Binary(t), "bootstrap", "--socket", "/run/weir/weir.sock").Output()
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != read(t, "compose/envoy.yaml") {
		t.Errorf("examples/compose/envoy.yaml is not what `weir bootstrap --socket /run/weir/weir.sock` prints:\n%s", out)
	}
}

// TestComposeEnvoyVersion: compose.yaml runs the Envoy that is tested.
func TestComposeEnvoyVersion(t *testing.T) {
	if want := "image: envoyproxy/envoy:distroless-v" + envoy.Version + "\n"; !strings.Contains(read(t, "../compose.yaml"), want) {
		t.Errorf("compose.yaml has no %q", want)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// static checks that a binary needs no interpreter, as it has none on scratch.
func static(t *testing.T, path string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary is not static")
		}
	}
}

// startEnvoy runs Envoy from a bootstrap until the test ends.
func startEnvoy(t *testing.T, dir, bootstrap string) {
	t.Helper()
	var log bytes.Buffer
	path, err := envoy.Find(t.Context(), envoy.FindOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- envoy.Run(ctx, envoy.Config{Path: path, Bootstrap: []byte(bootstrap), Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil || t.Failed() {
			t.Errorf("envoy: %v\n%s", err, log.String())
		}
	})
}
