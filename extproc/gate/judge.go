package gate

import (
	"bytes"

	"weir/llm"
)

// MaxHeld is how much of a response is held, in bytes. If there is no content within
// them, the response passes.
const MaxHeld = 64 << 10

// Judge reads the beginning of one response and decides whether it has content or is a
// failure: see llm.Verdict. Call Reset before each response, Headers
// with its status and headers, and then Data with each chunk of the body until the
// verdict is no longer llm.Undecided. A Judge holds at most MaxHeld bytes.
//
// For example, a response with status 200 whose first event is an error is an
// llm.ErrorResponse, and the next attempt follows.
type Judge struct {
	judge  llm.Judge
	stream bool // the client may have asked for events

	events bool // the response is a stream of events
	page   bool // the response says that it is HTML
	failed bool // the response has a status of failure
	held   int
	body   []byte // of a response that is not a stream
	next   int    // the length at which body is read again
	reader events
}

// keep is how much memory is kept from one response for the next, in bytes.
const keep = 8 << 10

// Reset prepares j for a response of this kind. stream is set if the client may have
// asked for events. faults are those after which another attempt can help.
func (j *Judge) Reset(kind llm.ResponseKind, stream bool, faults llm.Fault) {
	*j = Judge{judge: llm.Judge{Kind: kind, Faults: faults}, stream: stream, body: again(j.body), reader: j.reader}
	j.reader.reset()
}

// again returns b empty, for its next use, or nil if it is larger than keep.
func again(b []byte) []byte {
	if cap(b) > keep {
		return nil
	}
	return b[:0]
}

// Headers judges the status and the headers. end is set if there is no body.
func (j *Judge) Headers(status int, contentType, encoding string, end bool) llm.Verdict {
	if status < 200 || status > 299 {
		if llm.HasFaults(status) && j.judge.Faults != llm.NoFault && !end && llm.Plain(encoding) {
			j.failed = true
			return llm.Undecided
		}
		return llm.Accepted // Envoy decides by the status
	}
	media, verdict, kind := llm.MediaOf(contentType), llm.Undecided, j.judge.Kind
	switch {
	case media == llm.MediaEvents:
		if !j.stream && kind != llm.KindAny {
			return llm.InvalidResponse
		}
		j.events = true
	case media == llm.MediaUnknown, media == llm.MediaJSON:
		if kind == llm.KindAny && media == llm.MediaUnknown {
			verdict = llm.Accepted // the bytes may be anything
		}
	case media == llm.MediaHTML && kind == llm.KindAny:
		j.page = true // some servers send plain text as HTML
	case kind != llm.KindAny:
		return llm.InvalidResponse
	default:
		verdict = llm.Accepted
	}
	switch {
	case end && kind == llm.KindAny && llm.IsText(contentType):
		return llm.Accepted // the transcript of silence
	case end:
		return llm.EmptyResponse
	case !llm.Plain(encoding):
		return llm.Accepted // compressed
	}
	return verdict
}

// Data judges the next chunk of the body. end is set if it is the last.
func (j *Judge) Data(b []byte, end bool) llm.Verdict {
	j.held += len(b)
	v := llm.Undecided
	if j.events {
		v = j.reader.each(b, func(e llm.Event) llm.Verdict { return j.judge.Event(e) })
	} else {
		j.body = append(j.body, b...)
		// The body is read again only when it has doubled, however small the chunks are.
		if len(j.body) >= j.next || end || j.held > MaxHeld {
			if len(j.body) >= 1<<10 {
				j.next = 2 * len(j.body)
			}
			v = j.document(end)
		}
	}
	switch {
	case v != llm.Undecided:
		return v
	case end && !j.failed:
		return llm.EmptyResponse
	case end:
		return llm.Accepted
	case j.held > MaxHeld:
		return j.unfinished()
	}
	return llm.Undecided
}

// unfinished judges a response whose content has not begun within MaxHeld: it is accepted unless
// it has an error.
func (j *Judge) unfinished() llm.Verdict {
	if !j.events && !j.failed {
		if v := j.document(true); v.Failed() && v != llm.EmptyResponse && v != llm.InvalidResponse {
			return v
		}
	}
	return llm.Accepted
}

// document judges a response that is not a stream.
func (j *Judge) document(end bool) llm.Verdict {
	body := bytes.TrimLeft(bytes.TrimPrefix(j.body, byteOrderMark), " \t\r\n")
	if len(body) == 0 || !end && bytes.HasPrefix(byteOrderMark, body) {
		return llm.Undecided
	}
	if j.failed {
		if end {
			return j.judge.Failure(body)
		}
		return llm.Undecided
	}
	if j.page {
		if body[0] == '<' {
			return llm.InvalidResponse
		}
		return llm.Accepted
	}
	if j.stream { // these may be events, although the content type does not say so
		for _, field := range []string{"data:", "event:", "id:", "retry:", ":"} {
			switch {
			case bytes.HasPrefix(body, []byte(field)):
				j.events, j.body = true, nil
				return j.reader.each(body, func(e llm.Event) llm.Verdict { return j.judge.Event(e) })
			case !end && bytes.HasPrefix([]byte(field), body):
				return llm.Undecided
			}
		}
	}
	return j.judge.Document(body, end)
}

var byteOrderMark = []byte("\xef\xbb\xbf")
