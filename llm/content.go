package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// Judge returns the verdict on a response that has had no content before this event:
// Undecided if the event has none either.
func (e Event) Judge(kind ResponseKind) Verdict {
	data := bytes.TrimSpace(e.Data)
	failed := string(e.Name) == ErrorEvent
	var m message
	err := json.Unmarshal(data, &m)
	var form *json.UnmarshalTypeError
	switch {
	case err == nil, errors.As(err, &form) && data[0] == '{': // the rest of it was read
	case failed:
		return ErrorResponse
	case bytes.HasPrefix(data, []byte("{")):
		if errors.Is(json.NewDecoder(bytes.NewReader(data)).Decode(&m), io.ErrUnexpectedEOF) {
			return InvalidResponse // broken off
		}
		return Accepted // JSON that Go does not read, such as NaN
	default:
		return Undecided // Done, or a comment that keeps the connection open
	}
	if m.Type == "" {
		m.Type = string(e.Name)
	}
	switch {
	case failed, reported(m.Error), m.Object == "error", m.Type == ErrorEvent, m.Type == "response.failed":
		return m.refusal()
	case err != nil:
		return Accepted
	case kind == KindChat:
		return m.chat()
	case kind == KindResponses:
		return m.responses()
	case kind == KindMessages:
		return m.messages()
	}
	return Accepted
}

// message has the fields that are read of an event of any of the APIs.
type message struct {
	Type   string          `json:"type"`
	Object string          `json:"object"`
	Error  json.RawMessage `json:"error"`
	Code   json.RawMessage `json:"code"`

	// Chat completions, and the completions before them.
	Choices []struct {
		Delta   map[string]json.RawMessage `json:"delta"`
		Message map[string]json.RawMessage `json:"message"`
		Text    *string                    `json:"text"`
		Finish  string                     `json:"finish_reason"`
	} `json:"choices"`

	// Responses: a string or an object. Messages: an object.
	Delta    json.RawMessage `json:"delta"`
	Response struct {
		Output     []json.RawMessage `json:"output"`
		Error      json.RawMessage   `json:"error"`
		Background bool              `json:"background"`
	} `json:"response"`
	Item struct {
		Type string `json:"type"`
	} `json:"item"`

	ContentBlock struct {
		Type string `json:"type"`
		Text string `json:"text"`
	} `json:"content_block"`
}

// refusal judges an error. An error about the request itself is accepted, as the statuses
// 400, 413 and 422 are: no other provider would accept the request.
func (m *message) refusal() Verdict {
	var codes []json.RawMessage
	for _, raw := range []json.RawMessage{m.Error, m.Response.Error} {
		var e struct {
			Code json.RawMessage `json:"code"`
			Type json.RawMessage `json:"type"`
		}
		_ = json.Unmarshal(raw, &e)
		codes = append(codes, e.Code, e.Type)
	}
	for _, code := range append(codes, m.Code) {
		if ofRequest[strings.Trim(string(code), `"`)] {
			return Accepted
		}
	}
	if ofRequest[m.Type] {
		return Accepted
	}
	return ErrorResponse
}

// ofRequest are the codes and types of errors about the request itself.
var ofRequest = map[string]bool{
	"400": true, "413": true, "422": true,
	"invalid_request_error": true, "request_too_large": true, "BadRequestError": true, "invalid_prompt": true,
	"context_length_exceeded": true, "string_above_max_length": true, "content_filter": true, "content_policy_violation": true,
}

func (m *message) chat() Verdict {
	if m.Choices == nil {
		return Accepted
	}
	for _, c := range m.Choices {
		switch {
		case c.Finish == "error":
			return ErrorResponse
		case c.Text != nil && (*c.Text != "" || c.Finish != ""), anyBut(c.Delta, "role"), anyBut(c.Message, "role"):
			return Accepted // empty completions are frequent
		case c.Finish != "" && c.Finish != "stop":
			return Accepted // limited or filtered, as the client has to know
		}
	}
	return Undecided
}

