package llm

import (
	"strconv"
	"strings"
	"time"
)

// The indices of QuotaHeaders.
const (
	remainingRequests = iota
	remainingTokens
	resetRequests
	resetTokens
	anthropicRequests
	anthropicRequestsReset
	anthropicTokens
	anthropicTokensReset
	anthropicInput
	anthropicInputReset
	anthropicOutput
	anthropicOutputReset
	remaining
	reset
	retryAfterMS
	retryAfter

	quotaHeaders = iota
)

// quotaNames are the headers in which providers report the remaining quota.
//
//   - x-ratelimit-*: OpenAI (https://platform.openai.com/docs/guides/rate-limits,
//     "Rate limits in headers"), Groq (https://console.groq.com/docs/rate-limits)
//     and Azure OpenAI; a reset is the time that is still to pass.
//   - anthropic-ratelimit-*: https://docs.anthropic.com/en/api/rate-limits,
//     "Response headers"; a reset is a moment, by RFC 3339.
//   - x-ratelimit-remaining and x-ratelimit-reset, of requests: OpenRouter, where the reset
//     is a moment in milliseconds since 1970 (https://openrouter.ai/docs/api-reference/limits).
//   - retry-after: RFC 9110, 10.2.3; retry-after-ms, in milliseconds: Azure OpenAI and
//     OpenAI, whose SDKs prefer it (https://github.com/openai/openai-python,
//     _base_client.py, _parse_retry_after_header).
var quotaNames = [quotaHeaders]string{
	remainingRequests:      "x-ratelimit-remaining-requests",
	remainingTokens:        "x-ratelimit-remaining-tokens",
	resetRequests:          "x-ratelimit-reset-requests",
	resetTokens:            "x-ratelimit-reset-tokens",
	anthropicRequests:      "anthropic-ratelimit-requests-remaining",
	anthropicRequestsReset: "anthropic-ratelimit-requests-reset",
	anthropicTokens:        "anthropic-ratelimit-tokens-remaining",
	anthropicTokensReset:   "anthropic-ratelimit-tokens-reset",
	anthropicInput:         "anthropic-ratelimit-input-tokens-remaining",
	anthropicInputReset:    "anthropic-ratelimit-input-tokens-reset",
	anthropicOutput:        "anthropic-ratelimit-output-tokens-remaining",
	anthropicOutputReset:   "anthropic-ratelimit-output-tokens-reset",
	remaining:              "x-ratelimit-remaining",
	reset:                  "x-ratelimit-reset",
	retryAfterMS:           "retry-after-ms",
	retryAfter:             "retry-after",
}

// QuotaHeaderNames returns, in lower case, the response headers that Envoy must log
// for quotas.
func QuotaHeaderNames() []string { return append([]string(nil), quotaNames[:]...) }

// maxReset bounds how far in the future a reset may be; the longest limits are per
// day.
const maxReset = 48 * time.Hour

// QuotaHeaders holds the values of those headers as the provider sent them. For example,
// after h.Set("x-ratelimit-remaining-requests", "59"), h.Quota says that 59 requests remain.
type QuotaHeaders [quotaHeaders]string

// Set stores the value of a header and reports whether it is one of QuotaHeaderNames. name
// must be in lower case, as in HTTP/2.
func (h *QuotaHeaders) Set(name, value string) bool {
	for i, n := range quotaNames {
		if n == name {
			h[i] = value
			return true
		}
	}
	return false
}

// Quota is what remains of a provider key's rate limits. A value that the provider did
// not send is nil, or the zero time.
type Quota struct {
	RemainingRequests, RemainingTokens *int64
	// ResetRequests and ResetTokens are the times at which the limits are full again.
	ResetRequests, ResetTokens time.Time
}

