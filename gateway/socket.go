package gateway

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/private"
	"weir/internal/sample"
)

// DefaultSocket returns the Unix socket of `weir serve` and `weir bootstrap` if none is
// configured.
func DefaultSocket(getenv func(string) string) string {
	if os.Getuid() == 0 {
		return "/run/weir/weir.sock"
	}
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "weir", "weir.sock")
	}
	return filepath.Join(os.TempDir(), "weir-"+strconv.Itoa(os.Getuid()), "weir.sock")
}

// socketFolder creates or checks the folder of the socket of `weir serve`. A user who
// can write there could replace Weir's socket and receive every request from Envoy.
func socketFolder(socket string, users private.Users) error {
	mode := fs.FileMode(0o700)
	if users.Others() {
		mode = 0o711
	}
	dir, err := private.DirMode(filepath.Dir(socket), mode)
	if err != nil {
		return fmt.Errorf("folder of the socket for Envoy: %w (--socket, envoy.socket or XDG_RUNTIME_DIR chooses another one)", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if users.Others() && info.Mode().Perm()&0o011 == 0 {
		return fmt.Errorf("folder of the socket for Envoy: %s: mode %04o keeps the users of envoy.users out: run `chmod o+x %s`", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// listenForEnvoy creates the Unix socket on which Envoy gets its configuration, with
// all provider keys, and asks for decisions. Only this user, root and the users in
// envoy.users may connect, whatever the file modes are. If there are such users, the mode
// of the socket lets everybody open it; access to its folder and the peer credentials
// from the kernel decide.
func listenForEnvoy(socket string, users private.Users, log *slog.Logger, registry prometheus.Registerer) (*private.Guarded, error) {
	mode := fs.FileMode(0o600)
	if users.Others() {
		mode = 0o666
	}
	listener, err := private.Listen(socket, mode)
	if err != nil {
		return nil, err
	}
	refused := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "weir_socket_connections_refused_total",
		Help: "Connections to the socket for Envoy that were closed because their user may not connect.",
	})
	registry.MustRegister(refused)
	var samples sample.Sampler
	return &private.Guarded{UnixListener: listener, Users: users, Refused: func(p private.Peer, err error) {
		refused.Inc()
		suppressed, ok := samples.Take(time.Now())
		switch {
		case !ok:
		case err != nil:
			log.Warn("connection to the socket for Envoy refused: its user is unknown", "reason", err, "suppressed", suppressed)
		default:
			log.Warn("connection to the socket for Envoy refused: list the user in envoy.users if this is your Envoy", "uid", p.UID, "pid", p.PID, "suppressed", suppressed)
		}
	}}, nil
}
