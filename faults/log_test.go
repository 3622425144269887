package faults

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/gatewaytest"
)

// logLine is what is of interest here of a line of the access log.
type logLine struct {
	Kind     string `json:"kind"`
	Provider string `json:"provider"`
	Attempts int    `json:"attempts"`
	Status   *int   `json:"status"`
	Cause    string `json:"cause"`
}

// logged waits until the row's request and all of its attempts are in the
// access log and returns, for each attempt, the provider's letter, the status if
// there was one, and the cause if it was no success.
func (r *row) logged(t *testing.T, g *gatewaytest.Gateway) string {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond) // each reads the whole log
	defer tick.Stop()
	limit := time.After(longest)
	for {
		attempts, whole := r.parse(t, g.Stdout())
		if whole {
			return strings.Join(attempts, ", ")
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("timed out waiting for the access log, which has %q", attempts)
		}
	}
}

// parse returns the row's attempts, and whether these are all.
func (r *row) parse(t *testing.T, log string) (attempts []string, whole bool) {
	want := -1
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"`+r.id) || !strings.HasSuffix(line, "\n") {
			continue
		}
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("no line of the access log: %q: %v", line, err)
		}
		if l.Kind == "request" {
			want = l.Attempts
			continue
		}
		entry := strings.ToUpper(strings.TrimPrefix(l.Provider, r.id))
		if l.Status != nil {
			entry += " " + strconv.Itoa(*l.Status)
		}
		if l.Cause != "" {
			entry += " " + l.Cause
		}
		attempts = append(attempts, entry)
	}
	return attempts, want >= 0 && len(attempts) >= want
}
