package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"weir/policy"
)

// judge says what an event means for an answer that has had no content yet.
func (e event) judge(kind policy.Answer) Verdict {
	if string(e.name) == "error" {
		return ErrorAnswer
	}
	data := bytes.TrimSpace(e.data)
	if len(data) == 0 || string(data) == "[DONE]" {
		return Hold
	}
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		if data[0] == '{' && json.Valid(data) {
			return Pass // JSON of another form than is known
		}
		return WrongAnswer
	}
	switch {
	case reported(m.Error), m.Object == "error":
		return ErrorAnswer
	case kind == policy.ChatAnswer:
		return m.chat()
	case kind == policy.ResponsesAnswer:
		return m.responses()
	case kind == policy.MessagesAnswer:
		return m.messages()
	case m.Type == "error":
		return ErrorAnswer
	}
	return Pass
}

// message is what is read of an event of any of the APIs.
type message struct {
	Type   string          `json:"type"`
	Object string          `json:"object"`
	Error  json.RawMessage `json:"error"`

	// Chat completions, and the completions before them.
	Choices []struct {
		Delta  map[string]json.RawMessage `json:"delta"`
		Text   string                     `json:"text"`
		Finish string                     `json:"finish_reason"`
	} `json:"choices"`

	// Responses: a string or an object. Messages: an object.
	Delta    json.RawMessage `json:"delta"`
	Response struct {
		Output []json.RawMessage `json:"output"`
	} `json:"response"`

	ContentBlock map[string]json.RawMessage `json:"content_block"`
}

func (m *message) chat() Verdict {
	if m.Choices == nil {
		return Pass
	}
	for _, c := range m.Choices {
		switch {
		case c.Finish == "error":
			return ErrorAnswer
		case c.Text != "", anyBut(c.Delta, "role"):
			return Pass
		case c.Finish != "" && c.Finish != "stop":
			return Pass // cut short, or filtered: that is an answer
		}
	}
	return Hold
}

// progress are the events of the responses API that tell of an answer and hold
// nothing of it.
var progress = map[string]bool{
	"response.created": true, "response.queued": true, "response.in_progress": true,
	"response.output_item.added": true, "response.content_part.added": true, "response.reasoning_summary_part.added": true,
	"keepalive": true, "ping": true,
}

func (m *message) responses() Verdict {
	switch {
	case m.Type == "error", m.Type == "response.failed":
		return ErrorAnswer
	case progress[m.Type]:
		return Hold
	case m.Type == "response.completed" && len(m.Response.Output) == 0:
		return Hold
	case strings.HasSuffix(m.Type, ".delta") && !present(m.Delta):
		return Hold
	}
	return Pass
}

func (m *message) messages() Verdict {
	switch m.Type {
	case "error":
		return ErrorAnswer
	case "message_start", "ping", "content_block_stop", "message_stop":
		return Hold
	case "content_block_start":
		if anyBut(m.ContentBlock, "type") {
			return Pass
		}
		return Hold
	case "content_block_delta":
		if anyBut(m.delta(), "type") {
			return Pass
		}
		return Hold
	case "message_delta":
		if reason := m.delta()["stop_reason"]; present(reason) && string(reason) != `"end_turn"` {
			return Pass
		}
		return Hold
	}
	return Pass
}

func (m *message) delta() map[string]json.RawMessage {
	var out map[string]json.RawMessage
	_ = json.Unmarshal(m.Delta, &out)
	return out
}

// anyBut says whether any field but one holds something.
func anyBut(fields map[string]json.RawMessage, name string) bool {
	for k, v := range fields {
		if k != name && present(v) {
			return true
		}
	}
	return false
}

// present says whether a value holds something.
func present(v json.RawMessage) bool {
	switch string(bytes.TrimSpace(v)) {
	case "", "null", `""`, "[]", "{}":
		return false
	}
	return true
}

// reported says whether the value of "error" is one: no more than {} may be in
// it.
func reported(v json.RawMessage) bool {
	return present(v) || string(bytes.TrimSpace(v)) == "{}"
}

// frame are the keys of an answer that say nothing of whether it is one.
var frame = map[string]bool{
	"id": true, "object": true, "created": true, "created_at": true, "model": true, "provider": true,
	"background": true, "service_tier": true, "system_fingerprint": true,
}

// judgeDocument reads a JSON answer up to the first key that tells.
func judgeDocument(b []byte, end bool) Verdict {
	d := json.NewDecoder(bytes.NewReader(b))
	t, err := d.Token()
	if err == nil && t != json.Delim('{') {
		if t == json.Delim('[') {
			return Pass
		}
		return WrongAnswer
	}
	for err == nil && d.More() {
		var key json.Token
		if key, err = d.Token(); err != nil {
			break
		}
		name, _ := key.(string)
		if !frame[name] && name != "error" && name != "type" && name != "status" {
			return Pass
		}
		var value json.RawMessage
		if err = d.Decode(&value); err != nil {
			break
		}
		switch {
		case name == "error" && reported(value),
			(name == "type" || name == "object") && string(value) == `"error"`,
			name == "status" && string(value) == `"failed"`:
			return ErrorAnswer
		}
	}
	if err == nil {
		_, err = d.Token() // the end of the object
	}
	var syntax *json.SyntaxError
	switch {
	case err == nil: // nothing but a frame
		return EmptyAnswer
	case end, errors.As(err, &syntax):
		return WrongAnswer
	}
	return Hold
}
