package demo

import "net/http"

func readChat(f fields, p *Prompt) error {
	var messages []message
	if err := f.get("messages", &messages); err != nil {
		return err
	}
	p.addMessages(messages)
	return readStreamOptions(f, p)
}

func readStreamOptions(f fields, p *Prompt) error {
	var options struct {
		IncludeUsage bool `json:"include_usage"`
	}
	err := f.get("stream_options", &options)
	p.includeUsage = options.IncludeUsage
	return err
}

// completion has the fields that chat/completions and completions share, whole or in
// chunks.
type completion struct {
	ID                string `json:"id"`
	Object            string `json:"object"`
	Created           int64  `json:"created"`
	Model             string `json:"model"`
	SystemFingerprint string `json:"system_fingerprint"`
	Choices           []any  `json:"choices"`
	Usage             any    `json:"usage,omitempty"`
}

type completionUsage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

type chatChoice struct {
	Index        int     `json:"index"`
	Message      any     `json:"message,omitempty"`
	Delta        any     `json:"delta,omitempty"`
	Logprobs     any     `json:"logprobs"`
	FinishReason *string `json:"finish_reason"`
}

type chatMessage struct {
	Role        string `json:"role"`
	Content     string `json:"content"`
	Refusal     any    `json:"refusal"`
	Annotations []any  `json:"annotations"`
}

type chatDelta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

func replyChat(p Prompt, text string) Reply {
	text, shortened := cut(text, p.MaxTokens)
	reason := finishReason(shortened)
	whole := completion{ID: "chatcmpl-" + p.id, Created: created, Model: p.Model, SystemFingerprint: "weir-demo"}
	if !p.Stream {
		whole.Object = "chat.completion"
		whole.Usage = usageOf(p, text)
		whole.Choices = []any{chatChoice{
			Message:      chatMessage{Role: "assistant", Content: text, Annotations: []any{}},
			FinishReason: reason,
		}}
		return document(http.StatusOK, whole)
	}
	whole.Object = "chat.completion.chunk"
	return stream(func(yield func([]byte) bool) {
		choice := func(delta chatDelta, reason *string) bool {
			return yield(chunk(p, whole, chatChoice{Delta: delta, FinishReason: reason}))
		}
		if !choice(chatDelta{Role: "assistant", Content: new("")}, nil) {
			return
		}
		for piece := range pieces(text) {
			if !choice(chatDelta{Content: &piece}, nil) {
				return
			}
		}
		_ = choice(chatDelta{}, reason) && endChunks(p, whole, text, yield)
	})
}

// chunk returns one event of a stream. With include_usage, each event but the last has
// a usage of null.
func chunk(p Prompt, frame completion, choice any) []byte {
	frame.Choices = []any{choice}
	if p.includeUsage {
		frame.Usage = (*completionUsage)(nil)
	}
	return dataEvent(frame)
}

func endChunks(p Prompt, frame completion, text string, yield func([]byte) bool) bool {
	if p.includeUsage {
		frame.Choices = []any{}
		frame.Usage = usageOf(p, text)
		if !yield(dataEvent(frame)) {
			return false
		}
	}
	return yield([]byte("data: [DONE]\n\n"))
}

func usageOf(p Prompt, text string) *completionUsage {
	n := count(text)
	return &completionUsage{PromptTokens: p.Tokens, CompletionTokens: n, TotalTokens: p.Tokens + n}
}

func finishReason(shortened bool) *string {
	if shortened {
		return new("length")
	}
	return new("stop")
}
