package envoy

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"weir/internal/sample"
)

// logFormat makes Envoy write one line per entry, such as
// `[warning][config] gRPC stream closed`: level, component, and the message
// with its newlines escaped. The time is slog's.
const logFormat = "[%l][%n] %_"

// maxLine is the longest line that is kept: Envoy includes whole configurations in its
// rejections.
const maxLine = 8 << 10

// keptLines is how many of the last lines an error message shows.
const keptLines = 20

// output receives what Envoy writes and passes each line to the log.
type output struct {
	log  *slog.Logger
	line []byte
	cut  bool // the line is longer than what is kept of it
	tail []string
	// stopping is set when Envoy is told to stop.
	stopping atomic.Bool
	// warnings limit, by component, the warnings that clients can cause. Errors are
	// not sampled.
	warnings map[string]*sample.Sampler
}

// Write never fails: Envoy must not stall on its log.
func (o *output) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part, rest, ended := bytes.Cut(p, []byte("\n"))
		keep := min(len(part), maxLine-len(o.line))
		o.line = append(o.line, part[:keep]...)
		o.cut = o.cut || keep < len(part)
		if ended {
			o.flush()
		}
		p = rest
	}
	return n, nil
}

// flush ends the line.
func (o *output) flush() {
	line := strings.ToValidUTF8(strings.TrimSuffix(string(o.line), "\r"), "")
	if o.cut {
		line += "…"
	}
	o.line, o.cut = o.line[:0], false
	if line == "" {
		return
	}
	if name, component, _, ok := splitLine(line); ok && telling(name) && !slices.Contains(quiet, component) {
		return // somebody has changed the level in Envoy's admin interface
	}
	line = inlineData.ReplaceAllString(line, `$1"[redacted]"`)
	if len(o.tail) == keptLines {
		o.tail = o.tail[1:]
	}
	o.tail = append(o.tail, line)

	level, component, message := parseLine(line)
	if component == "misc" && (strings.Contains(message, "marked as work-in-progress") ||
		strings.Contains(message, "OpenTelemetryAccessLogConfig.common_config")) { // deprecated
		level = slog.LevelDebug // said at every route and every update; README.md has it under "Limits"
	}
	if o.stopping.Load() && level == slog.LevelWarn && (message == "caught ENVOY_SIGTERM" || strings.Contains(message, "gRPC config stream to ")) {
		level = slog.LevelDebug
	}
	attrs := []any{"envoy", component}
	if level == slog.LevelWarn && component != "stderr" {
		suppressed, ok := o.sampler(component).Take(time.Now())
		if !ok {
			return
		}
		if suppressed > 0 {
			attrs = append(attrs, "suppressed", suppressed)
		}
	}
	o.log.Log(context.Background(), level, message, attrs...)
}

func (o *output) sampler(component string) *sample.Sampler {
	s := o.warnings[component]
	if s == nil {
		if o.warnings == nil {
			o.warnings = map[string]*sample.Sampler{}
		}
		s = new(sample.Sampler)
		o.warnings[component] = s
	}
	return s
}

// inlineData matches a DataSource in the text form in which Envoy quotes a rejected
// resource; of a secret, it is the secret. A line may have been cut before the closing
// quote.
var inlineData = regexp.MustCompile(`(inline_(?:string|bytes): ?)\\?"(?:[^"\\]|\\.)*"?`)

// last returns the last lines, indented for an error message.
func (o *output) last() string {
	return lastLines([]byte(strings.Join(o.tail, "\n")), keptLines)
}

var levels = map[string]slog.Level{
	"trace":    slog.LevelDebug - 4,
	"debug":    slog.LevelDebug,
	"info":     slog.LevelInfo,
	"warning":  slog.LevelWarn,
	"error":    slog.LevelError,
	"critical": slog.LevelError,
}

// parseLine parses a line of logFormat. A line in another format comes from Envoy's
// libraries or from a crash, and is a warning.
func parseLine(line string) (level slog.Level, component, message string) {
	name, component, message, ok := splitLine(line)
	level, known := levels[name]
	if !ok || !known {
		return slog.LevelWarn, "stderr", line
	}
	return level, component, message
}

// splitLine splits a line of logFormat.
func splitLine(line string) (level, component, message string, ok bool) {
	rest, ok := strings.CutPrefix(line, "[")
	level, rest, ok1 := strings.Cut(rest, "][")
	component, message, ok2 := strings.Cut(rest, "] ")
	return level, component, message, ok && ok1 && ok2
}
