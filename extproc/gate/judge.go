package gate

import (
	"bytes"
	"strings"

	"weir/llm"
)

// MaxHeld is how much of an answer is held, in bytes. What has shown no
// content until then passes.
const MaxHeld = 64 << 10

// Judge reads the beginning of one answer. The zero value is of no use: Reset
// it first. It may be used again.
type Judge struct {
	kind   llm.ResponseKind
	stream bool // the client may have asked for events

	events bool // the answer is events
	page   bool // the answer says that it is HTML
	held   int
	body   []byte // of an answer in one piece
	next   int    // the length from which on it is worth reading body again
	reader events
}

// keep is how much memory of an answer is kept for the next, in bytes.
const keep = 8 << 10

// Reset makes j the judge of an answer to a request of this kind. stream says
// that an answer in events would be no surprise.
func (j *Judge) Reset(kind llm.ResponseKind, stream bool) {
	*j = Judge{kind: kind, stream: stream, body: again(j.body), reader: j.reader}
	j.reader.reset()
}

// again empties memory for its next use, and lets go of what is too large.
func again(b []byte) []byte {
	if cap(b) > keep {
		return nil
	}
	return b[:0]
}

// Headers judges status and headers. end says that there is no body.
func (j *Judge) Headers(status int, contentType, encoding string, end bool) llm.Verdict {
	if status < 200 || status > 299 {
		return llm.Accepted // the status says it, and Envoy decides by it
	}
	media, verdict := media(contentType), llm.Undecided
	switch {
	case media == "text/event-stream":
		if !j.stream && j.kind != llm.KindAny {
			return llm.InvalidResponse
		}
		j.events = true
	case media == "", media == "text/plain", media == "application/octet-stream", isJSON(media):
		if j.kind == llm.KindAny && !isJSON(media) {
			verdict = llm.Accepted // the bytes may be anything
		}
	case media == "text/html" && j.kind == llm.KindAny:
		j.page = true // some servers say so of plain text
	case j.kind != llm.KindAny:
		return llm.InvalidResponse
	default:
		verdict = llm.Accepted
	}
	switch {
	case end:
		return llm.EmptyResponse
	case !llm.Plain(encoding):
		return llm.Accepted // unreadable
	}
	return verdict
}

func isJSON(media string) bool {
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json") ||
		media == "application/x-ndjson" || media == "application/jsonl"
}

// Data judges a piece of the body. end says that it is the last.
func (j *Judge) Data(b []byte, end bool) llm.Verdict {
	j.held += len(b)
	v := llm.Undecided
	if j.events {
		v = j.reader.each(b, func(e llm.Event) llm.Verdict { return e.Judge(j.kind) })
	} else {
		j.body = append(j.body, b...)
		// However small the pieces are: the whole is read a few times at most.
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
	case end:
		return llm.EmptyResponse
	case j.held > MaxHeld:
		return llm.Accepted
	}
	return llm.Undecided
}

// document judges an answer in one piece by its first keys.
func (j *Judge) document(end bool) llm.Verdict {
	body := bytes.TrimLeft(bytes.TrimPrefix(j.body, byteOrderMark), " \t\r\n")
	if len(body) == 0 || !end && bytes.HasPrefix(byteOrderMark, body) {
		return llm.Undecided
	}
	if j.page {
		if body[0] == '<' {
			return llm.InvalidResponse
		}
		return llm.Accepted
	}
	if j.stream { // these may be events, although nothing said so
		for _, field := range []string{"data:", "event:", "id:", "retry:", ":"} {
			switch {
			case bytes.HasPrefix(body, []byte(field)):
				j.events, j.body = true, nil
				return j.reader.each(body, func(e llm.Event) llm.Verdict { return e.Judge(j.kind) })
			case !end && bytes.HasPrefix([]byte(field), body):
				return llm.Undecided
			}
		}
	}
	return llm.JudgeDocument(body, end, j.kind == llm.KindAny)
}

var byteOrderMark = []byte("\xef\xbb\xbf")
