package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
)

// logLine is a line of the access log; fields of the other kind are zero.
type logLine struct {
	Time        string   `json:"time"`
	Kind        string   `json:"kind"`
	RequestID   string   `json:"request_id"`
	ClientID    string   `json:"client_request_id"`
	Method      string   `json:"method"`
	Path        string   `json:"path"`
	Key         string   `json:"key"`
	KeyID       string   `json:"key_id"`
	Operation   string   `json:"operation"`
	Asked       string   `json:"asked_model"`
	Provider    string   `json:"provider"`
	ProviderKey string   `json:"provider_key"`
	Model       string   `json:"model"`
	Attempts    int      `json:"attempts"`
	Attempt     int      `json:"attempt"`
	Status      *int     `json:"status"`
	Cause       string   `json:"cause"`
	Connect     string   `json:"connect_failure"`
	Code        string   `json:"code"`
	Rejected    string   `json:"rejected"`
	Duration    float64  `json:"duration_ms"`
	FirstByte   *float64 `json:"first_byte_ms"`
	LastByte    *float64 `json:"last_byte_ms"`
	Stream      bool     `json:"stream"`
	ClientGone  bool     `json:"client_gone"`
	Truncated   bool     `json:"truncated"`
	Final       bool     `json:"final"`
	Tokens      *tokens  `json:"tokens"`
	Estimated   bool     `json:"usage_estimated"`
	ClientIP    string   `json:"client_ip"`
	BytesIn     int      `json:"bytes_in"`
	BytesOut    int      `json:"bytes_out"`
	Suppressed  int      `json:"suppressed"`
}

type tokens struct {
	Input     int  `json:"input"`
	Output    *int `json:"output"`
	Total     *int `json:"total"`
	Cached    int  `json:"cached_input"`
	Reasoning int  `json:"reasoning"`
}

func (t *tokens) String() string {
	if t == nil {
		return "unknown"
	}
	known := func(n *int) string {
		if n == nil {
			return "?"
		}
		return strconv.Itoa(*n)
	}
	return fmt.Sprintf("%d+%s=%s cached %d reasoning %d", t.Input, known(t.Output), known(t.Total), t.Cached, t.Reasoning)
}

// usage returns a line's tokens in short.
func (l *logLine) usage() string {
	if l.Estimated {
		return l.Tokens.String() + ", estimated"
	}
	return l.Tokens.String()
}

// String returns a line's status, cause and code in short.
func (l *logLine) String() string {
	status := "none"
	if l.Status != nil {
		status = strconv.Itoa(*l.Status)
	}
	out := status
	for _, s := range []string{l.Cause, l.Connect, l.Code, l.Rejected} {
		if s != "" {
			out += " " + s
		}
	}
	return out
}

// logged is what the access log has about one request.
type logged struct {
	request  logLine
	attempts []logLine // in order
}

// attemptList returns each attempt as "provider/model status cause", with "…"
// where another follows.
func (l logged) attemptList() string {
	var out []string
	for _, a := range l.attempts {
		s := a.Provider + "/" + a.Model + " " + a.String()
		if !a.Final {
			s += " …"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

// parseLog reads the lines that there are. What is no line of the log fails
// the test.
func parseLog(t testing.TB, text string) []logLine {
	t.Helper()
	var out []logLine
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") {
			break // being written
		}
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("no line of the access log: %q: %v", line, err)
		}
		out = append(out, l)
	}
	return out
}

// waitLogged waits until the lines of some requests and of all of their
// attempts are written, and returns them in the order in which the requests
// were.
func waitLogged(t testing.TB, text func() string, what string, n int, match func(*logLine) bool) []logged {
	t.Helper()
	var out []logged
	gatewaytest.Eventually(t, what, func() bool {
		out = out[:0]
		attempts := map[string][]logLine{}
		lines := parseLog(t, text())
		for _, l := range lines {
			if l.Kind == "attempt" {
				attempts[l.RequestID] = append(attempts[l.RequestID], l)
			}
		}
		whole := 0
		for _, l := range lines {
			if l.Kind == "request" && match(&l) {
				out = append(out, logged{l, attempts[l.RequestID]})
				if len(attempts[l.RequestID]) >= l.Attempts {
					whole++
				}
			}
		}
		return whole >= n
	})
	return out
}

// loggedAs waits for what is logged of the request with a response.
func loggedAs(t testing.TB, g *gatewaytest.Gateway, header http.Header) logged {
	t.Helper()
	id := header.Get("X-Weir-Request-Id")
	if id == "" {
		t.Fatalf("the response has no x-weir-request-id: %v", header)
	}
	found := waitLogged(t, g.Stdout, "the lines of request "+id, 1, func(l *logLine) bool { return l.RequestID == id })
	if len(found) != 1 {
		t.Errorf("%d lines for the request %s", len(found), id)
	}
	return found[0]
}

// scraped is what /metrics shows, by the name and labels of each series.
type scraped map[string]float64

func scrape(t testing.TB, g *gatewaytest.Gateway) scraped {
	t.Helper()
	out := scraped{}
	for line := range strings.Lines(g.Admin("/metrics")) {
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || i < 0 {
			continue
		}
		n, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out[line[:i]] = n
	}
	return out
}

// sum adds up the series of a metric that have all of these labels.
func (s scraped) sum(name string, labels ...string) (sum float64) {
	for series, n := range s {
		all := series == name || strings.HasPrefix(series, name+"{")
		for _, l := range labels {
			all = all && strings.Contains(series, l)
		}
		if all {
			sum += n
		}
	}
	return sum
}
