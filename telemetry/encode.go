package telemetry

import (
	"strconv"
	"time"
	"unicode/utf8"

	"weir/internal/jsontext"
	"weir/llm"
	"weir/telemetry/accesslog"
)

// maxText bounds a string in a log line, in bytes before escaping. A longer one is cut
// and ends in "…".
const maxText = 256

// appendRequest appends a request's line. Its fields are always there, in this
// order; a string that does not apply is empty, a number that is not known null.
//
//	time           start, RFC 3339 with milliseconds, UTC
//	kind           "request"
//	request_id
//	client_request_id  the client's own id of the request (x-request-id or x-client-request-id)
//	method, path   of the client's request; the path has no query
//	key, key_id    name and id of the access key
//	operation      chat, text_completion, embeddings, …
//	asked_model    as the client wrote it
//	provider       that responded, or was tried last
//	model          as it was sent to that provider
//	attempts       number of attempts
//	status         sent to the client
//	cause          why it did not succeed; empty if it did
//	connect_failure  dns, refused, unreachable, tls, timeout or other, if cause is connect_failure
//	code           the gateway's error code, if the gateway itself responded
//	rejected       why Envoy rejected the request, if it did
//	duration_ms    from time to the end
//	first_byte_ms  from time to the provider's first byte
//	last_byte_ms   from time to the provider's last byte
//	stream         the client asked for events
//	client_gone    the client disconnected before the response was complete
//	truncated      the stream ended without the last event of its API
//	tokens         null, or input, output (null for embeddings), total, cached_input, reasoning
//	usage_estimated  the response did not state all of the tokens, and the rest is an estimate
//	client_ip
//	bytes_in       of the request's body
//	bytes_out      of the response's body
//	suppressed     only if lines were suppressed: how many of the same kind (see refusals)
func appendRequest(b []byte, r *accesslog.Request) []byte {
	b = appendHead(b, r.Start, `","kind":"request","request_id":`, r.RequestID)
	b = appendText(b, `,"client_request_id":`, r.ClientID)
	b = appendText(b, `,"method":`, r.Method)
	b = appendText(b, `,"path":`, r.Path)
	b = appendText(b, `,"key":`, r.Key)
	b = appendText(b, `,"key_id":`, r.KeyID)
	b = appendText(b, `,"operation":`, r.Operation)
	b = appendText(b, `,"asked_model":`, r.Asked)
	b = appendText(b, `,"provider":`, r.Provider)
	b = appendText(b, `,"model":`, r.Model)
	b = strconv.AppendInt(append(b, `,"attempts":`...), int64(r.Attempts), 10)
	b = appendStatus(b, r.Status)
	b = appendText(b, `,"cause":`, r.Cause)
	b = appendText(b, `,"connect_failure":`, r.ConnectFailure)
	b = appendText(b, `,"code":`, r.Code)
	b = appendText(b, `,"rejected":`, r.Rejected)
	b = appendMS(append(b, `,"duration_ms":`...), r.Duration)
	b = appendSome(b, `,"first_byte_ms":`, r.FirstByte)
	b = appendSome(b, `,"last_byte_ms":`, r.LastByte)
	b = strconv.AppendBool(append(b, `,"stream":`...), r.Stream)
	b = strconv.AppendBool(append(b, `,"client_gone":`...), r.ClientGone)
	b = strconv.AppendBool(append(b, `,"truncated":`...), r.Truncated)
	b = appendTokens(b, &r.Tokens)
	b = strconv.AppendBool(append(b, `,"usage_estimated":`...), r.Tokens.Estimated())
	b = appendText(b, `,"client_ip":`, r.ClientIP)
	b = strconv.AppendInt(append(b, `,"bytes_in":`...), r.BytesIn, 10)
	b = strconv.AppendInt(append(b, `,"bytes_out":`...), r.BytesOut, 10)
	return append(b, "}\n"...)
}

// appendAttempt appends an attempt's line. It has the fields of a request's line that
// apply to an attempt, and:
//
//	kind           "attempt"
//	attempt        its number; 1 is the first
//	provider_key   id of the provider's key that was used
//	status         of the provider's response
//	final          no further attempt followed
func appendAttempt(b []byte, a *accesslog.Attempt) []byte {
	b = appendHead(b, a.Start, `","kind":"attempt","request_id":`, a.RequestID)
	b = appendText(b, `,"key":`, a.Key)
	b = appendText(b, `,"key_id":`, a.KeyID)
	b = appendText(b, `,"operation":`, a.Operation)
	b = appendText(b, `,"asked_model":`, a.Asked)
	b = appendText(b, `,"provider":`, a.Provider)
	b = appendText(b, `,"provider_key":`, a.ProviderKey)
	b = appendText(b, `,"model":`, a.Model)
	b = strconv.AppendInt(append(b, `,"attempt":`...), int64(a.Number), 10)
	b = appendStatus(b, a.Status)
	b = appendText(b, `,"cause":`, a.Cause)
	b = appendText(b, `,"connect_failure":`, a.ConnectFailure)
	b = appendMS(append(b, `,"duration_ms":`...), a.Duration)
	b = appendSome(b, `,"first_byte_ms":`, a.FirstByte)
	b = strconv.AppendBool(append(b, `,"stream":`...), a.Stream)
	b = strconv.AppendBool(append(b, `,"final":`...), a.Final)
	return append(b, "}\n"...)
}

func appendHead(b []byte, start time.Time, kind, id string) []byte {
	b = append(b, `{"time":"`...)
	b = start.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	return appendText(b, kind, id)
}

func appendStatus(b []byte, status int) []byte {
	b = append(b, `,"status":`...)
	if status == 0 {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, int64(status), 10)
}

func appendTokens(b []byte, t *llm.Tokens) []byte {
	if !t.Known {
		return append(b, `,"tokens":null`...)
	}
	b = strconv.AppendInt(append(b, `,"tokens":{"input":`...), t.Input, 10)
	b = append(b, `,"output":`...)
	if t.OutputKnown {
		b = strconv.AppendInt(b, t.Output, 10)
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"total":`...)
	b = strconv.AppendInt(b, t.Total, 10)
	b = strconv.AppendInt(append(b, `,"cached_input":`...), t.CachedInput, 10)
	b = strconv.AppendInt(append(b, `,"reasoning":`...), t.Reasoning, 10)
	return append(b, '}')
}

// appendMS appends milliseconds with three decimals.
func appendMS(b []byte, d time.Duration) []byte {
	us := max(d.Microseconds(), 0)
	b = strconv.AppendInt(b, us/1000, 10)
	us %= 1000
	return append(b, '.', byte('0'+us/100), byte('0'+us/10%10), byte('0'+us%10))
}

// appendSome appends a duration like appendMS, or null for 0, which means unknown.
func appendSome(b []byte, name string, d time.Duration) []byte {
	b = append(b, name...)
	if d <= 0 {
		return append(b, "null"...)
	}
	return appendMS(b, d)
}

// appendText appends a name and a JSON string of printable characters.
func appendText(b []byte, name, s string) []byte {
	end := ""
	if len(s) > maxText {
		n := maxText
		for n > maxText-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		s, end = s[:n], "…"
	}
	return jsontext.AppendPrintable(append(b, name...), s, end)
}