// progress are the events of the responses API without content.
var progress = map[string]bool{
	"response.created": true, "response.in_progress": true,
	"response.output_item.added": true, "response.content_part.added": true, "response.reasoning_summary_part.added": true,
	"keepalive": true, "ping": true,
}

func (m *message) responses() Verdict {
	switch {
	case m.Response.Background, m.Item.Type != "" && m.Item.Type != "message":
		return Accepted // it works: the first text may take longer than an attempt
	case progress[m.Type]:
		return Undecided
	case m.Type == "response.completed" && len(m.Response.Output) == 0:
		return Undecided
	case strings.HasSuffix(m.Type, ".delta") && !present(m.Delta):
		return Undecided
	}
	return Accepted
}

func (m *message) messages() Verdict {
	switch m.Type {
	case "message_start", "ping", "content_block_stop", "message_stop":
		return Undecided
	case "content_block_start":
		if m.ContentBlock.Type != "text" || m.ContentBlock.Text != "" {
			return Accepted // thinking and tools are content before they have text
		}
		return Undecided
	case "content_block_delta":
		if anyBut(m.delta(), "type") {
			return Accepted
		}
		return Undecided
	case "message_delta":
		if reason := m.delta()["stop_reason"]; present(reason) && string(reason) != `"end_turn"` {
			return Accepted
		}
		return Undecided
	}
	return Accepted
}

func (m *message) delta() map[string]json.RawMessage {
	var out map[string]json.RawMessage
	_ = json.Unmarshal(m.Delta, &out)
	return out
}

// anyBut reports whether any field except one has a value.
func anyBut(fields map[string]json.RawMessage, name string) bool {
	for k, v := range fields {
		if k != name && present(v) {
			return true
		}
	}
	return false
}

// present reports whether a value is not empty.
func present(v json.RawMessage) bool {
	switch string(bytes.TrimSpace(v)) {
	case "", "null", `""`, "[]", "{}":
		return false
	}
	return true
}

// reported reports whether the value of "error" is an error.
func reported(v json.RawMessage) bool {
	switch string(bytes.TrimSpace(v)) {
	case "false", "0":
		return false
	case "{}":
		return true
	}
	return present(v)
}

// frame are the keys of a response that do not show whether it has content.
var frame = map[string]bool{
	"id": true, "object": true, "created": true, "created_at": true, "model": true, "provider": true,
	"background": true, "service_tier": true, "system_fingerprint": true,
}

// maxFrame bounds how many keys of the frame are read.
const maxFrame = 32

// JudgeDocument judges the beginning of a response that is not a stream, by the first key
// that decides. end is set if b is the whole response, loose if the response may be any JSON
// or text, as those of KindAny.
func JudgeDocument(b []byte, end, loose bool) Verdict {
	failed := false
	d := json.NewDecoder(bytes.NewReader(b))
	t, err := d.Token()
	if err == nil && t != json.Delim('{') {
		if loose || t == json.Delim('[') {
			return Accepted
		}
		return InvalidResponse
	}
	for keys := 0; err == nil && d.More(); keys++ {
		if keys == maxFrame && !failed {
			return Accepted
		}
		var key json.Token
		if key, err = d.Token(); err != nil {
			break
		}
		name, _ := key.(string)
		if !failed && !frame[name] && name != "error" && name != "type" && name != "status" {
			return Accepted
		}
		var value json.RawMessage
		if err = d.Decode(&value); err != nil {
			break
		}
		switch {
		case name == "error" && reported(value):
			return (&message{Error: value}).refusal()
		case (name == "type" || name == "object") && string(value) == `"error"`, name == "status" && string(value) == `"failed"`:
			failed = true // another key may say that the request is wrong
		}
	}
	if err == nil {
		_, err = d.Token() // the end of the object
	}
	var syntax *json.SyntaxError
	switch {
	case err == nil && failed:
		var m message
		_ = json.NewDecoder(bytes.NewReader(b)).Decode(&m)
		return m.refusal()
	case err == nil: // only keys of the frame
		return EmptyResponse
	case !end && !errors.As(err, &syntax):
		return Undecided
	case failed:
		return ErrorResponse
	}
	return InvalidResponse
}
