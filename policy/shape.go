package policy

import (
	"bytes"
	"slices"
	"strconv"

	"weir/llm"
	"weir/llm/body"
)

// outputLimit is max_output_tokens, or 0.
type outputLimit struct {
	tokens int
	json   []byte
}

// exceededBy reports whether a JSON value is above the limit, or cannot be compared.
func (o outputLimit) exceededBy(value []byte) bool {
	n, err := strconv.ParseFloat(string(value), 64)
	return err != nil || n > float64(o.tokens) || n < 0
}

// clampOutput returns what is set in a body if the length of responses is limited. That
// includes the request's own limit, if it is absent or above the policy's. A field that this
// model or surface does not support is left out. What the policy itself sets was checked
// when it was loaded.
func (p *Policy) clampOutput(c *choice, req *Request, shaped *shaped) []body.KeyValue {
	if req.Endpoint.Response == llm.KindJSON { // it writes no text of any length
		return shaped.set
	}
	set := slices.Clip(shaped.set) // so that appending copies
	lacking, found := "", false
	for _, field := range llm.OutputFields(req.Endpoint.Surface, c.provider.id == "openai") {
		if c.drops(field) {
			continue
		}
		if lacking == "" {
			lacking = field
		}
		if slices.ContainsFunc(shaped.set, func(kv body.KeyValue) bool { return kv.Key == field }) {
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
			set = append(set, body.KeyValue{Key: field, Value: p.outputLimit.json})
		}
	}
	if !found && lacking != "" {
		set = append(set, body.KeyValue{Key: lacking, Value: p.outputLimit.json})
	}
	return set
}

// change returns how the body of a choice differs from the client's.
func (p *Policy) change(c *choice, req *Request, shaped *shaped) body.Change {
	change := body.Change{Model: c.sent, Set: shaped.set}
	if p.outputLimit.tokens > 0 {
		change.Set = p.clampOutput(c, req, shaped)
	}
	supported, unsupported, guarded := c.surface.supported, c.drop, p.guarded
	if supported == nil && unsupported == nil && guarded == nil {
		return change
	}
	if supported != nil || unsupported != nil {
		change.Set = slices.DeleteFunc(slices.Clone(change.Set), func(kv body.KeyValue) bool { return c.drops(kv.Key) })
	}
	change.Drop = func(name []byte) bool {
		return supported != nil && !supported[string(name)] || unsupported[string(name)] || evades(name, guarded)
	}
	return change
}

// evades reports whether a key is another spelling of one whose value the policy
// decides. Some servers (Go's encoding/json) treat the two as equal.
func evades(name []byte, guarded [][]byte) bool {
	return slices.ContainsFunc(guarded, func(g []byte) bool { return bytes.EqualFold(name, g) && !bytes.Equal(name, g) })
}
