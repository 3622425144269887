package policy

import (
	"bytes"
	"iter"
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

// each returns the limit of each of the responses that a request asks for: together they
// stay within the limit.
func (o outputLimit) each(c *choice, req *Request, shaped *shaped) outputLimit {
	choices := 1
	for _, field := range llm.ChoiceFields(req.Endpoint.Surface) {
		if c.drops(field) {
			continue
		}
		for value := range valuesOf(field, req, shaped) {
			// Some servers also read a number in a string.
			if n, err := strconv.ParseFloat(string(bytes.Trim(value, `"`)), 64); err == nil && n > 1 {
				choices = max(choices, int(min(n, float64(o.tokens))))
			}
		}
	}
	if choices == 1 {
		return o
	}
	return newOutputLimit(max(1, o.tokens/choices))
}

func newOutputLimit(tokens int) outputLimit {
	return outputLimit{tokens, strconv.AppendInt(nil, int64(tokens), 10)}
}

// valuesOf yields the values of a key in a body: the policy's, or else the client's, as often
// as it is there. null is the same as absent.
func valuesOf(field string, req *Request, shaped *shaped) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, kv := range shaped.set {
			if kv.Key == field {
				yield(kv.Value)
				return
			}
		}
		for _, m := range req.Body.Members {
			value := req.Body.Bytes[m.Value.Start:m.Value.End]
			if string(m.Name) == field && string(value) != "null" && !yield(value) {
				return
			}
		}
	}
}

// onlyCompletionTokens reports whether the model of a choice takes no max_tokens.
func (c *choice) onlyCompletionTokens(e *llm.Endpoint) bool {
	return llm.OnlyCompletionTokens(e.Surface, c.surface.base.Host, c.sent, c.id) && !c.drops(llm.MaxCompletionTokensField)
}

// clampOutput returns what is set in a body if the length of responses is limited. That
// includes the request's own limit, if it is absent or above the policy's, under the name
// that the model takes. A field that this model or surface does not support is left out. What
// the policy itself sets was checked when it was loaded.
func (p *Policy) clampOutput(c *choice, req *Request, shaped *shaped) []body.KeyValue {
	if req.Endpoint.Response == llm.KindJSON { // it writes no text of any length
		return shaped.set
	}
	set := slices.Clip(shaped.set) // so that appending copies
	limit := p.outputLimit.each(c, req, shaped)
	fields := llm.OutputFields(req.Endpoint.Surface, c.provider.id == "openai")
	only := c.onlyCompletionTokens(req.Endpoint)
	if only {
		set = slices.DeleteFunc(slices.Clone(set), func(kv body.KeyValue) bool { return kv.Key == llm.MaxTokensField })
	}
	lacking, found, clamped := "", false, false
	for _, field := range fields {
		if c.drops(field) || only && field != llm.MaxCompletionTokensField {
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
		for value := range valuesOf(field, req, shaped) {
			found = true
			over = over || limit.exceededBy(value)
		}
		if over {
			set, clamped = append(set, body.KeyValue{Key: field, Value: limit.json}), true
		}
	}
	if !found && lacking != "" {
		value := limit.json
		if only {
			for other := range valuesOf(llm.MaxTokensField, req, shaped) {
				if value = other; limit.exceededBy(other) {
					value = limit.json
					break
				}
			}
		}
		set, clamped = append(set, body.KeyValue{Key: lacking, Value: value}), true
	}
	if clamped && req.Endpoint.Surface == llm.Messages {
		set = fitThinking(set, limit.tokens, req, shaped)
	}
	return set
}

// fitThinking adds a budget of thinking that fits to a lower max_tokens, if it does not.
func fitThinking(set []body.KeyValue, limit int, req *Request, shaped *shaped) []body.KeyValue {
	if slices.ContainsFunc(shaped.set, func(kv body.KeyValue) bool { return kv.Key == llm.ThinkingField }) {
		return set
	}
	var last []byte
	for value := range valuesOf(llm.ThinkingField, req, shaped) {
		last = value
	}
	if fitted, differs := llm.FitThinking(last, limit); differs {
		set = append(set, body.KeyValue{Key: llm.ThinkingField, Value: fitted})
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
	renamed := p.outputLimit.tokens > 0 && c.onlyCompletionTokens(req.Endpoint)
	if supported == nil && unsupported == nil && guarded == nil {
		return change
	}
	if supported != nil || unsupported != nil {
		change.Set = slices.DeleteFunc(slices.Clone(change.Set), func(kv body.KeyValue) bool { return c.drops(kv.Key) })
	}
	change.Drop = func(name []byte) bool {
		return supported != nil && !supported[string(name)] || unsupported[string(name)] || evades(name, guarded) ||
			renamed && string(name) == llm.MaxTokensField
	}
	return change
}

// evades reports whether a key is another spelling of one whose value the policy
// decides. Some servers (Go's encoding/json) treat the two as equal.
func evades(name []byte, guarded [][]byte) bool {
	return slices.ContainsFunc(guarded, func(g []byte) bool { return bytes.EqualFold(name, g) && !bytes.Equal(name, g) })
}
