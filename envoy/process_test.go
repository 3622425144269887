package envoy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRunRestartsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	e := startEnvoy(t, Config{DrainTime: deadline}, "")
	first := <-e.pids

	info, err := os.Stat(filepath.Join(e.dir, "admin.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("admin socket: %v, %v", info.Mode(), err)
	}
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := <-e.pids
	e.waitServing()

	e.cancel()
	if err := e.wait(); err != nil {
		t.Error(err)
	}
	for _, pid := range []int{first, second} {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d: %v", pid, err)
		}
	}
	if left := names(t, e.dir); !slices.Equal(left, []string{"weir.sock"}) { // which is the test's
		t.Errorf("left behind: %v", left)
	}
}

func TestRunDrains(t *testing.T) {
	t.Parallel()
	e := startEnvoy(t, Config{DrainTime: deadline}, "")
	address := e.waitServing()
	held := e.hold()

	e.cancel()
	until(t, "the listener is closed", func() error {
		conn, err := net.Dial("tcp", address)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
		if err == nil {
			conn.Close()
			err = errors.New("open")
		}
		return err
	})
	if n, err := e.admin.ActiveRequests(t.Context()); n != 1 || err != nil {
		t.Errorf("while draining: %d active, %v", n, err)
	}
	select {
	case <-e.ended:
		t.Fatal("Run did not wait for the request")
	default:
	}
	e.upstream.release()
	if body, err := held.finish(); body != "first,last" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
	if err := e.wait(); err != nil {
		t.Error(err)
	}
}

// The entry of the very last request is what it has cost.
func TestRunLosesNoAccessLog(t *testing.T) {
	t.Parallel()
	e := startEnvoy(t, Config{DrainTime: deadline, LogFlush: logFlush}, "")
	held := e.hold()
	e.cancel()
	e.upstream.release()
	if _, err := held.finish(); err != nil {
		t.Error(err)
	}
	if err := e.wait(); err != nil {
		t.Error(err)
	}
	for {
		select {
		case path := <-e.ads.logged:
			if path == "/hold" {
				return
			}
		case <-time.After(deadline):
			t.Fatal("the request was not logged")
		}
	}
}

// A request that would run for ever holds nothing up for longer than allowed.
func TestRunCutsTheDrainShort(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"drain time":    {DrainTime: 100 * time.Millisecond},
		"no drain time": {},
		"now":           {DrainTime: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := make(chan struct{})
			c.Now = now
			e := startEnvoy(t, c, "")
			held := e.hold()
			e.cancel()
			if name == "now" {
				close(now)
			}
			if err := e.wait(); err != nil {
				t.Error(err)
			}
			if body, err := held.finish(); err == nil {
				t.Errorf("got all of %q", body)
			}
		})
	}
}

func TestRunStopsNowWithoutTheContext(t *testing.T) {
	t.Parallel()
	now := make(chan struct{})
	e := startEnvoy(t, Config{DrainTime: time.Hour, Now: now}, "")
	e.hold()
	close(now)
	if err := e.wait(); err != nil {
		t.Error(err)
	}
}

// A stopped process takes no SIGTERM and answers no admin request.
func TestRunKillsAnEnvoyThatHangs(t *testing.T) {
	t.Parallel()
	e := startEnvoy(t, Config{DrainTime: 100 * time.Millisecond}, "")
	pid := <-e.pids
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	e.cancel()
	if err := e.wait(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v", pid, err)
	}
}

// Envoy keeps serving while weir is away, and finds it again by itself.
func TestEnvoyComesBackToARestartedServer(t *testing.T) {
	t.Parallel()
	e := startEnvoy(t, Config{}, "")
	e.ads.stop()
	until(t, "Envoy notices", func() error {
		stats, err := e.admin.Get(t.Context(), "/stats?filter=^control_plane.connected_state$")
		if err == nil && !strings.HasSuffix(strings.TrimSpace(string(stats)), ": 0") {
			err = fmt.Errorf("%s", stats)
		}
		return err
	})
	e.waitServing()

	e.ads.start()
	e.ads.publish("two", e.upstream.address)
	until(t, "the new configuration arrives", func() error {
		listeners, err := e.admin.Listeners(t.Context())
		if err == nil && (len(listeners) != 1 || listeners[0].Name != "two") {
			err = fmt.Errorf("%v", listeners)
		}
		return err
	})
	e.waitServing()
}

