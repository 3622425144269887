package demo

import "net/http"

func readMessages(f fields, p *Prompt) error {
	var system text
	if err := f.get("system", &system); err != nil {
		return err
	}
	if system != "" {
		p.add(string(system))
	}
	var messages []message
	if err := f.get("messages", &messages); err != nil {
		return err
	}
	p.addMessages(messages)
	return nil
}

type anthropicMessage struct {
	ID           string         `json:"id"`
	Type         string         `json:"type"`
	Role         string         `json:"role"`
	Model        string         `json:"model"`
	Content      []textBlock    `json:"content"`
	StopReason   *string        `json:"stop_reason"`
	StopSequence *string        `json:"stop_sequence"`
	Usage        anthropicUsage `json:"usage"`
}

type textBlock struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type anthropicUsage struct {
	InputTokens              int `json:"input_tokens"`
	CacheCreationInputTokens int `json:"cache_creation_input_tokens"`
	CacheReadInputTokens     int `json:"cache_read_input_tokens"`
	OutputTokens             int `json:"output_tokens"`
}

func replyMessage(p Prompt, text string) Reply {
	text, shortened := cut(text, p.MaxTokens)
	reason := "end_turn"
	if shortened {
		reason = "max_tokens"
	}
	tokens := count(text)
	whole := anthropicMessage{
		ID: "msg_" + p.id, Type: "message", Role: "assistant", Model: p.Model,
		Content: []textBlock{}, Usage: anthropicUsage{InputTokens: p.Tokens},
	}
	if !p.Stream {
		whole.Content = []textBlock{{Type: "text", Text: text}}
		whole.StopReason = &reason
		whole.Usage.OutputTokens = tokens
		return document(http.StatusOK, whole)
	}
	// The counts of a stream are cumulative, and the real API begins above zero: a
	// client that adds them up gets a wrong number here too.
	whole.Usage.OutputTokens = min(1, tokens)
	return stream(func(yield func([]byte) bool) {
		emit := func(kind string, fields object) bool {
			fields["type"] = kind
			return yield(namedEvent(kind, fields))
		}
		if !emit("message_start", object{"message": whole}) ||
			!emit("content_block_start", object{"index": 0, "content_block": textBlock{Type: "text"}}) {
			return
		}
		for piece := range pieces(text) {
			if !emit("content_block_delta", object{"index": 0, "delta": textBlock{Type: "text_delta", Text: piece}}) {
				return
			}
		}
		_ = emit("content_block_stop", object{"index": 0}) &&
			emit("message_delta", object{
				"delta": object{"stop_reason": reason, "stop_sequence": nil},
				"usage": object{"output_tokens": tokens},
			}) &&
			emit("message_stop", object{})
	})
}

func replyTokenCount(p Prompt, _ string) Reply {
	return document(http.StatusOK, object{"input_tokens": p.Tokens})
}
