package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
)

const preface = `# The fault table

Look up what the client gets when a provider fails in a certain way. Every row is run against the built Weir and a real Envoy:
` + "`make faults`" + ` runs them, and fails if this page differs from what it saw; ` + "`make faults-table`" + ` writes the page.

A, B and C are the providers of a plan, in its order. The first column is what A does; B and C respond unless the row says something
else. They are raw sockets: a cut is a TCP reset (RST) or a close (FIN), and they send the bytes exactly as the test writes them.

Where a row waits for a timer, ` + "`per_request_timeout`" + ` is 1 s, ` + "`total_timeout`" + ` 3.9 s and ` + "`stream_idle_timeout`" + ` 2 s, unless a title
says something else. All other responses must be complete within 5 s, on a busy machine, with timers of 30 s and more.
"Unchanged" means byte for byte.

The APIs are chat completions, responses, messages and embeddings, each with and without streaming. The last column is what
was seen: the status, the length of the body that the client got, in the order of the APIs, the requests that each provider
received, and the attempts in the access log with their status and cause. **But** marks a result that is only partly right, with
the reason.
`

// render writes the page. A fault that came to the same in several APIs has
// one line for them.
func render(groups []group, rows []*row) string {
	var out strings.Builder
	out.WriteString(preface)
	but := 0
	for i := range groups {
		g := &groups[i]
		fmt.Fprintf(&out, "\n## %s\n\n", g.title)
		if g.about != "" {
			out.WriteString(g.about + "\n\n")
		}
		out.WriteString("| A | API | the client gets | within | seen |\n|---|---|---|---|---|\n")
		var same []*row
		for k, r := range rows {
			if r.group != g {
				continue
			}
			if r.but != "" {
				but++
			}
			same = append(same, r)
			if k+1 == len(rows) || !r.same(rows[k+1]) {
				out.WriteString(line(same))
				same = nil
			}
		}
	}
	fmt.Fprintf(&out, "\n%d rows, counting each API; %d are only partly right.\n", len(rows), but)
	return out.String()
}

func (r *row) same(next *row) bool {
	return r.group == next.group && r.what == next.what && r.want.gets() == next.want.gets() &&
		r.want.time() == next.want.time() && r.seen.text("") == next.seen.text("") && r.seen.wrong == nil && next.seen.wrong == nil
}

// line is that of rows that came to the same but for the size of the response.
func line(rows []*row) string {
	r := rows[0]
	var modes, sizes []string
	for _, r := range rows {
		modes = append(modes, r.mode.name)
		if !slices.Contains(sizes, r.seen.size) {
			sizes = append(sizes, r.seen.size)
		}
	}
	apis := strings.Join(modes, ", ")
	if len(modes) == len(every) {
		apis = "each"
	}
	text := r.seen.text(strings.Join(sizes, "/"))
	if r.but != "" {
		text += ". **But** " + r.but
	}
	for _, w := range r.seen.wrong {
		text += ". **Wrong**: " + cell(w)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |\n", cell(r.what), apis, r.want.gets(), r.want.time(), text)
}

func cell(s string) string { return strings.NewReplacer("|", "\\|", "\n", " ").Replace(s) }

// gets describes what the client must get.
func (w want) gets() string {
	switch {
	case w.left:
		return "nothing: it left, and no further provider is tried"
	case w.own != nil:
		return fmt.Sprintf("%d `%s`", w.status, w.own.code)
	}
	out := w.from + "'s response"
	if w.status != 0 {
		out = fmt.Sprintf("%s's %d", w.from, w.status)
	}
	if w.from == "A" {
		out += ", unchanged"
	}
	for _, name := range slices.Sorted(maps.Keys(w.header)) {
		if value := w.header[name]; value != "" {
			out += fmt.Sprintf(", `%s: %s`", name, value)
		} else {
			out += fmt.Sprintf(", no `%s`", name)
		}
	}
	if w.cut {
		out += ", then an error: it breaks off"
	}
	if w.tail != "" {
		out += ", then an error event"
	}
	return out
}

// time describes the bounds on the clock.
func (w want) time() string {
	most := seconds(w.latest())
	switch {
	case w.left:
		return "1 s of leaving"
	case w.least > 0:
		return seconds(w.least) + " to " + most
	}
	return most
}

func seconds(d time.Duration) string { return fmt.Sprintf("%g s", d.Seconds()) }

// text is what was seen, in words that are the same in every run.
func (s *seen) text(size string) string {
	out := "no response"
	if s.status != 0 {
		out = fmt.Sprintf("%d, %s bytes", s.status, size)
	}
	return out + "; requests " + s.requests + "; log " + s.log
}

// diff is the lines that differ.
func diff(have, want string) string {
	return cmp.Diff(strings.Split(have, "\n"), strings.Split(want, "\n"))
}
