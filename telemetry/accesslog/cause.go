package accesslog

import (
	"strings"
	"time"

	"weir/llm"
	"weir/metadata"
)

// answered says that a request's entry stands for its last attempt, too, which
// has none: it is the rule by which Envoy sends the entries of attempts, and
// what Envoy notes of the request alone is nothing that it notes of an attempt.
func (e *entry) answered() bool {
	return e.attempts > 0 && (e.status >= 200 && e.status < 300 || e.replaced()) && e.flags&^ofRequests == 0
}

// replaced says that Weir put an error in the place of a provider's response of
// status 200 after its end: a stream without a last event, and without anything
// else.
func (e *entry) replaced() bool {
	return e.refused && e.complete() && e.status >= 400 && e.details == metadata.DetailsPrefix+string(llm.StreamTruncated)
}

const ofRequests flags = 1<<clientConnectionClosed | 1<<clientReset | 1<<streamIdleTimeout | 1<<maxDurationReached | 1<<durationTimeout

// attempt makes the entry of a request's last attempt. The first one began when
// the request was there, each other when the one before had ended; where that
// is not known, when it was sent.
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

// attemptCause is cause for an attempt, with the cause of its request if it was
// the last. Of an attempt that Envoy itself gives up, because the client left or
// waited too long, the request's entry alone says why. Without one, it is not
// the provider that is blamed.
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

// complete says that the provider's answer came to its end.
func (e *entry) complete() bool { return e.lastByte > 0 }

// cause says why an attempt or a request was no success.
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

// plain cuts Envoy's response code details where something of the request may
// begin (https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/response_code_details).
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

// redirected says that the answer stands in the place of a provider's redirect:
// the one answer of Envoy's own that has no details.
func (e *entry) redirected() bool { return e.status == 502 && e.details == "" }
