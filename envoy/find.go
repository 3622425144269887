package envoy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// FindOptions says where to look.
type FindOptions struct {
	Path     string              // the user's own choice (--envoy); "" when there is none
	Getenv   func(string) string // nil: os.Getenv
	CacheDir string              // where Envoys are installed; "": weir's folder in the user's cache
	Log      *slog.Logger        // nil: silent
}

// Find gives the absolute path of an Envoy that has just answered --version.
// It takes the first of: Path, $ENVOY_PATH, `envoy` on PATH if it is of the
// release line of Version, the cache, a fresh install into the cache.
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
			log.Info("envoy on PATH passed over", "path", path, "reason", err)
		case !sameLine(version):
			log.Info("envoy on PATH passed over", "path", path, "version", version, "want", Version)
		default:
			return path, nil
		}
	}
	return cached(ctx, log, o)
}

// named checks an Envoy that the user chose. Another version than ours is the
// user's decision, so it is only logged.
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

// cached gives the Envoy of the cache, after installing it there if need be.
func cached(ctx context.Context, log *slog.Logger, o FindOptions) (string, error) {
	dir := o.CacheDir
	if dir == "" {
		var err error
		if dir, err = defaultCacheDir(); err != nil {
			return "", err
		}
	}
	target := filepath.Join(dir, "envoy-"+Version)
	path := binaryIn(target)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		log.Info("installing Envoy", "version", Version, "into", target)
		if err := install(ctx, o.Getenv("PATH"), target); err != nil {
			return "", fmt.Errorf("install Envoy %s into %s: %w", Version, target, err)
		}
	}
	version, err := versionOf(ctx, path)
	if err == nil && version != Version {
		err = fmt.Errorf("%s: version %s instead of %s", path, version, Version)
	}
	if err != nil {
		return "", fmt.Errorf("cached Envoy: %w (delete %s to have it installed again)", err, target)
	}
	return path, nil
}

// lookPath is exec.LookPath with the search path passed in. Like that one it
// takes no program from a relative folder.
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

// versionOf runs `path --version`. Programs of other trades are called envoy
// too, so what it prints is checked for Envoy's own shape.
func versionOf(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w%s", path, cmp.Or(ctx.Err(), err), lastLines(out, 3))
	}
	version, ok := parseVersion(string(out))
	if !ok {
		return "", fmt.Errorf("%s --version: not Envoy's answer:%s", path, lastLines(out, 3))
	}
	return version, nil
}

// parseVersion reads `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
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

// lastLines gives the end of a program's output, indented for an error.
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
