package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// Judge decides whether a response has content or is a failure. Event reads the events of a
// stream, Document any other response, and Failure the error of a response with a status for
// which HasFaults holds. The same table (roles) says what an error looks like in an event and in
// a document, in whichever order its keys are. Content counts more than an error: a response
// that has both is accepted. For example:
//
//	Judge{Kind: KindChat}.Document([]byte(`{"detail": "Not authenticated"}`), true) // ErrorResponse
type Judge struct {
	Kind ResponseKind
	// Faults are those after which another attempt can help.
	Faults Fault
}

// Event returns the verdict on a stream that has had no content before this event: Undecided if
// the event has none either.
func (j Judge) Event(e Event) Verdict {
	data := bytes.TrimSpace(e.Data)
	r := reading{Judge: j, event: true, typ: string(e.Name)}
	r.problem.reported = string(e.Name) == ErrorEvent
	switch {
	case bytes.HasPrefix(data, []byte("{")):
		return r.object(data, true)
	case bytes.HasPrefix(data, []byte("[")) && string(data) != Done:
		return r.list(data, true)
	case r.problem.reported:
		return ErrorResponse
	}
	return Undecided // Done, or a comment that keeps the connection open
}

// Document judges the beginning of a response that is not a stream. end is set if b is the whole
// response.
func (j Judge) Document(b []byte, end bool) Verdict {
	r := reading{Judge: j}
	switch b[0] {
	case '{':
		return r.object(b, end)
	case '[':
		return r.list(b, end)
	}
	if j.Kind != KindAny {
		return InvalidResponse
	}
	return Accepted
}

// Failure judges the body of an error: it is accepted unless it has one of the faults after
// which another attempt can help.
func (j Judge) Failure(b []byte) Verdict {
	var p problem
	switch b[0] {
	case '{', '[':
		p.read(b, maxDepth)
	case '<': // a page may say anything
	default:
		p.texts = []string{string(b[:min(len(b), maxFaultText)])}
	}
	if fault := p.fault(); fault&j.Faults != 0 {
		return fault.verdict()
	}
	return Accepted
}

// reading is what has been read of a document or an event.
type reading struct {
	Judge
	event   bool
	problem problem
	typ     string
	member  bool // it has a member in which content would be, although that is empty
	unknown bool // it has a key that says nothing about content
	waits   bool // the content comes later
	fields  map[string]json.RawMessage
}

// members are the keys in which the content of a document is. A response of the kinds with one
// form always has its member; the others have many forms.
var members = map[ResponseKind][]string{
	KindChat:      {"choices"},
	KindResponses: {"output"},
	KindMessages:  {"content"},
	KindJSON:      {"data", "results", "embeddings"},
	KindAny:       {"text", "segments", "words"},
}

// kept are the keys whose values are read when the whole object is known.
var kept = map[string]bool{
	"response": true, "item": true, "part": true, "delta": true, "text": true, "content_block": true,
	"stop_reason": true, "status": true, "background": true, "usage": true,
}

// strict reports whether responses have one form.
func (k ResponseKind) strict() bool { return k == KindChat || k == KindResponses || k == KindMessages }

// object reads a JSON object, key by key.
func (r *reading) object(b []byte, end bool) Verdict {
	d := json.NewDecoder(bytes.NewReader(b))
	_, err := d.Token()
	inValue := false
	for err == nil && d.More() {
		var key json.Token
		if key, err = d.Token(); err != nil {
			break
		}
		name, _ := key.(string)
		inValue = true
		if r.isMember(name) {
			var v Verdict
			if v, err = r.items(d); v != Undecided {
				return v
			}
		} else {
			var value json.RawMessage
			if err = d.Decode(&value); err == nil {
				r.field(name, value)
			}
		}
		inValue = inValue && err != nil
	}
	if err == nil {
		_, err = d.Token() // the end of the object
	}
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return r.whole()
	case errors.As(err, &syntax) && (inValue || r.event):
		// JSON that Go does not read, such as NaN
		if r.problem.reported {
			return r.problem.verdict(r.Faults)
		}
		return Accepted
	case !end && !errors.As(err, &syntax):
		return Undecided
	case r.problem.reported:
		return r.problem.verdict(r.Faults)
	}
	return InvalidResponse
}

func (r *reading) isMember(name string) bool {
	if r.event && r.Kind != KindChat {
		return false
	}
	for _, m := range members[r.Kind] {
		if m == name {
			return true
		}
	}
	return false
}

