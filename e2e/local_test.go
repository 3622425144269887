package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/envoy"
	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// The users of these tests: Weir's own, that of the official Envoy image, and
// one who is after the provider keys.
const (
	weirUID    = 65532
	envoyUID   = 101
	malloryUID = 1234
)

// needRoot: only root can act as several users, and CI is root.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("must run as root: it acts as several users")
	}
	t.Skip("needs root: it acts as several users")
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// place makes a folder that all users may enter, with copies of programs.
func place(t *testing.T, programs ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "weirlocal-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	for _, program := range programs {
		from, err := os.Open(program)
		must(t, err)
		to, err := os.OpenFile(filepath.Join(dir, filepath.Base(program)), os.O_CREATE|os.O_WRONLY, 0o755)
		must(t, err)
		_, err = io.Copy(to, from)
		must(t, err, from.Close(), to.Close(), os.Chmod(to.Name(), 0o755))
	}
	return dir
}

func runAs(uid uint32) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: uid, Gid: uid}}
}

// TestFolderOfAnotherUser: without XDG_RUNTIME_DIR the socket is in a folder
// that anybody may make first. One who did had the provider keys: the folder
// stayed theirs, and the socket took the group of the folder.
func TestFolderOfAnotherUser(t *testing.T) {
	needRoot(t)
	dir := place(t, gatewaytest.Binary(t))
	config := filepath.Join(dir, "weir.yaml")
	must(t, os.WriteFile(config, []byte("providers: [{id: p, base_url: \"http://127.0.0.1:1\", api_keys: [{value: sk-provider}]}]\n"), 0o644))

	for _, c := range []struct {
		name string
		make func(folder string) error
		want string
	}{
		{"theirs, group-writable and setgid", func(f string) error {
			return errors.Join(os.Mkdir(f, 0o700), os.Chown(f, malloryUID, malloryUID), os.Chmod(f, fs.ModeSetgid|0o770))
		}, "belongs to uid 1234"},
		{"theirs, and open to all", func(f string) error {
			return errors.Join(os.Mkdir(f, 0o700), os.Chown(f, malloryUID, malloryUID), os.Chmod(f, 0o777))
		}, "belongs to uid 1234"},
		{"ours, with their group", func(f string) error {
			return errors.Join(os.Mkdir(f, 0o700), os.Chown(f, weirUID, malloryUID), os.Chmod(f, fs.ModeSetgid|0o770))
		}, "mode 2770 lets other users write to it"},
		{"their link to a folder of ours", func(f string) error {
			return errors.Join(os.Mkdir(f+".real", 0o700), os.Chown(f+".real", weirUID, weirUID), os.Symlink(f+".real", f), os.Lchown(f, malloryUID, malloryUID))
		}, "is a symbolic link"},
		{"ours, with a socket of theirs in it", func(f string) error {
			l, err := net.Listen("unix", filepath.Join(filepath.Dir(f), "s"))
			if err != nil {
				return err
			}
			defer l.Close()
			socket := filepath.Join(f, "weir.sock")
			return errors.Join(os.Mkdir(f, 0o700), os.Chown(f, weirUID, weirUID),
				os.Rename(l.Addr().String(), socket), os.Chown(socket, malloryUID, malloryUID))
		}, "is a socket of uid 1234"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmp := filepath.Join(place(t), "tmp")
			must(t, os.Mkdir(tmp, 0o700), os.Chmod(tmp, fs.ModeSticky|0o777))
			folder := filepath.Join(tmp, "weir-"+strconv.Itoa(weirUID))
			must(t, c.make(folder))
			ctx, cancel := context.WithTimeout(t.Context(), gatewaytest.Patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, filepath.Join(dir, "weir"), "serve", "-c", config, "--admin", "127.0.0.1:0", "--listen", "127.0.0.1:0")
			cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", []string{"TMPDIR=" + tmp}, runAs(weirUID)
			out, err := cmd.CombinedOutput()
			if err == nil || ctx.Err() != nil || !strings.Contains(string(out), c.want) {
				t.Errorf("%v, %q, want %q", err, out, c.want)
			}
		})
	}
}

