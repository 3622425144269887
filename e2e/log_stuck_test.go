package e2e

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// A log that cannot be written costs lines: no request, no memory, and not the
// end of weir.
func TestLogThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	const lines = "weir_access_log_lines_dropped_total"
	pipe := func(t *testing.T) (r, w *os.File, option gatewaytest.Option) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = r.Close(), w.Close() })
		return r, w, gatewaytest.Command("", func(cmd *exec.Cmd) { cmd.Stdout = w })
	}
	for _, c := range []struct {
		name, config string
		end          func(r *os.File) // of what reads standard output; nil: there is none
		stuck        bool
	}{
		{"nobody reads", "", func(*os.File) {}, true},
		{"the reader is gone", "", func(r *os.File) { _ = r.Close() }, false},
		{"the disk is full", "telemetry: {access_log: /dev/full}\n", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := recorder.Start(t)
			config := c.config + "providers:\n  - {id: p, base_url: " + p.URL() + "}\n"
			var options []gatewaytest.Option
			var reader *os.File
			if c.end != nil {
				r, w, option := pipe(t)
				defer w.Close()
				reader, options = r, append(options, option)
			} else if _, err := os.Stat("/dev/full"); err != nil {
				t.Fatal(err)
			}
			g := gatewaytest.Start(t, config, options...)
			if c.end != nil {
				c.end(reader)
			}
			n := len(askFor(t, g, "p:m", 200, 200))
			if c.stuck {
				// A pipe holds 64 KiB, and weir 8 MiB twice.
				for scrape(t, g)[lines] == 0 {
					n += len(askFor(t, g, "p:"+strings.Repeat("m", 250), 800, 200))
				}
			}
			gatewaytest.Eventually(t, "records of all requests", func() bool {
				return int(scrape(t, g).sum("weir_access_log_records_total", `kind="request"`)) == n
			})
			gatewaytest.Eventually(t, "lost lines", func() bool {
				lost := int(scrape(t, g)[lines])
				return lost > 0 && (c.stuck || lost == 2*n)
			})
			if m := scrape(t, g)["go_memstats_heap_inuse_bytes"]; m > 100<<20 {
				t.Errorf("%.0f MiB in use", m/(1<<20))
			}
			_ = g.Cmd.Process.Signal(syscall.SIGTERM)
			if err := g.Wait(); err != nil {
				t.Errorf("weir ended with %v", err)
			}
			if said := strings.Contains(g.Log(), "access log lines are lost"); said != c.stuck {
				t.Errorf("weir logs that lines are lost: %t", said)
			}
		})
	}
}
