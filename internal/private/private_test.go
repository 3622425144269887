package private

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mallory is another user of the machine, and envoy one that is listed.
const (
	us      = 65532
	mallory = 1234
	envoy   = 101
)

// TestMain lets the test binary be a program of another user: connect writes to
// a socket and tells what came back.
func TestMain(m *testing.M) {
	if path := os.Getenv("PRIVATE_TEST_CONNECT"); path != "" {
		var got struct{ Error, Read string }
		conn, err := net.Dial("unix", path)
		if err != nil {
			got.Error = err.Error()
		} else {
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			_, _ = conn.Write([]byte("give me the keys\n"))
			b := make([]byte, 100)
			n, _ := conn.Read(b)
			got.Read = string(b[:n])
		}
		_ = json.NewEncoder(os.Stdout).Encode(got)
		return
	}
	os.Exit(m.Run())
}

// needRoot: other users can only be tried by root, which CI is.
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

// as runs this test binary as a user with its environment set.
func as(t *testing.T, uid uint32, env string) []byte {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir := openTempDir(t)
	program := filepath.Join(dir, "as")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Dir, cmd.Env = "/", []string{env}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("as uid %d: %v %s", uid, err, &stderr)
	}
	return out
}

// openTempDir makes a folder that everybody may enter.
func openTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "private")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	return info.Mode() &^ (fs.ModeDir | fs.ModeSocket)
}

func TestDirMakes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077, 0o777} {
		top := t.TempDir()
		before := unix.Umask(umask)
		got, err := Dir(top + "/a/../b//c")
		other, err2 := DirMode(top+"/d/e", 0o711)
		unix.Umask(before)
		must(t, err, err2)
		if got != top+"/b/c" || mode(t, got) != 0o700 || mode(t, top+"/b") != 0o700 {
			t.Errorf("umask %o: %s has mode %o, below %o", umask, got, mode(t, got), mode(t, top+"/b"))
		}
		if mode(t, other) != 0o711 || mode(t, top+"/d") != 0o700 {
			t.Errorf("umask %o: modes %o and %o", umask, mode(t, other), mode(t, top+"/d"))
		}
		if again, err := Dir(other); err != nil || again != other || mode(t, other) != 0o711 {
			t.Errorf("umask %o: a folder that exists: %v, mode %o", umask, err, mode(t, other))
		}
	}
}

