package telemetry

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/internal/sample"
	"weir/telemetry/accesslog"
)

// refusals decides which log lines are written of requests that anybody can send:
// those that ended before an access key was recognized and reached no provider. Each
// reason has its own sampler, so that many refusals of one kind do not hide those of
// another. Metrics count all of them.
type refusals struct {
	mu       sync.Mutex
	samplers map[reason]*sample.Sampler
}

// reason is why a request ended.
type reason struct{ cause, code, rejected string }

// maxReasons bounds the samplers. Codes and causes are closed sets, and Envoy's
// details almost are.
const maxReasons = 200

// unknownSender reports whether anybody could have sent a request. While Weir is away,
// it is not asked about requests, so one of those may have had an access key: its line
// is always written, and Envoy bounds their number.
func unknownSender(q *accesslog.Request) bool {
	return q.Cause != "" && q.Attempts == 0 && q.Key == "" && q.KeyID == "" && !strings.HasPrefix(q.Rejected, "ext_proc_error")
}

// take reports whether the line of a request is written, and returns how many lines of
// the same kind were suppressed since the last one.
func (r *refusals) take(q *accesslog.Request, now time.Time) (suppressed int, ok bool) {
	why := reason{q.Cause, q.Code, q.Rejected}
	r.mu.Lock()
	s := r.samplers[why]
	if s == nil && len(r.samplers) >= maxReasons {
		why = reason{cause: accesslog.CauseOther}
		s = r.samplers[why]
	}
	if s == nil {
		if r.samplers == nil {
			r.samplers = map[reason]*sample.Sampler{}
		}
		s = new(sample.Sampler)
		r.samplers[why] = s
	}
	r.mu.Unlock()
	return s.Take(now)
}

// rest calls f with each number of suppressed lines that no line has reported yet.
// Unless last is set, it leaves out kinds of which another line may follow soon.
func (r *refusals) rest(now time.Time, last bool, f func(reason, int)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for why, s := range r.samplers {
		if n := s.Rest(now, last); n > 0 {
			f(why, n)
		}
	}
}

// appendSuppressed appends a line that reports suppressed lines, if no further line of
// their kind came to report them.
//
//	time        RFC 3339 with milliseconds, UTC
//	kind        "suppressed"
//	cause, code, rejected   of the requests
//	suppressed  their number
func appendSuppressed(b []byte, now time.Time, why reason, n int) []byte {
	b = append(b, `{"time":"`...)
	b = now.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = appendText(b, `","kind":"suppressed","cause":`, why.cause)
	b = appendText(b, `,"code":`, why.code)
	b = appendText(b, `,"rejected":`, why.rejected)
	b = strconv.AppendInt(append(b, `,"suppressed":`...), int64(n), 10)
	return append(b, "}\n"...)
}