// TestEnvoyOfAnotherUser: Envoy as the user of its image, Weir as its own. The
// configuration lists Envoy's user, and nobody else gets a byte.
func TestEnvoyOfAnotherUser(t *testing.T) {
	needRoot(t)
	provider := recorder.Start(t)
	found, err := envoy.Find(t.Context(), envoy.FindOptions{})
	must(t, err)
	dir := place(t, gatewaytest.Binary(t), found)
	config := filepath.Join(dir, "weir.yaml")
	must(t, os.WriteFile(config, []byte(`
envoy: {users: [101]}
providers: [{id: p, base_url: "`+provider.URL()+`", api_keys: [{value: sk-provider}]}]
`), 0o644))
	// As the folder of a service is: its user's, made by root.
	run := filepath.Join(dir, "run")
	must(t, os.Mkdir(run, 0o700), os.Chown(run, weirUID, weirUID))
	socket := filepath.Join(run, "s", "weir.sock")
	must(t, os.Chmod(run, 0o711))

	listen, admin := gatewaytest.FreeAddr(t), gatewaytest.FreeAddr(t)
	g := gatewaytest.New(t, "", gatewaytest.Args("--socket", socket, "--listen", listen), gatewaytest.Secrets("sk-provider"),
		gatewaytest.Command(filepath.Join(dir, "weir"), func(cmd *exec.Cmd) { cmd.Dir, cmd.SysProcAttr = "/", runAs(weirUID) }))
	g.Config = config
	g.Launch("serve", "-c", config)
	g.AdminURL = "http://" + g.Field("weir started", "admin")

	bootstrap, err := exec.Command(filepath.Join(dir, "weir"), "bootstrap", "--socket", socket, "--envoy-admin", admin).Output()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "envoy.yaml"), bootstrap, 0o644))
	var log bytes.Buffer
	e := exec.Command(filepath.Join(dir, "envoy"), "--config-path", filepath.Join(dir, "envoy.yaml"), "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")
	e.Dir, e.Env, e.SysProcAttr = "/", []string{}, runAs(envoyUID)
	e.Stdout, e.Stderr = &log, &log
	must(t, e.Start())
	t.Cleanup(func() {
		_ = e.Process.Kill()
		_ = e.Wait()
		if t.Failed() {
			t.Logf("log of Envoy:\n%s", &log)
		}
	})
	g.WaitReady()
	g.URL = "http://" + listen
	if a := g.Post("/v1/chat/completions", `{"model":"p:m","messages":[]}`); a.Status != 200 {
		t.Errorf("status %d %s", a.Status, a.Body)
	}

	t.Run("other users are refused", func(t *testing.T) {
		// The modes let mallory open the socket; the kernel identifies the user.
		if refused := scrape(t, g).sum("weir_socket_connections_refused_total"); refused != 0 {
			t.Errorf("%v connections refused before anybody else came", refused)
		}
		for _, c := range []struct {
			uid  uint32
			want bool
		}{{malloryUID, false}, {envoyUID, true}, {weirUID, true}, {0, true}} {
			if got := greeted(t, socket, c.uid); got != c.want {
				t.Errorf("uid %d: served %v, want %v", c.uid, got, c.want)
			}
		}
		if refused := scrape(t, g).sum("weir_socket_connections_refused_total"); refused != 1 {
			t.Errorf("%v connections refused, want 1", refused)
		}
		g.WaitLog(func(lines []map[string]any) bool {
			for _, l := range lines {
				if pid, _ := l["pid"].(float64); l["uid"] == float64(malloryUID) && pid > 1 {
					return true
				}
			}
			return false
		}, "a line with the user and the process")
	})
	if info, err := os.Stat(filepath.Dir(socket)); err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("folder of the socket: %v, %v", info.Mode(), err)
	}
}

