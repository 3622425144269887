package faults

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"weir/internal/gatewaytest"
)

var update = flag.Bool("update", false, "write docs/faults.md from what this run sees")

func TestMain(m *testing.M) {
	flag.Parse()
	// Rows wait, for the most part.
	if err := flag.Set("test.parallel", "48"); err != nil {
		panic(err)
	}
	gatewaytest.Main(m)
}

// setup is a configuration of the gateway.
type setup struct {
	name     string
	timeouts timeouts
	more     string
}

type timeouts struct{ attempt, total, idle time.Duration }

var (
	clocks = timeouts{time.Second, 3900 * time.Millisecond, 2 * time.Second}
	// Where no clock matters none ends anything, however busy the machine is.
	patience = timeouts{30 * time.Second, time.Minute, time.Minute}

	usual    = &setup{"patient", patience, ""}
	hasty    = &setup{"hasty", clocks, ""}
	ungated  = &setup{"response_gate off", clocks, "response_gate: off"}
	strict   = &setup{"strict_stream_end", patience, "strict_stream_end: true"}
	stubborn = &setup{"no failover_on", clocks, "failover_on: []"}
	restless = &setup{"short stream_idle_timeout", timeouts{3 * time.Second, 7 * time.Second, time.Second}, ""}
)

// config is a configuration without providers.
func (s *setup) config() string {
	return fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: %s
      total_timeout: %s
      stream_idle_timeout: %s
      %s
      providers:`, s.timeouts.attempt, s.timeouts.total, s.timeouts.idle, s.more)
}

// group is a part of the wall.
type group struct {
	title, about string
	on           *setup
	faults       []fault
}

func wall() []group {
	return []group{
		unreachable(), statuses(), redirects(),
		nonAnswers(), committed(), lastAttempts(), gateOff(),
		cuts(), oddities(), strictEnds(),
		limits(), shortIdle(), leaving(), hostile(), never(),
	}
}

// rows are those of all groups, in order.
func rows(groups []group) []*row {
	var out []*row
	for i := range groups {
		for _, f := range groups[i].faults {
			for _, m := range f.in {
				r := &row{fault: f, mode: m, group: &groups[i], on: groups[i].on, id: fmt.Sprintf("r%03d", len(out)+1)}
				if r.on == usual && f.want.least > 0 {
					r.on = hasty
				}
				out = append(out, r)
			}
		}
	}
	return out
}

// TestWall runs the rows, those of a configuration against one gateway, and
// holds docs/faults.md to what was seen.
func TestWall(t *testing.T) {
	groups := wall()
	all := rows(groups)
	t.Run("row", func(t *testing.T) {
		for _, s := range []*setup{usual, hasty, ungated, strict, stubborn, restless} {
			var here []*row
			for _, r := range all {
				if r.on == s {
					here = append(here, r)
				}
			}
			if here == nil {
				continue
			}
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				g := start(t, s, here)
				for _, r := range here {
					t.Run(r.group.title+": "+r.what+", "+r.mode.name, func(t *testing.T) {
						t.Parallel()
						r.run(t, g)
					})
				}
			})
		}
	})
	for _, r := range all {
		if r.seen.log == "" {
			return // not all were asked for, or one could not be run
		}
	}
	if t.Failed() && !*update {
		return
	}
	const file = "../docs/faults.md"
	page := render(groups, all)
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != page {
		t.Errorf("docs/faults.md is stale, run `make faults-table` (%v):\n%s", err, diff(string(have), page))
	}
}

// start runs the providers of the rows and a gateway that knows them.
func start(t *testing.T, s *setup, rows []*row) *gatewaytest.Gateway {
	var providers strings.Builder
	for _, r := range rows {
		r.client = newClient(t.Context())
		for i, b := range r.behaviours {
			letter := string(rune('A' + i))
			p := &provider{behaviour: b, id: r.id + strings.ToLower(letter), letter: letter, mode: r.mode, client: r.client}
			r.providers = append(r.providers, p)
			fmt.Fprintf(&providers, "\n        - {id: %s, %s", p.id, p.start(t))
			if r.mode.anthropic {
				providers.WriteString(", supported_api_surfaces: [{format: anthropic}]")
			}
			var keys []string
			for k := range b.keys {
				keys = append(keys, fmt.Sprintf("{value: key-%d-of-%s}", k+1, p.id))
			}
			if keys != nil {
				fmt.Fprintf(&providers, ", api_keys: [%s]", strings.Join(keys, ", "))
			}
			providers.WriteString("}")
		}
		for _, p := range r.providers {
			p.peers = r.providers
		}
	}
	return gatewaytest.Start(t, s.config()+providers.String())
}
