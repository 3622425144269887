package envoy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"
	"testing"

	"weir/internal/sample"
)

func TestOutputHidesInlineData(t *testing.T) {
	for _, line := range []string{
		`[warning][config] rejected: secret { generic_secret { secret { inline_string: "sk-secret" } } }`,
		`[warning][config] rejected: secret {\n inline_string: \"sk-secret\"\n}\n`,
		`[warning][config] rejected: inline_bytes: "sk-\"secret`,
		`[warning][config] rejected: inline_string: "sk-secret with the end cut of`,
	} {
		var log bytes.Buffer
		o := output{log: slog.New(slog.NewTextHandler(&log, nil))}
		_, _ = o.Write([]byte(line + "\n"))
		if strings.Contains(log.String()+o.last(), "secret with") || strings.Contains(log.String()+o.last(), "sk-") || !strings.Contains(log.String(), "rejected") {
			t.Errorf("%s\nis logged as %s", line, log.String())
		}
	}
}

// TestOutputOfStop: what Envoy always says when Weir stops it is no warning, and is one at
// any other time.
func TestOutputOfStop(t *testing.T) {
	for _, stopping := range []bool{false, true} {
		var log bytes.Buffer
		o := output{log: slog.New(slog.NewTextHandler(&log, nil))}
		o.stopping.Store(stopping)
		_, _ = o.Write([]byte("[warning][main] caught ENVOY_SIGTERM\n" +
			"[warning][config] DeltaAggregatedResources gRPC config stream to weir closed: 13, upstream_reset_after_response_started{connection_termination}\n" +
			"[warning][config] something else\n"))
		want := 3
		if stopping {
			want = 1
		}
		if got := strings.Count(log.String(), "level=WARN"); got != want || !strings.Contains(log.String(), "something else") {
			t.Errorf("stopping %v: %d warnings\n%s", stopping, got, log.String())
		}
	}
}

// At debug and trace only components that see no request log, whatever the
// level was set to in Envoy's admin interface.
func TestQuietComponents(t *testing.T) {
	for level, want := range map[string]string{
		"info": "--log-level info", "error": "--log-level error", "off": "--log-level off",
	} {
		if got := strings.Join(logLevelArgs(level), " "); got != want {
			t.Errorf("%s: %s", level, got)
		}
	}
	for _, level := range []string{"debug", "trace"} {
		args := logLevelArgs(level)
		if got := strings.Join(args[:3], " "); got != "--log-level info --component-log-level" || !strings.Contains(args[3], "connection:"+level) {
			t.Errorf("%s: %q", level, args)
		}
	}
	var log bytes.Buffer
	o := output{log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))}
	for _, component := range []string{"http", "http2", "router", "ext_proc", "filter", "client", "misc", "a_new_one"} {
		_, _ = o.Write([]byte("[debug][" + component + "] sk-secret\n[trace][" + component + "] sk-secret\n"))
	}
	if log.Len() > 0 || o.last() != "" {
		t.Errorf("logged %s and kept %s", &log, o.last())
	}
	_, _ = o.Write([]byte("[debug][config] fine\n[info][http] fine\n"))
	if strings.Count(log.String(), "fine") != 2 {
		t.Errorf("logged %s", &log)
	}
}

// What clients can make Envoy warn of is bounded; errors and death are not.
func TestWarningsAreSampled(t *testing.T) {
	var log bytes.Buffer
	o := output{log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 1000 {
		_, _ = o.Write([]byte("[warning][ext_proc] a\n[warning][http] b\n[error][config] c\ndeath\n"))
	}
	for line, most := range map[string]int{"msg=a": 2 * sample.Burst, "msg=b": 2 * sample.Burst, "msg=c": 1000, "msg=death": 1000} {
		if n := strings.Count(log.String(), line+" "); n < sample.Burst || n > most || most == 1000 && n != most {
			t.Errorf("%s: %d lines", line, n)
		}
	}
}

// The pins are hashes, each of something else.
func TestReleases(t *testing.T) {
	seen := map[string]bool{}
	for platform, r := range releases {
		for _, sum := range []string{r.wheel, r.binary} {
			if b, err := hex.DecodeString(sum); err != nil || len(b) != sha256.Size || seen[sum] {
				t.Errorf("%s: %q", platform, sum)
			}
			seen[sum] = true
		}
	}
	for _, platform := range []string{"linux/amd64", "linux/arm64", "darwin/arm64"} {
		if _, ok := releases[platform]; !ok {
			t.Errorf("no Envoy for %s", platform)
		}
	}
}