// greeted reports whether the server at a socket sends anything to a user.
func greeted(t *testing.T, socket string, uid uint32) bool {
	t.Helper()
	return greeting(t, socket, uid) == "served"
}

// greeting connects to a socket as a user, as a client of HTTP/2, and returns what
// came of it: refused, closed or served.
func greeting(t *testing.T, socket string, uid uint32) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	must(t, err)
	const program = `
import socket, sys, os
s = socket.socket(socket.AF_UNIX)
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
s.settimeout(60)
try:
    s.connect(sys.argv[1])
except PermissionError:
    sys.exit(sys.stdout.write("refused") and 0)
try:
    s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    sys.stdout.write("served" if s.recv(100) else "closed")
except (BrokenPipeError, ConnectionResetError):
    sys.stdout.write("closed")
`
	ctx, cancel := context.WithTimeout(t.Context(), gatewaytest.Patience+time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, python, "-c", program, socket, strconv.Itoa(int(uid))).CombinedOutput()
	if err != nil {
		t.Fatalf("as uid %d: %v %s", uid, err, out)
	}
	return string(out)
}

// TestRunPermissions: what `weir run` and its Envoy leave on the machine
// while they run is for their user alone.
func TestRunPermissions(t *testing.T) {
	provider := recorder.Start(t)
	log := filepath.Join(t.TempDir(), "access.log")
	const key, secret = "sk-provider-0123456789", "sk-of-a-client-0123456789"
	g := gatewaytest.Start(t, `
telemetry: {access_log: "`+log+`"}
access_keys: [{name: team, value: "${secrets.get('clients', 'team')}"}]
providers: [{id: p, base_url: "`+provider.URL()+`", api_keys: [{value: "${secrets.get('p', 'key')}"}]}]
`, gatewaytest.Secrets(key, secret), gatewaytest.Env("WEIR_SECRET_P_KEY", key), gatewaytest.Env("WEIR_SECRET_CLIENTS_TEAM", secret),
		gatewaytest.Command("", func(cmd *exec.Cmd) {
			// A shell that lets everything be read, and cores be written.
			cmd.Args = append([]string{"sh", "-c", `umask 0; ulimit -c unlimited 2>/dev/null; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
			cmd.Path = "/bin/sh"
		}))
	if a := g.Post("/v1/chat/completions", `{"model":"p:m"}`, "Authorization", "Bearer "+secret); a.Status != 200 {
		t.Fatalf("status %d %s", a.Status, a.Body)
	}
	pid := g.EnvoyPID()

	dir := filepath.Dir(g.Field("weir started", "socket"))
	t.Run("modes of the files", func(t *testing.T) {
		want := map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, "weir.sock"): 0o600, filepath.Join(dir, "envoy.sock"): 0o600, log: 0o600}
		entries, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			if path := filepath.Join(dir, e.Name()); want[path] == 0 {
				want[path] = 0o600
			}
		}
		if len(want) != 5 { // with Envoy's configuration
			t.Errorf("%v is in the folder", entries)
		}
		for path, mode := range want {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%s: mode %v, %v, want %v", path, info.Mode(), err, mode)
			}
		}
	})
	t.Run("no secrets in the process table", func(t *testing.T) {
		for _, file := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
			must(t, err)
			if bytes.Contains(text, []byte("sk-")) || file == "environ" && len(text) > 0 {
				t.Errorf("Envoy's %s is %q", file, text)
			}
		}
	})
	t.Run("no core dumps", func(t *testing.T) {
		for who, pid := range map[string]int{"weir": g.Cmd.Process.Pid, "Envoy": pid} {
			text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "limits"))
			must(t, err)
			for line := range strings.Lines(string(text)) {
				if rest, ok := strings.CutPrefix(line, "Max core file size"); ok && strings.Fields(rest)[0] > "1" {
					t.Errorf("%s may write a core dump: %s", who, line)
				}
			}
		}
	})
	if os.Geteuid() == 0 && greeting(t, filepath.Join(dir, "weir.sock"), malloryUID) != "refused" {
		t.Error("another user reaches the socket")
	}
}
