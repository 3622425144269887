package envoy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// With the variable set the test binary is a weir that only supervises: it
// prints the pid of its Envoy and then waits for its own death.
const supervisorVar = "WEIR_TEST_SUPERVISOR_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(supervisorVar); dir != "" {
		err := supervise(dir)
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func supervise(dir string) error {
	path, err := Find(context.Background(), FindOptions{})
	if err != nil {
		return err
	}
	b, err := Bootstrap(BootstrapOptions{NodeID: "n", Socket: filepath.Join(dir, "none.sock")})
	if err != nil {
		return err
	}
	return Run(context.Background(), Config{
		Path: path, Bootstrap: b, Dir: dir, LogLevel: "off",
		Started: func(pid int) { fmt.Println(pid) },
	})
}

func TestEnvoyDiesWithItsSupervisor(t *testing.T) {
	t.Parallel()
	realEnvoy(t) // installed by this process
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	weir := exec.Command(self)
	weir.Env = append(os.Environ(), supervisorVar+"="+shortDir(t))
	weir.Stderr = os.Stderr
	out, err := weir.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := weir.Start(); err != nil {
		t.Fatal(err)
	}
	defer weir.Wait()
	defer weir.Process.Kill()

	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	group, err := syscall.Getpgid(pid)
	if err != nil || group != pid {
		t.Errorf("process group %d of %d, %v", group, pid, err)
	}
	if err := weir.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, "envoy is gone", func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, os.ErrNotExist) || strings.Contains(string(stat), ") Z ") { // where nobody reaps orphans
			return nil
		}
		return fmt.Errorf("%s, %v", stat, err)
	})
}

// weir's environment may hold provider keys.
func TestEnvoyHasNoEnvironment(t *testing.T) {
	t.Parallel()
	e := startEnvoy(t, Config{}, "")
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", <-e.pids))
	if err != nil || len(environ) != 0 {
		t.Errorf("got %q, %v", environ, err)
	}
}
