package accesslog

import (
	"strings"
	"time"

	"weir/llm"
	"weir/metadata"
)

// succeeded reports whether the entry of a request also stands for its last attempt,
// for which Envoy sends no entry of its own. It is the same rule as Envoy's filter on
// the log of attempts (xds, attemptLog). It can be applied to a request's entry
// because what Envoy records only about a request, such as a client that left, it never
// records about an attempt.
func (e *entry) succeeded() bool {
	return e.attempts > 0 && (e.status >= 200 && e.status < 300 || e.replaced()) && e.flags&^ofRequests == 0
}

// replaced reports whether Weir wrote an error in place of the end of a provider's
// stream with status 200, which ended without its last event and without any other
// failure.
func (e *entry) replaced() bool {
	return e.refused && e.complete() && e.status >= 400 && e.details == metadata.DetailsPrefix+string(llm.StreamTruncated)
}

const ofRequests flags = 1<<clientConnectionClosed | 1<<clientReset | 1<<streamIdleTimeout | 1<<maxDurationReached | 1<<durationTimeout

// attempt returns the entry of a request's last attempt. The attempt before it ended
// at before; the first attempt began when the request was complete. If neither time is
// known, the attempt begins when it was sent.
func (e *entry) attempt(before time.Time) entry {
	begin := e.sent
	switch {
	case e.attempts == 1:
		begin = e.received
	case !before.IsZero():
		begin = before.Sub(e.start)
	}
	end := e.duration
	if e.complete() {
		end = e.lastByte
	}
	status := e.status
	if e.replaced() {
		status = 200
	}
	since := func(d time.Duration) time.Duration { return max(d-begin, 0) }
	return entry{
		requestID: e.requestID, status: status, quota: e.quota,
		start: e.start.Add(begin), duration: since(end), firstByte: since(e.firstByte), lastByte: e.lastByte,
	}
}

// attemptCause returns the cause of an attempt. request is the cause of its request if
// this was the last attempt: when Envoy itself gives up an attempt, because the client
// left or a timeout passed, only the request's entry says why. Without it, the
// provider is not blamed.
func (e *entry) attemptCause(request string) string {
	switch {
	case e.judged != "":
		return e.judged
	case e.flags != 0 || e.status != 0 && CauseOf(e.status) != "" || e.complete():
		return e.cause()
	case request != "":
		return request
	}
	return CauseClientGone
}

// complete reports whether the provider's response arrived completely.
func (e *entry) complete() bool { return e.lastByte > 0 }

// cause returns why an attempt or a request did not succeed; empty means success.
func (e *entry) cause() string {
	switch f := e.flags; {
	case f.has(clientConnectionClosed, clientReset):
		return CauseClientGone
	case f.has(upstreamOverflow):
		return CauseOverloaded
	case f.has(upstreamTimeout, streamIdleTimeout, maxDurationReached, durationTimeout):
		return CauseTimeout
	case f.has(connectionFailure, noHealthyUpstream, dnsFailure):
		return CauseConnectFailure
	case f.has(upstreamReset, connectionTermination, upstreamProtocolError, localReset):
		return CauseReset
	case e.status == 0:
		return CauseOther
	}
	return CauseOf(e.status)
}

// preflight is the details of Envoy's response to the preflight request of a web page.
const preflight = "cors_response"

// plain cuts Envoy's response code details before the part that may contain text of
// the request
// (https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/response_code_details).
func plain(details string) string {
	if i := strings.IndexFunc(details, func(r rune) bool {
		return r != '_' && r != '.' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}); i >= 0 {
		return details[:i]
	}
	return details
}

// heapFull reports whether Envoy refused or ended the request because its heap
// was nearly full. Not all of these have the flag.
func (e *entry) heapFull() bool {
	return e.flags.has(overloadManager) || strings.HasPrefix(e.details, "overload")
}

// redirected reports whether Envoy sent its own response in place of a provider's
// redirect. It is the only one of Envoy's own responses without details.
func (e *entry) redirected() bool { return e.status == 502 && e.details == "" }