// TestDirRefuses: what somebody else may have prepared. at is the folder that
// is asked for, in a folder of ours.
func TestDirRefuses(t *testing.T) {
	give := func(uid int) func(t *testing.T, at string) {
		return func(t *testing.T, at string) {
			needRoot(t)
			must(t, os.Mkdir(at, 0o700), os.Chown(at, uid, uid))
		}
	}
	made := func(mode fs.FileMode) func(t *testing.T, at string) {
		return func(t *testing.T, at string) { must(t, os.Mkdir(at, 0o700), os.Chmod(at, mode)) }
	}
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, at string)
		want    string
	}{
		{"another user's", give(mallory), "belongs to uid 1234 and not to this user"},
		{"another user's, group-writable and setgid", func(t *testing.T, at string) {
			give(mallory)(t, at)
			must(t, os.Chmod(at, fs.ModeSetgid|0o770))
		}, "belongs to uid 1234"},
		{"ours, group-writable and setgid", made(fs.ModeSetgid | 0o770), "mode 2770 lets other users write to it"},
		{"ours, writable by everybody", made(0o707), "mode 0707"},
		{"ours, sticky", made(fs.ModeSticky | 0o777), "mode 1777"},
		{"a link to a folder of ours", func(t *testing.T, at string) {
			must(t, os.Mkdir(at+".real", 0o700), os.Symlink(at+".real", at))
		}, "is a symbolic link"},
		{"a link that leads nowhere", func(t *testing.T, at string) { must(t, os.Symlink(at+".real", at)) }, "is a symbolic link"},
		{"a file", func(t *testing.T, at string) { must(t, os.WriteFile(at, nil, 0o600)) }, "not a directory"},
		{"in a folder of another user", func(t *testing.T, at string) {
			needRoot(t)
			must(t, os.Chown(filepath.Dir(at), mallory, mallory))
		}, "belongs to uid 1234"},
		{"in a folder that everybody may write to", func(t *testing.T, at string) { must(t, os.Chmod(filepath.Dir(at), 0o777)) }, "mode 0777"},
		{"in a folder that the group may write to", func(t *testing.T, at string) { must(t, os.Chmod(filepath.Dir(at), 0o775)) }, "mode 0775"},
		{"behind a link of another user", func(t *testing.T, at string) {
			needRoot(t)
			top := filepath.Dir(at)
			must(t, os.Rename(top, top+".real"), os.Symlink(top+".real", top), os.Lchown(top, mallory, mallory))
		}, "is a symbolic link of uid 1234"},
		{"behind links in a circle", func(t *testing.T, at string) {
			top := filepath.Dir(at)
			must(t, os.Remove(top), os.Symlink(top, top))
		}, "too many levels of symbolic links"},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := filepath.Join(t.TempDir(), "top")
			must(t, os.Mkdir(top, 0o700))
			at := filepath.Join(top, "weir")
			c.prepare(t, at)
			for what, try := range map[string]func(string) (string, error){"Dir": Dir, "CheckDir": CheckDir} {
				if _, err := try(at); err == nil || !strings.Contains(err.Error(), c.want) && what == "Dir" {
					t.Errorf("%s: %v, want %q", what, err, c.want)
				}
			}
			// Nor is a socket made there, where there is a folder.
			if l, err := Listen(filepath.Join(at, "weir.sock"), 0o600); err == nil {
				t.Error("a socket was made")
				_ = l.Close()
			}
		})
	}
}

