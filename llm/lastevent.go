package llm

import (
	"bytes"
	"slices"
	"strconv"
)

// LastEvents are the events after which streams of one kind have nothing more to say, with
// success or with an error. Envoy's Lua filter and Event.Ends look for the same events: both
// are made from this table. For example, a stream of the messages API ends with either of
//
//	event: message_stop
//	data: {"type":"message_stop"}
//
//	event: error
//	data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}
type LastEvents struct {
	// Names are the names of last events.
	Names []string
	// TypeKey is the key in the data of an event without a name that has its name instead.
	TypeKey string
	// Data is the data of a last event that is not JSON.
	Data string
	// Key is a key of the data of a last event. Its value is an object.
	Key string
}

// Done is the data of the last event of chat completions.
const Done = "[DONE]"

// ErrorEvent is the name, or the type, of an event that reports an error.
const ErrorEvent = "error"

// lastEvents come from the API references of OpenAI
// (https://platform.openai.com/docs/api-reference/chat-streaming,
// https://platform.openai.com/docs/api-reference/responses-streaming) and Anthropic
// (https://docs.anthropic.com/en/docs/build-with-claude/streaming). OpenAI documents no
// errors in a stream of chat completions: its SDKs raise one for an event named error and
// for data with an error
// (https://github.com/openai/openai-python/blob/main/src/openai/_streaming.py). Some servers
// send "error": null in every chunk, so only an object counts.
var lastEvents = map[ResponseKind]LastEvents{
	KindChat:      {Names: []string{ErrorEvent}, Data: Done, Key: "error"},
	KindResponses: {Names: []string{"response.completed", "response.incomplete", "response.failed", "response.cancelled", ErrorEvent}, TypeKey: "type"},
	KindMessages:  {Names: []string{"message_stop", ErrorEvent}, TypeKey: "type"},
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
	if slices.Contains(last.Names, string(e.Name)) {
		return true
	}
	if last.Data != "" && string(bytes.TrimSpace(e.Data)) == last.Data {
		return true
	}
	if last.Key != "" && bytes.Contains(compact(e.Data), []byte(`"`+last.Key+`":{`)) {
		return true
	}
	return last.TypeKey != "" && e.unnamed() && e.is(last.TypeKey, last.Names)
}

// unnamed reports whether an event has no name of its own: one without a name has the name
// "message".
func (e Event) unnamed() bool { return len(e.Name) == 0 || string(e.Name) == "message" }

// is reports whether the data of an event has a key with one of these values.
func (e Event) is(key string, values []string) bool {
	data := compact(e.Data)
	return slices.ContainsFunc(values, func(v string) bool { return bytes.Contains(data, []byte(`"`+key+`":"`+v+`"`)) })
}

// Number returns the event's sequence_number, -1 where it has none.
func (e Event) Number() int64 {
	_, rest, ok := bytes.Cut(e.Data, []byte(`"sequence_number":`))
	if !ok {
		return -1
	}
	return leadingInt(rest)
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
