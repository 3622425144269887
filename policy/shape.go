package policy

import (
	"cmp"
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

// clampOutput adds to what is set in a body: the request's own output limit,
// where it is absent or above max_output_tokens.
func (p *Policy) clampOutput(c *choice, req *Request) []KeyValue {
	if req.Endpoint.Path == "/v1/messages/count_tokens" {
		return p.set
	}
	fields := outputFields(req.Endpoint.Surface, c.provider.id == "openai")
	if fields == nil {
		return p.set
	}
	limit := []byte(strconv.Itoa(p.maxOutputTokens))
	set := slices.Clone(p.set)
	found := false
	for _, m := range req.Body.Members {
		if !slices.Contains(fields, string(m.Name)) {
			continue
		}
		value := string(req.Body.Bytes[m.Value.Start:m.Value.End])
		n, err := strconv.ParseFloat(value, 64)
		if value == "null" {
			continue // the same as absent
		}
		found = true
		if err != nil || n > float64(p.maxOutputTokens) || n < 0 {
			set = append(set, KeyValue{Key: string(m.Name), Value: limit})
		}
	}
	if !found {
		set = append(set, KeyValue{Key: fields[0], Value: limit})
	}
	return set
}

// rebase turns edits of the client's body (later) into edits of the body that
// the first attempt sent (first): where the two differ, and only there.
func rebase(body []byte, first, later []Edit) []Edit {
	regions := make([]Span, 0, len(first)+len(later))
	for _, list := range [2][]Edit{first, later} {
		for _, e := range list {
			regions = append(regions, Span{e.At, e.At + e.Len})
		}
	}
	slices.SortFunc(regions, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End))
	})
	var out []Edit
	shift := 0
	for i := 0; i < len(regions); {
		r := regions[i]
		for i++; i < len(regions) && regions[i].Start <= r.End; i++ {
			r.End = max(r.End, regions[i].End)
		}
		was, becomes := within(body, r, first), within(body, r, later)
		if string(was) != string(becomes) {
			out = append(out, Edit{At: r.Start + shift, Len: len(was), With: becomes})
		}
		shift += len(was) - (r.End - r.Start)
	}
	return out
}

// within applies those of the edits that lie inside r to that part of body.
func within(body []byte, r Span, edits []Edit) []byte {
	out := make([]byte, 0, r.End-r.Start+16)
	at := r.Start
	for _, e := range edits {
		if e.At < r.Start || e.At > r.End || e.At+e.Len > r.End {
			continue
		}
		out = append(out, body[at:e.At]...)
		out = append(out, e.With...)
		at = e.At + e.Len
	}
	return append(out, body[at:r.End]...)
}