func TestRunGivesUp(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	starts := 0
	err := Run(t.Context(), Config{
		Path: realEnvoy(t), Dir: dir,
		Bootstrap: []byte("node: {id: one}\nno_such_field: 1\n"),
		Started:   func(int) { starts++ },
	})
	if err == nil || starts != 5 ||
		!strings.Contains(err.Error(), "5 times in a row: exit status 1") || !strings.Contains(err.Error(), "no_such_field") {
		t.Errorf("%d starts: %v", starts, err)
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRunRefuses(t *testing.T) {
	dir := t.TempDir()
	good, err := Bootstrap(BootstrapOptions{NodeID: "n", Socket: "/run/weir.sock"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Path: dir + "/none", Dir: dir, Bootstrap: good}, "start envoy: fork/exec " + dir + "/none: no such file"},
		{Config{Path: "/bin/true", Dir: dir + "/none", Bootstrap: good}, "no such file or directory"},
		{Config{Path: "/bin/true", Dir: dir, Bootstrap: []byte("}")}, "envoy bootstrap: yaml:"},
		{Config{Path: "/bin/true", Dir: dir, Bootstrap: []byte("admin: {address: {pipe: {path: /" + strings.Repeat("x", 200) + "}}}")},
			"envoy bootstrap: admin socket: /xxx"},
	} {
		if err := Run(t.Context(), c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ended, Config{Path: dir + "/none", Dir: dir, Bootstrap: good}); err != nil {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestRestarts(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	type death struct {
		lived   time.Duration
		crashed bool
		want    time.Duration // -1: gives up
		served  bool
	}
	for _, deaths := range [][]death{
		{{0, true, 100 * ms, false}, {0, false, 200 * ms, false}, {0, true, 400 * ms, false}, {999 * ms, true, 800 * ms, false}, {0, true, -1, false}},
		{{9 * s, false, 100 * ms, false}, {9 * s, false, 200 * ms, false}, {9 * s, false, 400 * ms, false}, {9 * s, false, 800 * ms, false}, {9 * s, false, -1, false}},
		{{0, true, 100 * ms, false}, {0, true, 200 * ms, false}, {0, true, 400 * ms, false}, {0, true, 800 * ms, false}, {1 * s, true, 1600 * ms, false},
			{9 * s, true, 3200 * ms, false}, {9 * s, true, 5 * s, false}, {9 * s, true, 5 * s, false}, {9 * s, true, 5 * s, false}, {9 * s, true, 5 * s, false}},
		{{2 * s, true, 100 * ms, false}, {2 * s, true, 200 * ms, false}, {10 * s, true, 100 * ms, false}, {2 * s, true, 200 * ms, false}, {time.Hour, false, 100 * ms, false}},
		// Once one has served, none is the last.
		{{3 * s, true, 100 * ms, true}, {0, true, 200 * ms, false}, {0, false, 400 * ms, false}, {0, true, 800 * ms, false},
			{0, true, 1600 * ms, false}, {0, true, 3200 * ms, false}, {0, true, 5 * s, false}, {0, false, 5 * s, false}, {0, false, 5 * s, false}},
		{{10 * s, true, 100 * ms, false}, {0, false, 200 * ms, false}, {0, false, 400 * ms, false}, {0, false, 800 * ms, false},
			{0, false, 1600 * ms, false}, {0, false, 3200 * ms, false}, {0, false, 5 * s, false}},
	} {
		var r restarts
		for i, d := range deaths {
			wait, again := r.next(d.lived, d.crashed, d.served)
			if !again {
				wait = -1
			}
			if wait != d.want {
				t.Errorf("%v: death %d: got %v", deaths, i, wait)
			}
		}
	}
}

func TestAdminErrors(t *testing.T) {
	t.Parallel()
	e := startEnvoy(t, Config{}, "")
	if _, err := e.admin.Get(t.Context(), "/drain_listeners"); err == nil || !strings.Contains(err.Error(), "405 Method Not Allowed") {
		t.Errorf("got %v", err)
	}
	dump, err := e.admin.ConfigDump(t.Context())
	if err != nil || !strings.Contains(string(dump), `"name": "upstream"`) {
		t.Errorf("config dump: %v\n%s", err, dump)
	}
	none := NewAdmin(filepath.Join(e.dir, "none.sock"))
	if _, err := none.ActiveRequests(t.Context()); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v", err)
	}
}

func TestAdminOverTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"stats":[{"name":"http.admin.downstream_rq_active","value":1},{"name":"http.a.downstream_rq_active","value":2},{"name":"http.b.downstream_rq_active","value":3}]}`)
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	if n, err := NewAdmin(l.Addr().String()).ActiveRequests(t.Context()); n != 5 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestOutput(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, c := range []struct {
		writes []string
		want   string
	}{
		{[]string{"[warning][config] gRPC stream [x] closed\n"}, `level=WARN msg="gRPC stream [x] closed" envoy=config`},
		{[]string{"[info][ma", "in] a\n[error]", "[main] b"}, "level=INFO msg=a envoy=main\nlevel=ERROR msg=b envoy=main"},
		{[]string{"[critical][backtrace] c\n[trace][pool] d\n"}, "level=ERROR msg=c envoy=backtrace\nlevel=DEBUG-4 msg=d envoy=pool"},
		{[]string{"terminate called\n\n\r\n[no][such] level\n[x\n"}, "level=WARN msg=\"terminate called\" envoy=stderr\n" +
			"level=WARN msg=\"[no][such] level\" envoy=stderr\nlevel=WARN msg=[x envoy=stderr"},
		{[]string{"[info][m] ", long, long, "\n[info][m] next\n"},
			"level=INFO msg=" + long[len("[info][m] "):] + "… envoy=m\nlevel=INFO msg=next envoy=m"},
		{[]string{"\xff[info]\n"}, "level=WARN msg=[info] envoy=stderr"},
	} {
		var log strings.Builder
		o := &output{log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
			Level: slog.LevelDebug - 4,
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		}))}
		for _, w := range c.writes {
			if n, err := o.Write([]byte(w)); n != len(w) || err != nil {
				t.Errorf("%q: wrote %d, %v", w, n, err)
			}
		}
		o.flush()
		if got := strings.TrimSuffix(log.String(), "\n"); got != c.want {
			t.Errorf("%q:\ngot  %s\nwant %s", c.writes, got, c.want)
		}
	}
}

func TestOutputKeepsTheLastLines(t *testing.T) {
	o := &output{log: orDiscard(nil)}
	for i := range 100 {
		fmt.Fprintf(o, "line %d\n", i)
	}
	last := o.last()
	if strings.Count(last, "\n") != keptLines || !strings.HasPrefix(last, "\n\tline 80\n") || !strings.HasSuffix(last, "\n\tline 99") {
		t.Errorf("got %s", last)
	}
}
