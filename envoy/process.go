package envoy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	yaml "go.yaml.in/yaml/v4"
)

// Config configures the Envoy to run.
type Config struct {
	Path        string          // Envoy's binary, from Find
	Bootstrap   []byte          // its configuration file, from Bootstrap
	Dir         string          // an existing folder of this process, for the configuration file
	Concurrency int             // worker threads; 0: one for each CPU
	LogLevel    string          // trace to critical, or off; "": warning. See quiet
	DrainTime   time.Duration   // longest wait for running requests when ctx ends; 0: none
	LogFlush    time.Duration   // the largest buffer_flush_interval of the gRPC access loggers that weir sends Envoy
	Now         <-chan struct{} // closed: stop without (further) waiting for requests; may be nil
	Log         *slog.Logger    // for Envoy's log and the supervisor's; nil: silent
	Started     func(pid int)   // called after every start; may be nil
	// Died, unless nil, is called after every death but the last, with the wait until
	// the next start.
	Died func(cause error, wait time.Duration)
	// Served reports whether an Envoy has served requests since Run began. If nil, an
	// Envoy has served if it lived for ten seconds.
	Served func() bool
}

const (
	killAfter = 5 * time.Second       // how long Envoy may take to obey SIGTERM
	drainPoll = 50 * time.Millisecond // between two looks at the running requests
)

// Run keeps an Envoy running until ctx ends, then stops it and returns nil. An Envoy
// that dies is started again, after a wait that grows to five seconds while deaths
// follow each other. Run fails only if no Envoy has served yet and Envoy cannot be
// started, or dies at once five times in a row: then its binary or its configuration
// is wrong. A cause that kills Envoy later may pass.
//
// When ctx ends, Envoy first closes its listeners and finishes its requests, for
// DrainTime at most. Weir's own servers must run until Run returns, because those
// requests still need them. Run then leaves nothing behind that it or Envoy created.
func Run(ctx context.Context, c Config) error {
	log := orDiscard(c.Log)
	admin, err := adminIn(c.Bootstrap)
	if err != nil {
		return fmt.Errorf("envoy bootstrap: %w", err)
	}
	file, err := writeConfig(c.Dir, c.Bootstrap)
	if err != nil {
		return fmt.Errorf("envoy bootstrap: %w", err)
	}
	defer os.Remove(file)
	defer admin.removeSocket()

	// Linux sends the parent-death signal when the thread that started the
	// child ends, and an idle thread may end long before the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	var history restarts
	for ctx.Err() == nil {
		envoy, err := start(c, file, log)
		if err != nil && !history.served {
			return fmt.Errorf("start envoy: %w", err)
		}
		var wait time.Duration
		if err != nil {
			wait, _ = history.next(0, false, false)
			log.Error("envoy cannot be started", "error", err, "restart_in", wait)
		} else {
			if c.Started != nil {
				c.Started(envoy.pid)
			}
			select {
			case <-ctx.Done():
				envoy.drain(context.WithoutCancel(ctx), admin, c)
				envoy.stop()
				return nil
			case <-c.Now:
				envoy.stop()
				return nil
			case <-envoy.exited:
			}
			var again bool
			wait, again = history.next(envoy.lived, envoy.crashed, c.Served != nil && c.Served())
			err = envoy.err
			if !again {
				return fmt.Errorf("envoy did not start, %d times in a row: %w%s",
					history.failed, err, envoy.output.last())
			}
			log.Error("envoy died", "pid", envoy.pid, "error", err, "lived", envoy.lived, "restart_in", wait)
		}
		if c.Died != nil {
			c.Died(err, wait)
		}
		select {
		case <-ctx.Done():
		case <-c.Now:
			return nil
		case <-time.After(wait):
		}
	}
	return nil
}

// restarts decides when a dead Envoy is started again.
type restarts struct {
	wait   time.Duration // before the latest restart
	failed int           // failed starts in a row
	served bool          // an Envoy has served
}

// next is told how long the latest Envoy lived, whether a signal ended it, and whether
// any Envoy has served. It returns the wait before the next start, or false if no
// Envoy has served and another would not either.
//
// A start has failed if Envoy dies within a second. On a busy machine it may take
// longer to reject its configuration, but then it exits by itself, which it never does
// later: a crash is a signal.
func (r *restarts) next(lived time.Duration, crashed, served bool) (wait time.Duration, again bool) {
	const (
		first, longest = 100 * time.Millisecond, 5 * time.Second
		healthy        = 10 * time.Second
	)
	if lived < time.Second || !crashed && lived < healthy {
		r.failed++
	} else {
		r.failed = 0
	}
	r.served = r.served || served || lived >= healthy
	if lived >= healthy {
		r.wait = 0
	}
	r.wait = min(max(2*r.wait, first), longest)
	return r.wait, r.served || r.failed < 5
}

