package accesslog

import "testing"

func TestCauseOf(t *testing.T) {
	for status, want := range map[int]string{
		99: CauseOther, 101: CauseOther, 999: CauseOther, 200: "", 204: "", 302: CauseRedirect, 400: CauseStatus4xx, 401: CauseAuth, 403: CauseAuth, 404: CauseStatus4xx, 408: CauseTimeout,
		422: CauseStatus4xx, 429: CauseRateLimit, 500: CauseStatus5xx, 503: CauseStatus5xx, 504: CauseTimeout, 529: CauseStatus5xx,
	} {
		if got := CauseOf(status); got != want {
			t.Errorf("CauseOf(%d) = %q, want %q", status, got, want)
		}
	}
}
