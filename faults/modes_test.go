package faults

import "slices"

// mode is an API, asked for a stream or not, and how a response of it looks. In
// texts, @ stands for the provider's letter.
type mode struct {
	name      string
	path      string
	stream    bool
	anthropic bool
	asks      string // the fields of a request besides the models
	kind      string // the content type of a response

	// opening comes before anything was said: events that carry no content.
	// Then the model speaks: content is its first word, or the beginning of an
	// answer in one piece, up to the end of its first choice or what corresponds to
	// it, rest is what follows. last ends a stream by the rules
	// of its API.
	opening, content, rest, last []string
	// broken is an error in the place of a response or event, refused one after
	// the response has begun, empty a response in which nothing is said.
	broken, refused, empty string
}

// answer is the whole response of a healthy provider.
func (m *mode) answer() []string { return slices.Concat(m.opening, m.content, m.rest, m.last) }

const (
	eventStream = "text/event-stream; charset=utf-8"
	document    = "application/json"
)

var (
	chat = &mode{
		name: "chat", path: "/v1/chat/completions", kind: document,
		asks:    `"messages":[{"role":"user","content":"Hello"}]`,
		content: []string{`{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"I am @"},"finish_reason":"stop"}`},
		rest:    []string{`],"usage":{"prompt_tokens":1,"completion_tokens":3,"total_tokens":4}}`},
		broken:  `{"error":{"message":"@ is overloaded","type":"server_error","param":null,"code":null}}`,
		empty:   `{"id":"1","object":"chat.completion","model":"m","choices":[]}`,
	}
	chatStream = &mode{
		name: "chat stream", path: chat.path, kind: eventStream, stream: true, asks: chat.asks,
		opening: []string{chunk(`{"role":"assistant","content":""}`, `null`)},
		content: []string{chunk(`{"content":"I am "}`, `null`)},
		rest:    []string{chunk(`{"content":"@"}`, `null`), chunk(`{}`, `"stop"`)},
		last:    []string{"data: [DONE]\n\n"},
		broken:  `data: {"error":{"message":"@ is overloaded","type":"server_error","param":null,"code":null}}` + "\n\n",
	}
	responses = &mode{
		name: "responses", path: "/v1/responses", kind: document,
		asks:    `"input":"Hello"`,
		content: []string{`{"id":"1","object":"response","status":"completed","model":"m","output":[{"type":"message","id":"2","role":"assistant","content":[{"type":"output_text","text":"I am @"}]}`},
		rest:    []string{`],"usage":{"input_tokens":1,"output_tokens":3,"total_tokens":4}}`},
		broken:  chat.broken,
		empty:   `{"id":"1","object":"response","status":"completed","model":"m","output":[]}`,
	}
	responsesStream = &mode{
		name: "responses stream", path: responses.path, kind: eventStream, stream: true, asks: responses.asks,
		opening: []string{
			event("response.created", `"sequence_number":0,"response":{"id":"1","status":"in_progress"}`),
			event("response.in_progress", `"sequence_number":1,"response":{"id":"1","status":"in_progress"}`),
		},
		content: []string{event("response.output_text.delta", `"sequence_number":2,"item_id":"2","output_index":0,"content_index":0,"delta":"I am "`)},
		rest:    []string{event("response.output_text.delta", `"sequence_number":3,"item_id":"2","output_index":0,"content_index":0,"delta":"@"`)},
		last:    []string{event("response.completed", `"sequence_number":4,"response":{"id":"1","status":"completed"}`)},
		broken:  event("error", `"sequence_number":2,"code":"server_error","message":"@ is overloaded","param":null`),
		refused: event("response.failed", `"sequence_number":2,"response":{"id":"1","status":"failed","error":{"code":"server_error","message":"@ is overloaded"}}`),
	}
	messages = &mode{
		name: "messages", path: "/v1/messages", kind: document, anthropic: true,
		asks:    `"max_tokens":9,"messages":[{"role":"user","content":"Hello"}]`,
		content: []string{`{"id":"1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"I am @"}`},
		rest:    []string{`],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":3}}`},
		broken:  `{"type":"error","error":{"type":"overloaded_error","message":"@ is overloaded"}}`,
		empty:   `{"id":"1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":"end_turn"}`,
	}
	messagesStream = &mode{
		name: "messages stream", path: messages.path, kind: eventStream, stream: true, anthropic: true, asks: messages.asks,
		opening: []string{
			event("message_start", `"message":{"id":"1","type":"message","role":"assistant","content":[]}`),
			event("content_block_start", `"index":0,"content_block":{"type":"text","text":""}`),
			event("ping", ``),
		},
		content: []string{event("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":"I am "}`)},
		rest: []string{
			event("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":"@"}`),
			event("content_block_stop", `"index":0`),
			event("message_delta", `"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}`),
		},
		last:   []string{event("message_stop", ``)},
		broken: event("error", `"error":{"type":"overloaded_error","message":"@ is overloaded"}`),
	}
	embeddings = &mode{
		name: "embeddings", path: "/v1/embeddings", kind: document,
		asks:    `"input":"Hello"`,
		content: []string{`{"object":"list","model":"@","data":[{"object":"embedding","index":0,"embed`},
		rest:    []string{`ding":[0.25,-0.5]}],"usage":{"prompt_tokens":1,"total_tokens":1}}`},
		broken:  chat.broken,
		empty:   `{"object":"list","model":"@","data":[]}`,
	}

	both     = []*mode{chat, chatStream}
	streams  = []*mode{chatStream, responsesStream, messagesStream}
	unaries  = []*mode{chat, responses, messages, embeddings}
	every    = []*mode{chat, chatStream, responses, responsesStream, messages, messagesStream, embeddings}
	inShapes = []*mode{chat, chatStream, messages, messagesStream}
)

func in(modes ...*mode) []*mode { return modes }

// chunk is an event of a chat stream.
func chunk(delta, finish string) string {
	return `data: {"id":"1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":` + delta + `,"finish_reason":` + finish + "}]}\n\n"
}

// event is one of the other APIs: its name stands in it twice.
func event(name, fields string) string {
	if fields != "" {
		fields = "," + fields
	}
	return "event: " + name + "\ndata: {\"type\":\"" + name + "\"" + fields + "}\n\n"
}
