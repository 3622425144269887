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

	yaml "go.yaml.in/yaml/v3"
)

// Config says which Envoy to run and how.
type Config struct {
	Path        string          // Envoy's binary, as Find gives it
	Bootstrap   []byte          // what it starts from, as Bootstrap gives it
	Dir         string          // an existing folder of this process, for the configuration file
	Concurrency int             // worker threads; 0: one for each CPU
	LogLevel    string          // trace to critical, or off; "": warning
	DrainTime   time.Duration   // longest wait for running requests when ctx ends; 0: none
	Now         <-chan struct{} // closed: stop without (further) waiting for requests; may be nil
	Log         *slog.Logger    // for Envoy's log and the supervisor's; nil: silent
	Started     func(pid int)   // called after every start; may be nil
}

// killAfter is how long Envoy may take to obey SIGTERM.
const killAfter = 5 * time.Second

// Run keeps an Envoy running until ctx ends, then stops it and gives nil. An
// Envoy that dies is started again. Run fails only when Envoy cannot be started
// or dies at once every time.
//
// When ctx ends, Envoy first closes its listeners and finishes the requests it
// has, for DrainTime at most. weir's own servers must live until Run is back:
// those requests still need them. Nothing that Run or Envoy made is left then.
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
		if err != nil {
			return fmt.Errorf("start envoy: %w", err)
		}
		if c.Started != nil {
			c.Started(envoy.pid)
		}
		select {
		case <-ctx.Done():
			envoy.drain(context.WithoutCancel(ctx), admin, c.DrainTime, c.Now)
			envoy.stop()
			return nil
		case <-c.Now:
			envoy.stop()
			return nil
		case <-envoy.exited:
		}
		wait, again := history.next(envoy.lived)
		if !again {
			return fmt.Errorf("envoy dies as soon as it is started, %d times in a row: %w%s",
				history.early, envoy.err, envoy.output.last())
		}
		log.Error("envoy died", "pid", envoy.pid, "error", envoy.err, "lived", envoy.lived, "restart_in", wait)
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
	wait  time.Duration // before the latest restart
	early int           // deaths within a second of the start, in a row
}

// next is told how long the latest Envoy lived. It gives the wait before
// another is started, or false when there is no hope in one.
func (r *restarts) next(lived time.Duration) (wait time.Duration, again bool) {
	const first, longest = 100 * time.Millisecond, 5 * time.Second

	if lived >= time.Second {
		r.early = 0
	} else if r.early++; r.early == 5 {
		return 0, false
	}
	if lived >= 10*time.Second {
		r.wait = 0
	}
	r.wait = min(max(2*r.wait, first), longest)
	return r.wait, true
}

// process is one started Envoy.
type process struct {
	cmd    *exec.Cmd
	pid    int
	output *output
	log    *slog.Logger

	exited chan struct{} // closed once the fields below hold
	err    error
	lived  time.Duration
}

func start(c Config, file string, log *slog.Logger) (*process, error) {
	args := []string{
		"--config-path", file,
		// Hot restart lives in shared memory under a number, for which several
		// Envoys on one machine would fight.
		"--disable-hot-restart",
		"--log-level", cmp.Or(c.LogLevel, "warning"),
		"--log-format", logFormat,
		// A drain asks every connection to close at its next response; by
		// default it would ask a growing share of them over ten minutes.
		"--drain-strategy", "immediate",
	}
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
	log.Info("envoy started", "pid", cmd.Process.Pid)
	p := &process{cmd: cmd, pid: cmd.Process.Pid, output: out, log: log, exited: make(chan struct{})}
	go func() {
		p.err = cmp.Or(cmd.Wait(), errors.New("exit status 0"))
		p.lived = time.Since(started)
		out.flush()
		close(p.exited)
	}()
	return p, nil
}

// drain closes the listeners and waits until no request is left, for limit at
// most. It is http.Server.Shutdown for Envoy. The admin interface could also
// keep accepting for a while (?graceful), but under load there would then
// always be a request to cut off in the end.
func (p *process) drain(ctx context.Context, admin *Admin, limit time.Duration, now <-chan struct{}) {
	if limit <= 0 || admin == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if _, err := admin.Post(ctx, "/drain_listeners"); err != nil {
		p.log.Warn("envoy is not drained", "error", err)
		return
	}
	active := -1 // not known yet
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for active != 0 {
		select {
		case <-tick.C:
		case <-p.exited:
			return
		case <-now:
			p.log.Warn("envoy is told to stop with requests running", "requests", active)
			return
		case <-ctx.Done():
			p.log.Warn("envoy's drain time is over with requests running", "requests", active)
			return
		}
		if n, err := admin.ActiveRequests(ctx); err == nil {
			active = n
		}
	}
}

// stop ends Envoy and returns when it is gone.
func (p *process) stop() {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(killAfter):
		p.log.Warn("envoy does not obey SIGTERM and is killed", "pid", p.pid)
		p.signal(syscall.SIGKILL)
		<-p.exited
	}
	p.log.Info("envoy stopped", "pid", p.pid)
}

// signal reaches only an Envoy that is not yet waited for, never another
// process that was given its number.
func (p *process) signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.log.Warn("envoy cannot be signalled", "pid", p.pid, "signal", s, "error", err)
	}
}

// writeConfig writes the file that Envoy starts from, readable by us alone.
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

// adminIn gives the admin interface that a bootstrap configures, nil if none.
func adminIn(bootstrap []byte) (*Admin, error) {
	var b struct {
		Admin struct {
			Address address `yaml:"address"`
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