// items reads a member, item by item. Complete items count only, so that the order of their
// keys does not.
func (r *reading) items(d *json.Decoder) (Verdict, error) {
	t, err := d.Token()
	if err != nil {
		return Undecided, err
	}
	r.member = r.member || t != nil || r.Kind.strict()
	switch {
	case t == nil || t == "":
		return Undecided, nil
	case t != json.Delim('['):
		return Accepted, nil // another form
	}
	for d.More() {
		if !r.Kind.strict() {
			return Accepted, nil
		}
		var item json.RawMessage
		if err := d.Decode(&item); err != nil {
			return Undecided, err
		}
		if r.hasContent(item) {
			return Accepted, nil
		}
	}
	_, err = d.Token()
	return Undecided, err
}

// field reads a key that is not a member.
func (r *reading) field(name string, v json.RawMessage) {
	if name == "type" {
		if s := scalar(v); s != "" {
			r.typ = s
		}
	}
	if kept[name] {
		if r.fields == nil {
			r.fields = map[string]json.RawMessage{}
		}
		r.fields[name] = v
	}
	switch as := roles[name]; {
	case as == unknownRole:
		switch {
		case name == "request_id":
			r.waits = true // xAI: https://docs.x.ai/docs/guides/deferred-chat-completions
		case name != "usage" || !r.Kind.strict():
			r.unknown = r.unknown || string(v) != "null"
		}
	default:
		r.problem.field(name, as, v)
	}
}

// whole judges an object of which all has been read.
func (r *reading) whole() Verdict {
	p := &r.problem
	if r.typ == "response.failed" || r.typ == ErrorEvent {
		p.reported = true
	}
	if r.event && r.Kind == KindResponses {
		var nested struct {
			Error json.RawMessage `json:"error"`
		}
		_ = json.Unmarshal(r.fields["response"], &nested)
		if len(nested.Error) > 0 {
			p.field("error", errorRole, nested.Error)
		}
	}
	switch {
	case r.typed() && strings.HasSuffix(r.typ, "delta") && r.wholeEvent() == Accepted:
		return Accepted
	case p.reported, r.typed():
	case p.coded && p.texted, p.texted && !r.member && !r.unknown:
		p.reported = true
	}
	switch {
	case p.reported:
		return p.verdict(r.Faults)
	case r.event:
		return r.wholeEvent()
	}
	return r.wholeDocument()
}

// typed reports whether this is an event whose type says what it is.
func (r *reading) typed() bool {
	return r.event && r.typ != "" && (r.Kind == KindResponses || r.Kind == KindMessages)
}

func (r *reading) wholeEvent() Verdict {
	switch r.Kind {
	case KindChat:
		if r.thought() || !r.member && r.unknown {
			return Accepted
		}
		return Undecided
	case KindResponses:
		return r.responses()
	case KindMessages:
		return r.messages()
	}
	return Accepted
}

func (r *reading) wholeDocument() Verdict {
	switch status := scalar(r.fields["status"]); {
	case r.Kind == KindResponses && (status == "queued" || status == "in_progress" || status == "incomplete" || status == "cancelled"):
		return Accepted
	case r.Kind == KindMessages && stopped(r.fields["stop_reason"]), r.thought():
		return Accepted
	case !r.Kind.strict() && (r.member || r.unknown || r.waits):
		return Accepted
	case r.Kind.strict() && !r.member && r.waits && !r.unknown:
		return Accepted
	case r.Kind.strict() && !r.member && (r.unknown || r.waits):
		return InvalidResponse
	}
	return EmptyResponse
}

// thought reports whether the model has reasoned, although it hides its reasoning.
func (r *reading) thought() bool {
	var usage struct {
		Completion, Output struct {
			Reasoning int `json:"reasoning_tokens"`
		}
	}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(r.fields["usage"], &fields)
	_ = json.Unmarshal(fields["completion_tokens_details"], &usage.Completion)
	_ = json.Unmarshal(fields["output_tokens_details"], &usage.Output)
	return usage.Completion.Reasoning > 0 || usage.Output.Reasoning > 0
}

// list reads a list in place of an object, as Google sends errors.
func (r *reading) list(b []byte, end bool) Verdict {
	d := json.NewDecoder(bytes.NewReader(b))
	_, err := d.Token()
	var first json.RawMessage
	if err == nil && d.More() {
		err = d.Decode(&first)
	} else if err == nil {
		_, err = d.Token()
	}
	var syntax *json.SyntaxError
	switch {
	case err != nil && !end && !errors.As(err, &syntax):
		return Undecided
	case err != nil && r.event:
		return Undecided
	case err != nil:
		return InvalidResponse
	}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(first, &fields)
	for name, v := range fields {
		r.problem.field(name, roles[name], v)
	}
	switch p := &r.problem; {
	case p.reported, p.coded && p.texted:
		return p.verdict(r.Faults)
	case r.event:
		return Undecided
	case !r.Kind.strict():
		return Accepted
	case first == nil:
		return EmptyResponse
	}
	return InvalidResponse
}

