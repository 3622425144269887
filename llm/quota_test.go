package llm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)

// quotaText renders a quota as "requests 5 in 1s; tokens 7".
func quotaText(q Quota, ok bool) string {
	if !ok {
		return ""
	}
	var parts []string
	for _, l := range []struct {
		name  string
		left  *int64
		reset time.Time
	}{{"requests", q.RemainingRequests, q.ResetRequests}, {"tokens", q.RemainingTokens, q.ResetTokens}} {
		if l.left == nil {
			if !l.reset.IsZero() {
				parts = append(parts, l.name+" reset without remaining")
			}
			continue
		}
		s := fmt.Sprint(l.name, " ", *l.left)
		if !l.reset.IsZero() {
			s += " in " + l.reset.Sub(now).String()
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

func TestQuota(t *testing.T) {
	tests := []struct {
		name    string
		status  int
		headers string // "name: value" lines
		want    string
	}{
		{"none", 200, "", ""},
		{"openai", 200, `
			x-ratelimit-limit-requests: 60
			x-ratelimit-remaining-requests: 59
			x-ratelimit-reset-requests: 1s
			x-ratelimit-remaining-tokens: 999
			x-ratelimit-reset-tokens: 6m0s`, "requests 59 in 1s; tokens 999 in 6m0s"},
		{"groq", 200, `
			x-ratelimit-remaining-requests: 370
			x-ratelimit-reset-requests: 2h3m59.56s
			x-ratelimit-remaining-tokens: 997
			x-ratelimit-reset-tokens: 88ms`, "requests 370 in 2h3m59.56s; tokens 997 in 88ms"},
		{"azure: seconds", 200, `
			x-ratelimit-remaining-requests: 9
			x-ratelimit-remaining-tokens: 80
			x-ratelimit-reset-tokens: 37`, "requests 9; tokens 80 in 37s"},
		{"azure: unknown", 200, `
			x-ratelimit-remaining-tokens: -1
			x-ratelimit-reset-tokens: 0`, ""},
		{"anthropic", 200, `
			anthropic-ratelimit-requests-remaining: 99
			anthropic-ratelimit-requests-reset: 2026-11-02T10:00:01Z
			anthropic-ratelimit-tokens-remaining: 800
			anthropic-ratelimit-tokens-reset: 2026-11-02T11:00:02+01:00
			anthropic-ratelimit-input-tokens-remaining: 700
			anthropic-ratelimit-input-tokens-reset: 2026-11-02T10:00:03Z`, "requests 99 in 1s; tokens 800 in 2s"},
		{"anthropic: input tokens only", 200, `
			anthropic-ratelimit-input-tokens-remaining: 700
			anthropic-ratelimit-input-tokens-reset: 2026-11-02T10:00:03Z`, "tokens 700 in 3s"},
		{"already reset", 200, `
			anthropic-ratelimit-requests-remaining: 99
			anthropic-ratelimit-requests-reset: 2026-11-02T09:59:59Z`, "requests 99 in -1s"},
		{"429 with seconds", 429, `
			x-ratelimit-remaining-requests: 59
			x-ratelimit-reset-requests: 1s
			x-ratelimit-remaining-tokens: 0
			x-ratelimit-reset-tokens: 7s
			retry-after: 7`, "requests 0 in 7s; tokens 0 in 7s"},
		{"429 with a date", 429, "retry-after: Mon, 02 Nov 2026 10:01:00 GMT", "requests 0 in 1m0s"},
		{"429 with milliseconds", 429, "retry-after: 9\nretry-after-ms: 1500", "requests 0 in 1.5s"},
		{"429 with milliseconds that make no sense", 429, "retry-after: 9\nretry-after-ms: 999999999999", "requests 0 in 9s"},
		{"openrouter", 429, "x-ratelimit-limit: 20\nx-ratelimit-remaining: 0\nx-ratelimit-reset: 1793613630500", "requests 0 in 30.5s"},
		{"a reset in seconds since 1970", 200, "x-ratelimit-remaining: 3\nx-ratelimit-reset: 1793613630", "requests 3 in 30s"},
		{"a reset long ago", 200, "x-ratelimit-remaining: 3\nx-ratelimit-reset: 1000000000", "requests 3"},
		{"anthropic: output tokens", 429, `
			anthropic-ratelimit-input-tokens-remaining: 700
			anthropic-ratelimit-input-tokens-reset: 2026-11-02T10:00:03Z
			anthropic-ratelimit-output-tokens-remaining: 0
			anthropic-ratelimit-output-tokens-reset: 2026-11-02T10:00:40Z`, "tokens 0 in 40s"},
		{"anthropic: output tokens only", 200, "anthropic-ratelimit-output-tokens-remaining: 9", "tokens 9"},
		{"429 without a time", 429, "retry-after: soon", ""},
		{"retry-after of 503", 503, "retry-after: 7", ""},
		{"reset without remaining", 200, "x-ratelimit-reset-requests: 1s", ""},
		{"remaining without reset", 200, "x-ratelimit-remaining-requests: 4", "requests 4"},
		{"zero", 200, "x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 0s", "requests 0 in 0s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var h QuotaHeaders
			for line := range strings.Lines(tt.headers) {
				if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && h.Set(name, value) != slices.Contains(QuotaHeaderNames(), name) {
					t.Errorf("Set(%q) and QuotaHeaderNames do not agree", name)
				}
			}
			if got := quotaText(h.Quota(tt.status, now)); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// Values that make no sense are as if they had not been sent.
func TestHostileQuota(t *testing.T) {
	for _, remaining := range []string{
		"", " ", "-1", "+5", "5.0", "1e9", "0x10", "5 ", " 5", "5,6", "9999999999999999999", "1000000000000000000", "٣", strings.Repeat("9", 1<<16), "\x00", "NaN",
	} {
		var h QuotaHeaders
		h.Set("x-ratelimit-remaining-requests", remaining)
		h.Set("x-ratelimit-reset-requests", "1s")
		if q, ok := h.Quota(200, now); ok {
			t.Errorf("remaining %q is taken as %v", remaining, quotaText(q, ok))
		}
	}
	for _, reset := range []string{
		" ", "-1s", "+1s", "-1", "Inf", "49h", "172801", "1e3", "1h1", "99999999999999999999s", "2562047h47m16s",
		"2026-11-05T10:00:00Z", "2026-10-30T10:00:00Z", "9999-12-31T23:59:59Z", "2026-13-01T00:00:00Z", "2026-11-02", "0000-00-00T00:00:00Z",
		strings.Repeat("1", 1<<16), "1" + strings.Repeat("s", 1<<10), "1s; 2s",
	} {
		var h QuotaHeaders
		h.Set("x-ratelimit-remaining-requests", "5")
		h.Set("x-ratelimit-reset-requests", reset)
		if got := quotaText(h.Quota(200, now)); got != "requests 5" {
			t.Errorf("reset %q is taken as %q", reset, got)
		}
	}
	for _, after := range []string{"", "-1", "1.5", "172801", "999999999999999999", "Mon, 02 Nov 2036 10:01:00 GMT", "2026-11-02T10:00:01Z"} {
		var h QuotaHeaders
		h.Set("retry-after", after)
		if got := quotaText(h.Quota(429, now)); got != "" {
			t.Errorf("retry-after %q is taken as %q", after, got)
		}
	}
}

func FuzzQuota(f *testing.F) {
	f.Add("59", "1s", "2026-11-02T10:00:01Z", "7")
	f.Add("-1", "0", "0", "Mon, 02 Nov 2026 10:01:00 GMT")
	f.Fuzz(func(t *testing.T, remaining, reset, moment, after string) {
		h := QuotaHeaders{remainingRequests: remaining, resetRequests: reset, anthropicTokens: remaining, anthropicTokensReset: moment, retryAfter: after}
		q, ok := h.Quota(429, now)
		if ok != (q.RemainingRequests != nil || q.RemainingTokens != nil) {
			t.Errorf("%v, %+v", ok, q)
		}
		for _, n := range []*int64{q.RemainingRequests, q.RemainingTokens} {
			if n != nil && *n < 0 {
				t.Errorf("%d remain", *n)
			}
		}
		for _, at := range []time.Time{q.ResetRequests, q.ResetTokens} {
			if !at.IsZero() && at.Sub(now).Abs() > maxReset {
				t.Errorf("reset at %v", at)
			}
		}
	})
}

func BenchmarkQuota(b *testing.B) {
	var h QuotaHeaders
	h.Set("x-ratelimit-remaining-requests", "59")
	h.Set("x-ratelimit-reset-requests", "1s")
	h.Set("x-ratelimit-remaining-tokens", "149984")
	h.Set("x-ratelimit-reset-tokens", "6m0s")
	b.ReportAllocs()
	for b.Loop() {
		h.Quota(200, now)
	}
}
