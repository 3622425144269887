package gate

import (
	"bytes"

	"weir/llm"
)

// events parses a stream of server-sent events, in chunks of any size and with any of the
// line ends that the standard allows.
type events struct {
	line  []byte // the line that has begun
	name  []byte
	data  []byte
	some  bool // the event has a data field
	cr    bool // the last line ended in CR: a following LF belongs to it
	begun bool // the first line was read
	// limit is the most that is kept of an event's data, in bytes; 0 is no limit.
	limit int
}

func (r *events) reset() {
	*r = events{line: again(r.line), name: again(r.name), data: again(r.data), limit: r.limit}
}

// each calls f for every event that ends in b, until f returns a verdict other than
// Undecided.
func (r *events) each(b []byte, f func(llm.Event) llm.Verdict) llm.Verdict {
	for len(b) > 0 {
		if r.cr {
			r.cr = false
			if b[0] == '\n' {
				b = b[1:]
				continue
			}
		}
		i := bytes.IndexAny(b, "\r\n")
		if i < 0 {
			r.add(b)
			break
		}
		r.add(b[:i])
		r.cr = b[i] == '\r'
		b = b[i+1:]
		ended := len(r.line) == 0
		if !ended {
			r.field()
			r.line = r.line[:0]
			continue
		}
		if r.some {
			if v := f(llm.Event{Name: r.name, Data: r.data}); v != llm.Undecided {
				return v
			}
		}
		r.name, r.data, r.some = r.name[:0], r.data[:0], false
	}
	return llm.Undecided
}

// pending returns the event that has begun, if it has data. A line without its end is
// read only if it has llm.Done: anything else may be incomplete.
func (r *events) pending() (llm.Event, bool) {
	if data, ok := bytes.CutPrefix(r.line, []byte("data:")); ok && string(bytes.TrimPrefix(data, []byte(" "))) == llm.Done {
		return llm.Event{Name: r.name, Data: data}, !r.some
	}
	return llm.Event{Name: r.name, Data: r.data}, r.some
}

// add appends to the line, up to the limit.
func (r *events) add(b []byte) { r.line = append(r.line, r.room(b, r.line)...) }

// room returns the part of b that the limit lets in.
func (r *events) room(b, kept []byte) []byte {
	if r.limit > 0 {
		b = b[:min(len(b), max(0, r.limit-len(kept)))]
	}
	return b
}

func (r *events) field() {
	line := r.line
	if !r.begun {
		r.begun = true
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		r.name = append(r.name[:0], value...)
	case "data":
		if r.some {
			r.data = append(r.data, r.room([]byte{'\n'}, r.data)...)
		}
		r.data, r.some = append(r.data, r.room(value, r.data)...), true
	}
}