// hasContent reports whether an item of a document, or a choice of an event, has content. A
// choice that ended with an error has none.
func (r *reading) hasContent(item json.RawMessage) bool {
	switch r.Kind {
	case KindChat:
		return r.choice(item)
	case KindResponses:
		return outputs(item)
	default:
		return block(item)
	}
}

func (r *reading) choice(item json.RawMessage) bool {
	var c struct {
		Delta   map[string]json.RawMessage `json:"delta"`
		Message map[string]json.RawMessage `json:"message"`
		Text    *string                    `json:"text"`
		Finish  string                     `json:"finish_reason"`
		Error   json.RawMessage            `json:"error"`
	}
	err := json.Unmarshal(item, &c)
	if c.Finish == ErrorEvent || says(c.Error, maxDepth) {
		r.problem.reported = true
		r.problem.read(c.Error, maxDepth)
		return false
	}
	switch {
	case err != nil: // another form
		return true
	case c.Text != nil && (*c.Text != "" || c.Finish != ""), anyBut(c.Delta, "role"), anyBut(c.Message, "role"):
		return true // empty completions are frequent
	}
	return c.Finish != "" && c.Finish != "stop" // limited or filtered, as the client has to know
}

// outputs reports whether an item of the responses API has content. An item that is not a
// message is content without text: the model reasons, or calls a tool.
func outputs(item json.RawMessage) bool {
	var o struct {
		Type    string            `json:"type"`
		Content []json.RawMessage `json:"content"`
	}
	if json.Unmarshal(item, &o) != nil || o.Type != "message" {
		return true
	}
	for _, part := range o.Content {
		if said(part) {
			return true
		}
	}
	return false
}

// said reports whether a part of a message is not an empty text.
func said(part json.RawMessage) bool {
	var p struct {
		Type    string `json:"type"`
		Text    string `json:"text"`
		Refusal string `json:"refusal"`
	}
	if json.Unmarshal(part, &p) != nil {
		return true
	}
	return p.Text != "" || p.Refusal != "" || p.Type != "output_text" && p.Type != "refusal"
}

// block reports whether a content block has content: thinking and tools are content before they
// have text.
func block(item json.RawMessage) bool {
	var b struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	return json.Unmarshal(item, &b) != nil || b.Type != "text" || b.Text != ""
}

// progress are the events of the responses API without content.
var progress = map[string]bool{
	"response.created": true, "response.in_progress": true, "response.queued": true,
	"response.reasoning_summary_part.added": true,
	"keepalive":                             true, "ping": true,
}

func (r *reading) responses() Verdict {
	var whole struct {
		Output     []json.RawMessage `json:"output"`
		Background bool              `json:"background"`
		Usage      json.RawMessage   `json:"usage"`
	}
	_ = json.Unmarshal(r.fields["response"], &whole)
	switch {
	case whole.Background:
		return Accepted // it works: the first text may take longer than an attempt
	case progress[r.typ]:
		return Undecided
	}
	content := true
	switch r.typ {
	case "response.completed":
		content = false
		for _, item := range whole.Output {
			content = content || outputs(item)
		}
		done := reading{fields: map[string]json.RawMessage{"usage": whole.Usage}}
		content = content || done.thought()
	case "response.output_item.added", "response.output_item.done":
		item := r.fields["item"]
		content = present(item) && outputs(item)
	case "response.content_part.added", "response.content_part.done":
		part := r.fields["part"]
		content = present(part) && said(part)
	case "response.output_text.done":
		content = present(r.fields["text"])
	default:
		content = !strings.HasSuffix(r.typ, ".delta") || present(r.fields["delta"])
	}
	if content {
		return Accepted
	}
	return Undecided
}

func (r *reading) messages() Verdict {
	content := true
	switch r.typ {
	case "message_start", "ping", "content_block_stop", "message_stop":
		content = false
	case "content_block_start":
		content = block(r.fields["content_block"])
	case "content_block_delta":
		content = anyBut(r.delta(), "type")
	case "message_delta":
		content = stopped(r.delta()["stop_reason"])
	}
	if content {
		return Accepted
	}
	return Undecided
}

func (r *reading) delta() map[string]json.RawMessage {
	var out map[string]json.RawMessage
	_ = json.Unmarshal(r.fields["delta"], &out)
	return out
}

// stopped reports whether a message ended for a reason that the client has to know.
func stopped(reason json.RawMessage) bool { return present(reason) && string(reason) != `"end_turn"` }

// anyBut reports whether any field except one has a value.
func anyBut(fields map[string]json.RawMessage, name string) bool {
	for k, v := range fields {
		if k != name && present(v) {
			return true
		}
	}
	return false
}
