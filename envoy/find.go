package envoy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"weir/internal/private"
)

// FindOptions are the places where Find looks.
type FindOptions struct {
	Path     string              // the user's own choice (--envoy); "" if there is none
	Getenv   func(string) string // nil: os.Getenv
	CacheDir string              // where Envoys are installed; "": weir's folder in the user's cache
	Log      *slog.Logger        // nil: silent

	release *release // instead of that of this platform; for tests
}

// Find returns the absolute path of an Envoy that has just run with --version. It uses
// the first of: Path, $ENVOY_PATH, `envoy` on PATH if it is of the release line of
// Version, the cache, a new installation into the cache.
//
// Once the cache is filled, neither Python nor a network is needed.
func Find(ctx context.Context, o FindOptions) (string, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	log := orDiscard(o.Log)

	if o.Path != "" {
		return named(ctx, log, "--envoy", o.Path)
	}
	if path := o.Getenv("ENVOY_PATH"); path != "" {
		return named(ctx, log, "ENVOY_PATH", path)
	}
	if path := lookPath(o.Getenv("PATH"), "envoy"); path != "" {
		switch version, err := versionOf(ctx, path); {
		case err != nil:
			log.Info("ignoring envoy on PATH", "path", path, "reason", err)
		case !sameLine(version):
			log.Info("ignoring envoy on PATH", "path", path, "version", version, "want", Version)
		default:
			return path, nil
		}
	}
	return cached(ctx, log, o)
}

// named checks an Envoy that the user chose. Another version than the tested one is
// the user's decision, so it is only logged.
func named(ctx context.Context, log *slog.Logger, source, path string) (string, error) {
	found, err := exec.LookPath(path)
	if err == nil {
		found, err = filepath.Abs(found)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", source, err)
	}
	version, err := versionOf(ctx, found)
	if err != nil {
		return "", fmt.Errorf("%s: %w", source, err)
	}
	if !sameLine(version) {
		log.Warn("weir is not tested with this Envoy", "path", found, "version", version, "tested", Version)
	}
	return found, nil
}

// cached returns the Envoy of the cache, and installs it there if needed. It only runs
// a binary that has the pinned checksum of Version, from a folder that no other user
// can write to.
func cached(ctx context.Context, log *slog.Logger, o FindOptions) (string, error) {
	want, ok := releases[runtime.GOOS+"/"+runtime.GOARCH]
	if o.release != nil {
		want, ok = *o.release, true
	}
	if !ok {
		return "", fmt.Errorf("there is no package of Envoy %s for %s/%s: name an Envoy with --envoy or ENVOY_PATH", Version, runtime.GOOS, runtime.GOARCH)
	}
	dir, err := private.Dir(cmp.Or(o.CacheDir, defaultCacheDir()))
	if err != nil {
		return "", fmt.Errorf("folder for Envoy: %w (XDG_CACHE_HOME or HOME chooses another folder, --envoy or ENVOY_PATH another Envoy)", err)
	}
	target := filepath.Join(dir, "envoy-"+Version)
	path := binaryIn(target)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		log.Info("installing Envoy", "version", Version, "into", target)
		if err := install(ctx, o.Getenv("PATH"), target, want); err != nil {
			return "", fmt.Errorf("install Envoy %s into %s: %w", Version, target, err)
		}
	}
	err = verify(path, want.binary)
	if err == nil {
		var version string
		if version, err = versionOf(ctx, path); err == nil && version != Version {
			err = fmt.Errorf("%s: version %s instead of %s", path, version, Version)
		}
	}
	if err != nil {
		return "", fmt.Errorf("cached Envoy: %w (delete %s to have it installed again)", err, target)
	}
	return path, nil
}

// verify checks a binary that Weir installed before it runs. That takes 0.1 s at each
// start: a file that records the check would be as easy to change as the binary.
func verify(path, want string) error {
	f, err := private.OpenFile(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("%s: has been changed: its SHA-256 is %s, that of Envoy %s is %s", path, got, Version, want)
	}
	return nil
}

// lookPath is exec.LookPath with the search path passed in. Like that function, it
// ignores programs in relative folders.
func lookPath(path, program string) string {
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if found, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return found
		}
	}
	return ""
}

// versionOf runs `path --version`. Unrelated programs are called envoy too, so it
// checks that the output looks like Envoy's.
func versionOf(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = []string{} // ours may hold provider keys
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w%s", path, cmp.Or(ctx.Err(), err), lastLines(out, 3))
	}
	version, ok := parseVersion(string(out))
	if !ok {
		return "", fmt.Errorf("%s --version: unexpected output:%s", path, lastLines(out, 3))
	}
	return version, nil
}

// parseVersion parses `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
func parseVersion(out string) (version string, ok bool) {
	_, rest, ok := strings.Cut(out, " version: ")
	if !ok {
		return "", false
	}
	fields := strings.Split(strings.TrimSpace(rest), "/")
	if len(fields) != 5 {
		return "", false
	}
	return fields[1], true
}

// lastLines returns the end of a program's output, indented for an error message.
func lastLines(out []byte, n int) string {
	text := strings.TrimSpace(string(out))
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-n):]
	return "\n\t" + strings.Join(lines, "\n\t")
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
