package body

import (
	"bytes"

	"weir/internal/jsontext"
	"weir/llm"
)

// Edit replaces Len bytes at offset At with With. Offsets are those of the body before all
// edits. For example, Edit{At: 10, Len: 6, With: []byte(`"gpt"`)} makes {"model": "fast"} into
// {"model": "gpt"}.
type Edit struct {
	At, Len int
	With    []byte
}

// KeyValue is a decoded top-level key and the raw JSON of its value.
type KeyValue struct {
	Key   string
	Value []byte
}

// Change is how the body for a provider differs from the client's: another model, keys that
// are set, and keys that are removed. `models` is always removed, because it is meant for the
// gateway.
type Change struct {
	Model string
	// Set replaces the value of each key, of all its repetitions too, or
	// inserts it. Keys are distinct and neither `model` nor `models`. For
	// JSON only.
	Set []KeyValue
	// Drop reports whether to remove a key; nil removes none. It is not called for
	// `model`, `models` and the keys in Set. For JSON only.
	Drop func(name []byte) bool
	// Memory, unless nil, is where the text that edits insert is appended, if its
	// capacity suffices.
	Memory *[]byte
}

// room returns an empty text with room for n bytes.
func (c *Change) room(n int) []byte {
	if c.Memory != nil {
		if m := *c.Memory; cap(m)-len(m) >= n {
			return m[len(m) : len(m) : len(m)+n]
		}
	}
	return make([]byte, 0, n)
}

// use returns a text that was begun with room. If it is in the memory, nothing else
// will be put there.
func (c *Change) use(text []byte) []byte {
	if c.Memory == nil || len(text) == 0 {
		return text
	}
	if m := *c.Memory; cap(m)-len(m) >= len(text) && &m[:len(m)+1][len(m)] == &text[0] {
		*c.Memory = m[:len(m)+len(text)]
	}
	return text
}

// WithModel appends to dst the edits that set the model and remove `models`. at is the
// place of the model's value in the edited body, so that a later attempt can replace only
// that.
func (b *Body) WithModel(dst []Edit, model string) (edits []Edit, at Span) {
	return b.Edit(dst, Change{Model: model})
}

// Edit appends to dst the edits that make the change, sorted and without overlap. All other
// bytes stay unchanged. Edits without an effect are omitted, so that without edits the
// body can be sent unchanged. modelAt is the place of the model's value in the edited body.
func (b *Body) Edit(dst []Edit, c Change) (edits []Edit, modelAt Span) {
	e := editor{body: b.Bytes, edits: dst}
	if b.Boundary != "" {
		modelAt = e.editForm(b, c.Model)
	} else {
		modelAt = e.editObject(b, c)
	}
	return e.edits, modelAt
}

// Apply appends the edited body to dst.
func Apply(dst, body []byte, edits []Edit) []byte {
	from := 0
	for _, e := range edits {
		dst = append(dst, body[from:e.At]...)
		dst = append(dst, e.With...)
		from = e.At + e.Len
	}
	return append(dst, body[from:]...)
}

// EditedLen returns the length of a body of n bytes after the edits.
func EditedLen(n int, edits []Edit) int {
	for _, e := range edits {
		n += len(e.With) - e.Len
	}
	return n
}

// editor collects edits in the order of the body.
type editor struct {
	body  []byte
	edits []Edit
	shift int // how far what follows has moved
}

// replace returns the place of with in the edited body.
func (e *editor) replace(old Span, with []byte) Span {
	at := old.Start + e.shift
	if !bytes.Equal(e.body[old.Start:old.End], with) {
		e.edits = append(e.edits, Edit{At: old.Start, Len: old.End - old.Start, With: with})
		e.shift += len(with) - (old.End - old.Start)
	}
	return Span{at, at + len(with)}
}

func (e *editor) editObject(b *Body, c Change) (modelAt Span) {
	var removed memberSet
	for i := range b.Members {
		if b.removes(i, c) {
			removed.add(i)
		}
	}
	var model []byte
	if b.HasModel {
		// It escapes only what JSON requires, so that a log of the provider shows what
		// the client requested.
		model = c.use(jsontext.AppendString(c.room(len(c.Model)+len(`""`)), c.Model))
	}
	if text, value := b.insertion(c, removed.count < len(b.Members)); len(text) > 0 {
		at := e.replace(Span{b.open, b.open}, text)
		modelAt = Span{at.Start + value.Start, at.Start + value.End}
	}
	for i := 0; i < len(b.Members); i++ {
		if removed.has(i) {
			first := i
			for i+1 < len(b.Members) && removed.has(i+1) {
				i++
			}
			e.replace(b.memberGap(first, i), nil)
		} else if b.HasModel && i == b.ModelMember {
			modelAt = e.replace(b.Members[i].Value, model)
		} else if value, ok := c.sets(b.Members[i].Name); ok {
			e.replace(b.Members[i].Value, value)
		}
	}
	return modelAt
}

func (b *Body) removes(i int, c Change) bool {
	if b.HasModels && i == b.modelsMember {
		return true
	}
	if c.Drop == nil || b.HasModel && i == b.ModelMember {
		return false
	}
	name := b.Members[i].Name
	_, set := c.sets(name)
	return !set && c.Drop(name)
}

// insertion returns the members that the body lacks, with a comma if any other member
// stays, and the place of the model's value in them.
func (b *Body) insertion(c Change, othersStay bool) (text []byte, value Span) {
	const around = len(`"":,`)
	n := 0
	if !b.HasModel {
		n = len(llm.ModelField) + len(c.Model) + len(`""`) + around
	}
	for _, kv := range c.Set {
		if !b.hasMember(kv.Key) {
			n += len(kv.Key) + len(kv.Value) + around
		}
	}
	if n == 0 {
		return nil, Span{}
	}
	text = c.room(n)
	insert := func(key string) {
		if len(text) > 0 {
			text = append(text, ',')
		}
		text = append(jsontext.AppendString(text, key), ':')
	}
	if !b.HasModel {
		insert(llm.ModelField)
		value.Start = len(text)
		text = jsontext.AppendString(text, c.Model)
		value.End = len(text)
	}
	for _, kv := range c.Set {
		if !b.hasMember(kv.Key) {
			insert(kv.Key)
			text = append(text, kv.Value...)
		}
	}
	if othersStay {
		text = append(text, ',')
	}
	return c.use(text), value
}

func (b *Body) hasMember(key string) bool {
	for _, m := range b.Members {
		if string(m.Name) == key {
			return true
		}
	}
	return false
}

// sets returns the value that the change gives to a key.
func (c *Change) sets(name []byte) ([]byte, bool) {
	for _, kv := range c.Set {
		if kv.Key == string(name) {
			return kv.Value, true
		}
	}
	return nil, false
}

// memberGap returns what to remove with the adjacent members first to last: their commas,
// and the white space up to the next key, so that this key takes their place.
func (b *Body) memberGap(first, last int) Span {
	m := b.Members
	switch {
	case last+1 < len(m):
		return Span{m[first].Key.Start, m[last+1].Key.Start}
	case first > 0:
		return Span{m[first-1].Value.End, m[last].Value.End}
	}
	return Span{m[first].Key.Start, m[last].Value.End}
}

// memberSet is a set of indexes in Body.Members, without a heap.
type memberSet struct {
	bits  [maxMembers/64 + 1]uint64
	count int
}

func (s *memberSet) add(i int) { s.bits[i/64] |= 1 << (i % 64); s.count++ }

func (s *memberSet) has(i int) bool { return s.bits[i/64]>>(i%64)&1 == 1 }
