package tokens

import (
	"bytes"

	"weir/llm/prompt"
)

// maxDepth is the maximum nesting of a body. Deeper bodies were refused before.
const maxDepth = 1000

// walk reads the fields of a request that are its prompt.
type walk struct {
	cursor
	chunk   func(text []byte) bool // receives at most chunkSize bytes of text; false ends the walk
	fixed   func(n int) bool       // receives a number of tokens that are not text; false ends the walk
	stopped bool
	depth   int
	used    int // of buf
	buf     [chunkSize]byte
}

// request reads the whole body.
func (w *walk) request() {
	if w.peek() != '{' {
		return
	}
	for first := true; w.more(first, '}'); first = false {
		var spelled [prompt.MaxKey]byte
		f, ok := prompt.FieldOf(decodeKey(spelled[:0], w.key()))
		switch {
		case !ok:
			w.skip()
		case f.Data:
			w.data()
		default:
			w.charge(f.Once)
			w.prompt(f)
		}
	}
}

func (w *walk) stop() {
	w.stopped = true
	w.fail()
}

func (w *walk) charge(n int) {
	if n > 0 && !w.stopped && !w.fixed(n) {
		w.stop()
	}
}

func (w *walk) enter() {
	if w.depth++; w.depth > maxDepth {
		w.stop()
	}
}

func (w *walk) leave() { w.depth-- }

// prompt reads a string, a list of numbers, messages, or lists of these.
func (w *walk) prompt(f prompt.Field) {
	w.enter()
	defer w.leave()
	switch c := w.peek(); {
	case c == '[':
		for first := true; w.more(first, ']'); first = false {
			w.prompt(f)
		}
	case c == '{':
		w.charge(f.PerObject)
		w.members(prompt.Nested)
	case c == '"':
		w.text(w.str())
	default:
		w.scalar()
		if f.Numbers && (c == '-' || '0' <= c && c <= '9') {
			w.charge(1)
		}
	}
}

// nested reads an object or array that has known keys.
func (w *walk) nested(in prompt.Kind) {
	w.enter()
	defer w.leave()
	switch w.peek() {
	case '[':
		for first := true; w.more(first, ']'); first = false {
			w.nested(in)
		}
	case '{':
		w.members(in)
	case '"':
		w.text(w.str())
	default:
		w.scalar()
	}
}

// members reads a message, or an object in a message whose key is of kind in.
func (w *walk) members(in prompt.Kind) {
	start := w.at
	var isSealed, isKnown bool // of its payload
	for first := true; w.more(first, '}'); first = false {
		var spelled [prompt.MaxKey]byte
		k := prompt.KindOf(decodeKey(spelled[:0], w.key()))
		switch c := w.peek(); {
		case c == '{' || c == '[':
			if k.HasKnownKeys() {
				w.nested(k)
			} else {
				w.data()
			}
			continue
		case c != '"':
			w.scalar()
			continue
		}
		s := w.str()
		if k == prompt.Payload && !isKnown {
			isSealed, isKnown = sealedPayload(w.body, start, in), true
		}
		switch {
		case k == prompt.Label && len(s) <= prompt.MaxLabel,
			k == prompt.Sealed,
			k == prompt.Linked && prompt.IsMedia(s),
			k == prompt.Address && in == prompt.Linked && prompt.IsMedia(s),
			k == prompt.Filed && (prompt.IsMedia(s) || prompt.IsPDF(s)),
			k == prompt.Payload && isSealed:
			continue
		case k == prompt.Named:
			w.charge(prompt.PerName)
		}
		w.text(s)
	}
}

// data reads a value that is text as a whole, with keys, numbers and literals.
func (w *walk) data() {
	w.enter()
	defer w.leave()
	switch w.peek() {
	case '[':
		for first := true; w.more(first, ']'); first = false {
			w.data()
		}
	case '{':
		for first := true; w.more(first, '}'); first = false {
			w.text(w.key())
			w.data()
		}
	case '"':
		w.text(w.str())
	default:
		w.text(w.scalar())
	}
}

// sealedPayload reports whether the payload of the object at start is not text. An object
// with a payload has no nested values: the first one ends the search. Therefore a body of
// such objects is read at most twice.
func sealedPayload(body []byte, start int, in prompt.Kind) bool {
	if prompt.IsSealed(in, nil, nil) {
		return true // whatever the object says
	}
	var typ, media []byte
	c := cursor{body: body, at: start}
	for first := true; c.more(first, '}'); first = false {
		key := c.key()
		if bytes.IndexByte(key, '\\') >= 0 {
			return false
		}
		if b := c.peek(); b != '"' {
			if b == '{' || b == '[' {
				return false
			}
			c.scalar()
			continue
		}
		value := c.str()
		switch {
		case bytes.EqualFold(key, []byte(prompt.TypeKey)):
			if typ != nil {
				return false // parsers differ in which one they use
			}
			typ = value
		case bytes.EqualFold(key, []byte(prompt.MediaTypeKey)):
			if media != nil {
				return false
			}
			media = value
		}
	}
	return prompt.IsSealed(in, typ, media)
}