// Quota parses the headers of a response with the given status that arrived at now. It
// ignores invalid values: negative numbers (Azure sends -1 for an unknown value),
// numbers of more than 18 digits, malformed times, and times more than 48 hours away.
// It returns false if no value remains.
//
// A 429 with retry-after-ms or retry-after means that no request remains until that time, whatever the
// other headers say.
func (h *QuotaHeaders) Quota(status int, now time.Time) (Quota, bool) {
	if *h == (QuotaHeaders{}) {
		return Quota{}, false
	}
	var q Quota
	for _, s := range [...]struct{ remaining, reset int }{{remainingRequests, resetRequests}, {anthropicRequests, anthropicRequestsReset}, {remaining, reset}} {
		if q.RemainingRequests == nil {
			q.RemainingRequests, q.ResetRequests = h.limit(s.remaining, s.reset, now)
		}
	}
	// Anthropic's "tokens" headers are about its tightest limit; the input tokens are
	// used where they are missing.
	for _, s := range [...]struct{ remaining, reset int }{
		{remainingTokens, resetTokens}, {anthropicTokens, anthropicTokensReset}, {anthropicInput, anthropicInputReset},
	} {
		if q.RemainingTokens == nil {
			q.RemainingTokens, q.ResetTokens = h.limit(s.remaining, s.reset, now)
		}
	}
	// Of Anthropic's two kinds of tokens, the tighter limit counts.
	if n, t := h.limit(anthropicOutput, anthropicOutputReset, now); n != nil && (q.RemainingTokens == nil || *n < *q.RemainingTokens) {
		q.RemainingTokens, q.ResetTokens = n, t
	}
	if status == 429 {
		if n, ok := parseCount(h[retryAfterMS]); ok && n <= maxReset.Milliseconds() {
			q.RemainingRequests, q.ResetRequests = new(int64), now.Add(time.Duration(n)*time.Millisecond)
		} else if t, ok := parseRetryAfter(h[retryAfter], now); ok {
			q.RemainingRequests, q.ResetRequests = new(int64), t
		}
	}
	return q, q.RemainingRequests != nil || q.RemainingTokens != nil
}

func (h *QuotaHeaders) limit(remaining, reset int, now time.Time) (*int64, time.Time) {
	count, ok := parseCount(h[remaining])
	if !ok {
		return nil, time.Time{}
	}
	n := count // so that only a known count is allocated
	t, _ := parseReset(h[reset], now)
	return &n, t
}

// parseCount parses a decimal number without a sign.
func parseCount(s string) (int64, bool) {
	if s == "" || len(s) > 18 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// parseReset parses an RFC 3339 time (Anthropic), or a remaining duration: "6m0s",
// "88ms" (OpenAI, Groq), or seconds (Azure). A number that is too large for a duration is a
// moment: milliseconds (OpenRouter) or seconds since 1970.
func parseReset(s string, now time.Time) (time.Time, bool) {
	switch {
	case s == "" || len(s) > 64 || s[0] < '0' || s[0] > '9':
		return time.Time{}, false
	case len(s) > 10 && s[4] == '-':
		t, err := time.Parse(time.RFC3339, s)
		return near(t, err == nil, now)
	}
	if n, ok := parseCount(s); ok && n >= 1e12 {
		return near(time.UnixMilli(n), true, now)
	} else if ok && n >= 1e9 {
		return near(time.Unix(n, 0), true, now)
	}
	if strings.Trim(s, ".0123456789") == "" {
		s += "s"
	}
	d, err := time.ParseDuration(s)
	return near(now.Add(d), err == nil, now)
}

// parseRetryAfter parses a number of seconds or an HTTP date.
func parseRetryAfter(s string, now time.Time) (time.Time, bool) {
	if n, ok := parseCount(s); ok {
		if n > int64(maxReset/time.Second) {
			return time.Time{}, false
		}
		return now.Add(time.Duration(n) * time.Second), true
	}
	if len(s) > 64 {
		return time.Time{}, false
	}
	t, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", s)
	return near(t, err == nil, now)
}

func near(t time.Time, ok bool, now time.Time) (time.Time, bool) {
	if !ok || t.After(now.Add(maxReset)) || t.Before(now.Add(-maxReset)) {
		return time.Time{}, false
	}
	return t, true
}
