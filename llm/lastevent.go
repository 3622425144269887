package llm

import (
	"bytes"
	"slices"
	"strconv"
)

// LastEvents says how the streams of one kind end. Envoy's Lua filter and Event.Ends
// look for the same events: both are made from this table.
type LastEvents struct {
	// Types are the types of events after which nothing follows, besides ErrorEvent.
	Types []string
	// Data is the data of a last event that is not JSON.
	Data string
}

// Done is the data of the last event of chat completions.
const Done = "[DONE]"

// ErrorEvent is the name, or the type, of an event that ends a stream of any kind.
const ErrorEvent = "error"

// lastEvents come from the API references of OpenAI
// (https://platform.openai.com/docs/api-reference/chat-streaming,
// https://platform.openai.com/docs/api-reference/responses-streaming) and Anthropic
// (https://docs.anthropic.com/en/docs/build-with-claude/streaming).
var lastEvents = map[ResponseKind]LastEvents{
	KindChat:      {Data: Done},
	KindResponses: {Types: []string{"response.completed", "response.incomplete", "response.failed", "response.cancelled"}},
	KindMessages:  {Types: []string{"message_stop"}},
}

// LastEvents returns how streams of this kind end. ok is false for a kind whose
// streams have no last event.
func (k ResponseKind) LastEvents() (last LastEvents, ok bool) {
	last, ok = lastEvents[k]
	return last, ok
}

// Ends reports whether a stream of this kind has nothing more to say after an event.
func (e Event) Ends(kind ResponseKind) bool {
	last := lastEvents[kind]
	switch {
	case string(e.Name) == ErrorEvent:
		return true
	case last.Data != "":
		return string(bytes.TrimSpace(e.Data)) == last.Data || bytes.Contains(compact(e.Data), []byte(`"error":{`))
	}
	return e.is(last.Types)
}

// Number returns the event's sequence_number, -1 where it has none.
func (e Event) Number() int64 {
	_, rest, ok := bytes.Cut(e.Data, []byte(`"sequence_number":`))
	if !ok {
		return -1
	}
	return leadingInt(rest)
}

// is reports whether an event has one of these types, or that of an error: by its name
// or, where it has none, by the beginning of its data. An event without a name has the
// name "message".
func (e Event) is(types []string) bool {
	if len(e.Name) > 0 && string(e.Name) != "message" {
		return slices.Contains(types, string(e.Name))
	}
	data := compact(e.Data)
	is := func(t string) bool { return bytes.Contains(data, []byte(`"type":"`+t+`"`)) }
	return is(ErrorEvent) || slices.ContainsFunc(types, is)
}

// compact removes white space. Quotes inside of strings are escaped, so that no text
// looks like a key.
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
