package e2e

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/gatewaytest"
)

// installPatience bounds the download of the clients, which happens once on a
// machine.
const installPatience = 8 * time.Minute

// script is a client with the program that drives it (clients/steps.py).
type script struct {
	name string
	// env are the variables that the client reads its base URL and key from:
	// nothing else in it is changed.
	env func(base, key string) []string
	cmd func(t *testing.T, ctx context.Context, stepsFile string) *exec.Cmd
}

func openaiEnv(base, key string) []string {
	return []string{"OPENAI_BASE_URL=" + base + "/v1", "OPENAI_API_KEY=" + key}
}

// The variables with which the clients request other paths: see otherBases.
func bareEnv(base, key string) []string {
	return []string{"OPENAI_BASE_URL=" + base, "OPENAI_API_KEY=" + key}
}

func azureEnv(base, key string) []string {
	return []string{"AZURE_OPENAI_ENDPOINT=" + base, "AZURE_OPENAI_API_KEY=" + key, "OPENAI_API_VERSION=2024-10-21"}
}

func azureV1Env(base, key string) []string {
	return []string{"OPENAI_BASE_URL=" + base + "/openai/v1/", "OPENAI_API_KEY=" + key}
}

func twiceEnv(base, key string) []string {
	return []string{"ANTHROPIC_BASE_URL=" + base + "/v1", "ANTHROPIC_API_KEY=" + key}
}

func anthropicEnv(base, key string) []string {
	return []string{"ANTHROPIC_BASE_URL=" + base, "ANTHROPIC_API_KEY=" + key}
}

func python(file string) func(*testing.T, context.Context, string) *exec.Cmd {
	return func(t *testing.T, ctx context.Context, stepsFile string) *exec.Cmd {
		// -I would hide steps.py, -B keeps the sources' folder clean.
		return exec.CommandContext(ctx, pythonEnv(t), "-B", filepath.Join(clientsDir(), file), stepsFile)
	}
}

func node(file string) func(*testing.T, context.Context, string) *exec.Cmd {
	return func(t *testing.T, ctx context.Context, stepsFile string) *exec.Cmd {
		source, err := os.Open(filepath.Join(clientsDir(), file))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = source.Close() })
		cmd := exec.CommandContext(ctx, "node", "--input-type=module", "-", filepath.Join(clientsDir(), "steps.mjs"), stepsFile)
		// A module from standard input finds its packages from here.
		cmd.Dir = nodeEnv(t)
		cmd.Stdin = source
		return cmd
	}
}

func clientsDir() string { return filepath.Join(gatewaytest.Root(), "e2e", "clients") }

// pythonEnv returns a Python that has clients/requirements.txt installed.
func pythonEnv(t *testing.T) string {
	t.Helper()
	dir, err := pythonClients()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "bin", "python")
}

var pythonClients = sync.OnceValues(func() (string, error) {
	version, err := exec.Command("python3", "-c", "import sys; print('%d.%02d' % sys.version_info[:2], sys.prefix)").Output()
	if err != nil {
		return "", fmt.Errorf("the tests with Python clients need python3 on PATH: %w", err)
	}
	if string(version) < "3.11" {
		return "", fmt.Errorf("the tests with Python clients need Python 3.11, python3 is %s", version)
	}
	return cached("python", string(version), []string{"requirements.txt"}, func(dir string) error {
		if err := run(dir, "python3", "-m", "venv", "."); err != nil {
			return fmt.Errorf("%w\n(Debian and Ubuntu have it in python3-venv)", err)
		}
		// Wheels only: nobody needs a compiler to run these tests.
		return run(dir, filepath.Join("bin", "python"), "-m", "pip", "install", "--quiet", "--no-input",
			"--disable-pip-version-check", "--only-binary", ":all:", "-r", filepath.Join(clientsDir(), "requirements.txt"))
	})
})

// nodeEnv returns a folder that has clients/package-lock.json installed.
func nodeEnv(t *testing.T) string {
	t.Helper()
	needed(t, "node")
	needed(t, "npm")
	dir, err := nodeClients()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var nodeClients = sync.OnceValues(func() (string, error) {
	files := []string{"package.json", "package-lock.json"}
	return cached("node", runtime.GOOS+runtime.GOARCH, files, func(dir string) error {
		for _, name := range files {
			b, err := os.ReadFile(filepath.Join(clientsDir(), name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				return err
			}
		}
		return run(dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	})
})

// needed skips a test whose tool readers of the README need not have; CI has
// every tool.
func needed(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not on PATH, and CI must run this test", tool)
		}
		t.Skipf("%s is not on PATH: install it to run this test", tool)
	}
}

// cached returns a folder below the user's cache that make has filled. Its name
// says what is in it, and it comes by one rename, so that it is whole when it
// is there; of several test processes the first one wins.
func cached(kind, version string, files []string, make func(dir string) error) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, version)
	for _, name := range files {
		b, err := os.ReadFile(filepath.Join(clientsDir(), name))
		if err != nil {
			return "", err
		}
		hash.Write(b)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "weir-test", kind+"-"+hex.EncodeToString(hash.Sum(nil)[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := make(work); err != nil {
		return "", fmt.Errorf("installing the %s clients: %w", kind, err)
	}
	if err := os.Rename(work, dir); err != nil {
		if _, missing := os.Stat(dir); missing != nil {
			return "", err
		}
	}
	return dir, nil
}

func run(dir, program string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), installPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), cmp.Or(ctx.Err(), err), out)
	}
	return nil
}
