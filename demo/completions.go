package demo

import "net/http"

func readCompletion(f fields, p *Prompt) error {
	var prompt inputs
	if err := f.get("prompt", &prompt); err != nil {
		return err
	}
	for _, text := range prompt {
		p.addUser(text)
	}
	return readStreamOptions(f, p)
}

type textChoice struct {
	Index        int     `json:"index"`
	Text         string  `json:"text"`
	Logprobs     any     `json:"logprobs"`
	FinishReason *string `json:"finish_reason"`
}

func replyCompletion(p Prompt, text string) Reply {
	text, shortened := cut(text, p.MaxTokens)
	reason := finishReason(shortened)
	whole := completion{
		ID: "cmpl-" + p.id, Object: "text_completion", Created: created, Model: p.Model, SystemFingerprint: "weir-demo",
	}
	if !p.Stream {
		whole.Usage = usageOf(p, text)
		whole.Choices = []any{textChoice{Text: text, FinishReason: reason}}
		return document(http.StatusOK, whole)
	}
	return stream(func(yield func([]byte) bool) {
		for piece := range pieces(text) {
			if !yield(chunk(p, whole, textChoice{Text: piece})) {
				return
			}
		}
		_ = yield(chunk(p, whole, textChoice{FinishReason: reason})) && endChunks(p, whole, text, yield)
	})
}