// process is one started Envoy.
type process struct {
	cmd    *exec.Cmd
	pid    int
	output *output
	log    *slog.Logger

	exited  chan struct{} // closed once the fields below hold
	err     error         // its status, never nil
	lived   time.Duration
	crashed bool // a signal ended it
}

func start(c Config, file string, log *slog.Logger) (*process, error) {
	args := []string{
		"--config-path", file,
		// Hot restart uses shared memory under a number, for which several Envoys on
		// one machine would compete.
		"--disable-hot-restart",
		"--log-format", logFormat,
		// Of the lines that an access logger writes to stderr: about tunnels that a proxy
		// refused. The default is 10 s.
		"--file-flush-interval-msec", "1000",
		// A drain asks every connection to close at its next response. By default it
		// would ask a growing share of them over ten minutes.
		"--drain-strategy", "immediate",
	}
	args = append(args, logLevelArgs(cmp.Or(c.LogLevel, "warning"))...)
	if c.Concurrency > 0 {
		args = append(args, "--concurrency", strconv.Itoa(c.Concurrency))
	}
	out := &output{log: log}
	cmd := exec.Command(c.Path, args...)
	cmd.Env = []string{} // ours may hold provider keys
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = sysProcAttr()

	started := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, pid: cmd.Process.Pid, output: out, log: log, exited: make(chan struct{})}
	go func() {
		p.err = cmp.Or(cmd.Wait(), errors.New("exit status 0"))
		p.lived = time.Since(started)
		p.crashed = !cmd.ProcessState.Exited()
		out.flush()
		close(p.exited)
	}()
	return p, nil
}

// drain closes the listeners and waits until no request is left, for DrainTime at
// most, like http.Server.Shutdown. The admin interface could also keep accepting
// connections for a while (?graceful), but under load a request would then always be
// cut in the end.
//
// The kernel resets connections that Envoy has not accepted yet, as with any server.
// To avoid that, keep clients away before ctx ends.
func (p *process) drain(ctx context.Context, admin *Admin, c Config) {
	if c.DrainTime <= 0 || admin == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.DrainTime)
	defer cancel()
	if _, err := admin.Post(ctx, "/drain_listeners"); err != nil {
		p.log.Warn("envoy was not drained", "error", err)
		return
	}
	active := -1 // not known yet
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for active != 0 {
		select {
		case <-tick.C:
		case <-p.exited:
			return
		case <-c.Now:
			p.log.Warn("stopping envoy with requests running", "requests", active)
			return
		case <-ctx.Done():
			p.log.Warn("drain time of envoy is over with requests running", "requests", active)
			return
		}
		if n, err := admin.ActiveRequests(ctx); err == nil {
			active = n
		}
	}
	// An Envoy that exits drops the log entries that it has not sent yet, and with
	// them the token usage of those requests.
	if c.LogFlush > 0 {
		select {
		case <-time.After(c.LogFlush + drainPoll):
		case <-p.exited:
		case <-c.Now:
		case <-ctx.Done():
		}
	}
}

// stop ends Envoy and returns when its process has exited.
func (p *process) stop() {
	p.output.stopping.Store(true)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(killAfter):
		p.log.Warn("envoy did not exit after SIGTERM: killing it", "pid", p.pid)
		p.signal(syscall.SIGKILL)
		<-p.exited
	}
	p.log.Info("envoy stopped", "pid", p.pid)
}

// signal signals an Envoy only until its process has been waited for, so that it never
// reaches another process with the same id.
func (p *process) signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.log.Warn("envoy cannot be signalled", "pid", p.pid, "signal", s, "error", err)
	}
}

// writeConfig writes the file that Envoy starts from, readable by this user only.
func writeConfig(dir string, bootstrap []byte) (path string, err error) {
	f, err := os.CreateTemp(dir, "envoy-*.yaml")
	if err != nil {
		return "", err
	}
	_, err = f.Write(bootstrap)
	if err := cmp.Or(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// adminIn returns the admin interface that a bootstrap configures, or nil if it has
// none.
func adminIn(bootstrap []byte) (*Admin, error) {
	var b struct {
		Admin struct {
			Address adminAddress `yaml:"address"`
		} `yaml:"admin"`
	}
	if err := yaml.Unmarshal(bootstrap, &b); err != nil {
		return nil, err
	}
	if path := b.Admin.Address.Pipe.Path; path != "" {
		if err := checkSocket(path); err != nil {
			return nil, fmt.Errorf("admin socket: %w", err)
		}
	}
	if address := b.Admin.Address.String(); address != "" {
		return NewAdmin(address), nil
	}
	return nil, nil
}