// TestDirTakes: what is common and harmless.
func TestDirTakes(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, top string)
	}{
		{"in a sticky folder", func(t *testing.T, top string) { must(t, os.Chmod(top, fs.ModeSticky|0o777)) }},
		{"readable by others", func(t *testing.T, top string) { must(t, os.Mkdir(top+"/weir", 0o755)) }},
		{"behind a link of ours", func(t *testing.T, top string) {
			must(t, os.Rename(top, top+".real"), os.Symlink(filepath.Base(top)+".real", top))
		}},
		{"behind a link to ..", func(t *testing.T, top string) {
			must(t, os.Rename(top, top+".real"), os.Mkdir(top+".x", 0o700), os.Symlink(top+".x/../"+filepath.Base(top)+".real", top))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := filepath.Join(t.TempDir(), "top")
			must(t, os.Mkdir(top, 0o700))
			c.prepare(t, top)
			if _, err := Dir(top + "/weir"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTempDir(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir, err := TempDir("weir-")
	if err != nil || mode(t, dir) != 0o700 {
		t.Errorf("%s, %v", dir, err)
	}
	must(t, os.Chmod(filepath.Dir(dir), 0o777))
	if _, err := TempDir("weir-"); err == nil || !strings.Contains(err.Error(), "set TMPDIR") {
		t.Errorf("in a folder in which others may rename it: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestListen: the mode of the socket, what it replaces, and what it does not.
func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "weir.sock")
	before := unix.Umask(0)
	l, err := Listen(path, 0o600)
	after := unix.Umask(before)
	must(t, err)
	if after != 0 {
		t.Errorf("the umask is %o after, want 0", after)
	}
	if mode(t, path) != 0o600 {
		t.Errorf("mode %o", mode(t, path))
	}
	if _, err := Listen(path, 0o600); err == nil || !strings.Contains(err.Error(), "another weir serves this socket") {
		t.Errorf("one that is served: %v", err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	l, err = Listen(path, 0o666)
	if err != nil || mode(t, path) != 0o666 {
		t.Fatalf("one that was left behind: %v, mode %o", err, mode(t, path))
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()

	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600), os.Symlink(path, dir+"/link"))
	for _, taken := range []string{file, dir + "/link"} {
		if _, err := Listen(taken, 0o600); err == nil || !strings.Contains(err.Error(), "is not a socket") {
			t.Errorf("%s: %v", taken, err)
		}
		if _, err := os.Lstat(taken); err != nil {
			t.Error(err)
		}
	}
	t.Run("of another user", func(t *testing.T) {
		needRoot(t)
		must(t, os.Chown(path, mallory, mallory))
		if _, err := Listen(path, 0o600); err == nil || !strings.Contains(err.Error(), "is a socket of uid 1234") {
			t.Error(err)
		}
	})
}

// TestBindIsNarrow: at no moment can another user open the socket, even where
// the folder lets everybody in and the umask is 0.
func TestBindIsNarrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.sock")
	before := unix.Umask(0)
	defer unix.Umask(before)
	l, err := bind(path)
	must(t, err)
	defer l.Close()
	if mode(t, path) != 0o700 {
		t.Errorf("mode %o right after bind", mode(t, path))
	}
}

// TestGuarded: a socket that every user may open, by its mode, serves those
// that the kernel names and the list has. The others get no byte.
func TestGuarded(t *testing.T) {
	needRoot(t)
	dir := openTempDir(t)
	path := filepath.Join(dir, "weir.sock")
	listener, err := Listen(path, 0o666)
	must(t, err)
	users, err := ParseUsers([]string{"101"})
	must(t, err)
	refused := make(chan Peer, 10)
	g := &Guarded{UnixListener: listener, Users: users, Refused: func(p Peer, err error) {
		if err != nil {
			t.Error(err)
		}
		refused <- p
	}}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := g.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("keys"))
			_ = conn.Close()
		}
	}()
	for _, c := range []struct {
		uid  uint32
		want string
	}{{0, "keys"}, {mallory, ""}, {envoy, "keys"}, {us, ""}} {
		var got struct{ Error, Read string }
		must(t, json.Unmarshal(as(t, c.uid, "PRIVATE_TEST_CONNECT="+path), &got))
		if got.Error != "" || got.Read != c.want {
			t.Errorf("uid %d: got %+v, want %q", c.uid, got, c.want)
		}
		if c.want == "" {
			select {
			case p := <-refused:
				if p.UID != c.uid || p.PID == 0 {
					t.Errorf("refused %+v, want uid %d", p, c.uid)
				}
			case <-time.After(time.Minute):
				t.Fatalf("uid %d is not reported", c.uid)
			}
		}
	}
	_ = g.Close()
	<-served
	if len(refused) > 0 {
		t.Errorf("refused %+v", <-refused)
	}
}

func TestParseUsers(t *testing.T) {
	u, err := ParseUsers([]string{"root", "101", "4294967294"})
	must(t, err)
	for uid, want := range map[uint32]bool{0: true, uint32(os.Geteuid()): true, 101: true, 4294967294: true, 1234: false} {
		if u.Allow(Peer{UID: uid}) != want {
			t.Errorf("uid %d: %v", uid, !want)
		}
	}
	if !u.Others() || (Users{}).Others() {
		t.Error("Others")
	}
	if _, err := ParseUsers([]string{"nobody-has-this-name"}); err == nil || !strings.Contains(err.Error(), "write the numeric uid") {
		t.Error(err)
	}
}

func TestOpenFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	must(t, os.WriteFile(path, []byte("x"), 0o644), os.Symlink(path, dir+"/link"), unix.Mkfifo(dir+"/pipe", 0o600))
	f, err := OpenFile(path)
	must(t, err)
	_ = f.Close()
	for file, want := range map[string]string{dir + "/link": "symbolic link", dir + "/pipe": "not a regular file", dir + "/none": "no such file"} {
		if _, err := OpenFile(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
	must(t, os.Chmod(path, 0o666))
	if _, err := OpenFile(path); err == nil || !strings.Contains(err.Error(), "mode 0666") {
		t.Error(err)
	}
}
