package envoy

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
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
