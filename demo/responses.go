package demo

import (
	"encoding/json"
	"net/http"
)

func readResponse(f fields, p *Prompt) error {
	var instructions text
	if err := f.get("instructions", &instructions); err != nil {
		return err
	}
	if instructions != "" {
		p.add(string(instructions))
	}
	var plain string
	if raw, ok := f["input"]; ok && json.Unmarshal(raw, &plain) == nil {
		p.addUser(plain)
		return nil
	}
	var items []message
	if err := f.get("input", &items); err != nil {
		return err
	}
	p.addMessages(items)
	return nil
}

type response struct {
	ID                string         `json:"id"`
	Object            string         `json:"object"`
	CreatedAt         int64          `json:"created_at"`
	Status            string         `json:"status"`
	Error             any            `json:"error"`
	IncompleteDetails any            `json:"incomplete_details"`
	Model             string         `json:"model"`
	Output            []outputItem   `json:"output"`
	ParallelToolCalls bool           `json:"parallel_tool_calls"`
	ToolChoice        string         `json:"tool_choice"`
	Tools             []any          `json:"tools"`
	Metadata          object         `json:"metadata"`
	Usage             *responseUsage `json:"usage"`
}

type outputItem struct {
	ID      string       `json:"id"`
	Type    string       `json:"type"`
	Status  string       `json:"status"`
	Role    string       `json:"role"`
	Content []outputText `json:"content"`
}

type outputText struct {
	Type        string `json:"type"`
	Text        string `json:"text"`
	Annotations []any  `json:"annotations"`
	Logprobs    []any  `json:"logprobs"`
}

type responseUsage struct {
	InputTokens        int `json:"input_tokens"`
	InputTokensDetails struct {
		CachedTokens     int `json:"cached_tokens"`
		CacheWriteTokens int `json:"cache_write_tokens"`
	} `json:"input_tokens_details"`
	OutputTokens        int `json:"output_tokens"`
	OutputTokensDetails struct {
		ReasoningTokens int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	TotalTokens int `json:"total_tokens"`
}

func replyResponse(p Prompt, text string) Reply {
	text, shortened := cut(text, p.MaxTokens)
	begun := response{
		ID: "resp_" + p.id, Object: "response", CreatedAt: created, Status: "in_progress", Model: p.Model,
		Output: []outputItem{}, ParallelToolCalls: true, ToolChoice: "auto", Tools: []any{}, Metadata: object{},
	}
	itemBegun := outputItem{ID: "msg_" + p.id, Type: "message", Status: "in_progress", Role: "assistant", Content: []outputText{}}

	ended := begun
	ended.Status = "completed"
	if shortened {
		ended.Status = "incomplete"
		ended.IncompleteDetails = object{"reason": "max_output_tokens"}
	}
	itemEnded := itemBegun
	itemEnded.Status = ended.Status
	itemEnded.Content = []outputText{outputPart(text)}
	ended.Output = []outputItem{itemEnded}
	ended.Usage = &responseUsage{InputTokens: p.Tokens, OutputTokens: count(text)}
	ended.Usage.TotalTokens = ended.Usage.InputTokens + ended.Usage.OutputTokens

	if !p.Stream {
		return document(http.StatusOK, ended)
	}
	return stream(func(yield func([]byte) bool) {
		sequence := 0
		emit := func(kind string, fields object) bool {
			fields["type"] = kind
			fields["sequence_number"] = sequence
			sequence++
			return yield(namedEvent(kind, fields))
		}
		ofItem := func(fields object) object {
			fields["output_index"] = 0
			return fields
		}
		ofPart := func(fields object) object {
			fields["item_id"] = itemBegun.ID
			fields["content_index"] = 0
			return ofItem(fields)
		}

		if !emit("response.created", object{"response": begun}) ||
			!emit("response.in_progress", object{"response": begun}) ||
			!emit("response.output_item.added", ofItem(object{"item": itemBegun})) ||
			!emit("response.content_part.added", ofPart(object{"part": outputPart("")})) {
			return
		}
		for piece := range pieces(text) {
			if !emit("response.output_text.delta", ofPart(object{"delta": piece, "logprobs": []any{}})) {
				return
			}
		}
		_ = emit("response.output_text.done", ofPart(object{"text": text, "logprobs": []any{}})) &&
			emit("response.content_part.done", ofPart(object{"part": outputPart(text)})) &&
			emit("response.output_item.done", ofItem(object{"item": itemEnded})) &&
			emit("response."+ended.Status, object{"response": ended})
	})
}

func outputPart(text string) outputText {
	return outputText{Type: "output_text", Text: text, Annotations: []any{}, Logprobs: []any{}}
}
