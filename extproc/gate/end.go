package gate

import (
	"bytes"
	"slices"
	"strconv"

	"weir/llm"
)

// End follows a stream of events to its end. The zero value is of no use:
// Reset it first.
type End struct {
	kind     llm.ResponseKind
	complete bool
	reader   events
	last     int64 // sequence_number of the last event that had one
}

// endLimit is how much of an event is looked at: the events that end a stream
// say so at their beginning.
const endLimit = 512

// Reset makes e follow an answer of this kind.
func (e *End) Reset(kind llm.ResponseKind) {
	e.kind, e.complete, e.last = kind, false, -1
	e.reader.limit = endLimit
	e.reader.reset()
}

// Data takes the next bytes of the stream.
func (e *End) Data(b []byte) {
	e.reader.each(b, func(ev event) Verdict {
		if n := ev.number(); n >= 0 {
			e.last = n
		}
		e.complete = e.complete || ev.ends(e.kind)
		return Hold
	})
}

// Complete says that the stream told its client that it is over, well or not.
// Of kinds that have no last event, every stream is. A last event counts although
// the empty line after it is missing.
func (e *End) Complete() bool {
	pending, ok := e.reader.pending()
	return e.complete || !ends(e.kind) || ok && pending.ends(e.kind)
}

// Between says that the bytes so far end where an event does.
func (e *End) Between() bool {
	return len(e.reader.line) == 0 && !e.reader.some && len(e.reader.name) == 0
}

// Next is the sequence_number that a further event would have.
func (e *End) Next() int64 {
	if pending, ok := e.reader.pending(); ok {
		return max(e.last, pending.number()) + 1
	}
	return e.last + 1
}

func ends(kind llm.ResponseKind) bool {
	return kind == llm.KindChat || kind == llm.KindResponses || kind == llm.KindMessages
}

// ends says whether a stream has nothing more to say after an event.
func (e event) ends(kind llm.ResponseKind) bool {
	data := bytes.TrimSpace(e.data)
	if string(e.name) == "error" {
		return true
	}
	switch kind {
	case llm.KindChat:
		return string(data) == "[DONE]" || bytes.Contains(compact(e.data), []byte(`"error":{`))
	case llm.KindMessages:
		return e.is("message_stop", "error")
	}
	return e.is("response.completed", "response.incomplete", "response.failed", "response.cancelled", "error")
}

// number is the event's sequence_number, -1 where it has none.
func (e event) number() int64 {
	_, rest, ok := bytes.Cut(e.data, []byte(`"sequence_number":`))
	if !ok {
		return -1
	}
	return leadingInt(rest)
}

// is says whether an event has one of these types, by its name or, where it
// has none, by the beginning of its data. "message" is how an event without a
// name is called.
func (e event) is(types ...string) bool {
	if len(e.name) > 0 && string(e.name) != "message" {
		return slices.Contains(types, string(e.name))
	}
	data := compact(e.data)
	return slices.ContainsFunc(types, func(t string) bool { return bytes.Contains(data, []byte(`"type":"`+t+`"`)) })
}

// compact takes the space out of what is kept of an event's data. Text in a
// string has its quotes escaped: it looks like no key.
func compact(b []byte) []byte { return bytes.Join(bytes.Fields(b), nil) }

func leadingInt(b []byte) int64 {
	b = bytes.TrimLeft(b, " ")
	end := 0
	for end < len(b) && b[end] >= '0' && b[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(string(b[:end]), 10, 64)
	if err != nil {
		return -1
	}
	return n
}
