package gate

import (
	"weir/llm"
)

// End follows a stream of events to its end. Call Reset before each stream.
type End struct {
	kind     llm.ResponseKind
	complete bool
	reader   events
	last     int64 // sequence_number of the last event that had one
}

// endLimit is how much of an event is read, in bytes: the type of an event is at its
// beginning.
const endLimit = 512

// Reset makes e follow a response of this kind.
func (e *End) Reset(kind llm.ResponseKind) {
	e.kind, e.complete, e.last = kind, false, -1
	e.reader.limit = endLimit
	e.reader.reset()
}

// Data takes the next bytes of the stream.
func (e *End) Data(b []byte) {
	e.reader.each(b, func(ev llm.Event) llm.Verdict {
		if n := ev.Number(); n >= 0 {
			e.last = n
		}
		e.complete = e.complete || ev.Ends(e.kind)
		return llm.Undecided
	})
}

// Complete reports whether the stream has had its last event, be it success or an error. Streams of kinds without a last event are always complete. A last
// event counts even if the empty line after it is missing.
func (e *End) Complete() bool {
	pending, ok := e.reader.pending()
	_, ends := e.kind.LastEvents()
	return e.complete || !ends || ok && pending.Ends(e.kind)
}

// Between reports whether the bytes so far end where an event ends.
func (e *End) Between() bool {
	return len(e.reader.line) == 0 && !e.reader.some && len(e.reader.name) == 0
}

// Next returns the sequence_number that a further event would have.
func (e *End) Next() int64 {
	if pending, ok := e.reader.pending(); ok {
		return max(e.last, pending.Number()) + 1
	}
	return e.last + 1
}
