package policy

import (
	"bytes"
	"math"
	"slices"
	"strconv"
)

// outputFields are the body keys that limit an answer's length, by surface.
// The first is the one to add where the client sent none.
// Sources: OpenAI API reference, chat (max_tokens is the deprecated spelling
// that other servers still read), completions and responses; Anthropic API
// reference, messages.
func outputFields(s Surface, native bool) []string {
	switch s {
	case ChatCompletions:
		if native {
			return []string{"max_completion_tokens", "max_tokens"}
		}
		return []string{"max_tokens", "max_completion_tokens"}
	case Completions, Messages:
		return []string{"max_tokens"}
	case Responses:
		return []string{"max_output_tokens"}
	}
	return nil
}

// allOutputFields are those of every surface.
var allOutputFields = []string{"max_tokens", "max_completion_tokens", "max_output_tokens"}

func isOutputField(key string) bool { return slices.Contains(allOutputFields, key) }

// outputLimit is max_output_tokens, 0 where there is none.
type outputLimit struct {
	tokens int
	json   []byte
}

// exceededBy says whether a JSON value asks for more, or cannot be compared.
func (o outputLimit) exceededBy(value []byte) bool {
	n, err := strconv.ParseFloat(string(value), 64)
	return err != nil || n > float64(o.tokens) || n < 0
}

// clampOutput gives what is set in a body where the length of answers is
// limited: the request's own limit too, where it is absent or above the
// policy's. A field that this model or surface does not take stays out; what
// the policy itself sets was checked when it was loaded.
func (p *Policy) clampOutput(c *choice, req *Request, shaped *shaped) []KeyValue {
	if req.Endpoint.Path == "/v1/messages/count_tokens" {
		return shaped.set
	}
	set := slices.Clip(shaped.set) // so that appending copies
	lacking, found := "", false
	for _, field := range outputFields(req.Endpoint.Surface, c.provider.id == "openai") {
		if c.drops(field) {
			continue
		}
		if lacking == "" {
			lacking = field
		}
		if slices.ContainsFunc(shaped.set, func(kv KeyValue) bool { return kv.Key == field }) {
			found = true
			continue
		}
		over := false
		for _, m := range req.Body.Members {
			value := req.Body.Bytes[m.Value.Start:m.Value.End]
			if string(m.Name) == field && string(value) != "null" { // null is the same as absent
				found = true
				over = over || p.outputLimit.exceededBy(value)
			}
		}
		if over {
			set = append(set, KeyValue{Key: field, Value: p.outputLimit.json})
		}
	}
	if !found && lacking != "" {
		set = append(set, KeyValue{Key: lacking, Value: p.outputLimit.json})
	}
	return set
}

// change is what a choice's body differs in from the client's.
func (p *Policy) change(c *choice, req *Request, shaped *shaped) Change {
	change := Change{Model: c.sent, Set: shaped.set}
	if p.outputLimit.tokens > 0 {
		change.Set = p.clampOutput(c, req, shaped)
	}
	supported, unsupported, guarded := c.surface.supported, c.drop, p.guarded
	if supported == nil && unsupported == nil && guarded == nil {
		return change
	}
	if supported != nil || unsupported != nil {
		change.Set = slices.DeleteFunc(slices.Clone(change.Set), func(kv KeyValue) bool { return c.drops(kv.Key) })
	}
	change.Drop = func(name []byte) bool {
		return supported != nil && !supported[string(name)] || unsupported[string(name)] || evades(name, guarded)
	}
	return change
}

// evades says whether a key is another spelling of one whose value the policy
// decides. Some servers (Go's encoding/json) take it for that one.
func evades(name []byte, guarded [][]byte) bool {
	return slices.ContainsFunc(guarded, func(g []byte) bool { return bytes.EqualFold(name, g) && !bytes.Equal(name, g) })
}

// rebase appends to dst the edits that turn the body that the first attempt
// sent (body with the edits first) into that of a later one (body with the
// edits later): where the two differ, and only there.
func rebase(dst []Edit, body []byte, first, later []Edit) []Edit {
	shift := 0
	for len(first) > 0 || len(later) > 0 {
		// The next region that either of them touches, with all that overlaps or
		// adjoins it, is n edits of the first and m of the later.
		r, n, m := region(first, later)
		was, becomes := within(body, r, first[:n]), within(body, r, later[:m])
		if !bytes.Equal(was, becomes) {
			dst = append(dst, Edit{At: r.Start + shift, Len: len(was), With: becomes})
		}
		shift += len(was) - (r.End - r.Start)
		first, later = first[n:], later[m:]
	}
	return dst
}

// region takes the edits of both lists that stand in one piece, from the front.
func region(first, later []Edit) (r Span, n, m int) {
	r.Start = math.MaxInt
	for _, list := range [2][]Edit{first, later} {
		if len(list) > 0 && list[0].At < r.Start {
			r = Span{list[0].At, list[0].At}
		}
	}
	for grown := true; grown; {
		grown = false
		for ; n < len(first) && first[n].At <= r.End; n++ {
			r.End, grown = max(r.End, first[n].At+first[n].Len), true
		}
		for ; m < len(later) && later[m].At <= r.End; m++ {
			r.End, grown = max(r.End, later[m].At+later[m].Len), true
		}
	}
	return r, n, m
}

// within gives the part r of body after the edits, all of which lie in it. It
// copies only where it must.
func within(body []byte, r Span, edits []Edit) []byte {
	switch {
	case len(edits) == 0:
		return body[r.Start:r.End]
	case len(edits) == 1 && edits[0].At == r.Start && edits[0].Len == r.End-r.Start:
		return edits[0].With
	}
	out := make([]byte, 0, EditedLen(r.End-r.Start, edits))
	at := r.Start
	for _, e := range edits {
		out = append(out, body[at:e.At]...)
		out = append(out, e.With...)
		at = e.At + e.Len
	}
	return append(out, body[at:r.End]...)
}
