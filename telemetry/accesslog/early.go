package accesslog

import "encoding/json"

// readEarly reads the usage object that a stream told before it was cut, as the
// provider wrote it. Chat completions tell what they have counted until then;
// messages tell their input at the beginning and their output at the end, so
// that what they tell of output is left out.
//
//   - https://docs.vllm.ai/en/latest/api/vllm/entrypoints/openai/protocol.html,
//     continuous_usage_stats
//   - https://docs.anthropic.com/en/docs/build-with-claude/streaming,
//     message_start
func readEarly(text string) Tokens {
	var u struct {
		PromptTokens     *int64 `json:"prompt_tokens"`
		CompletionTokens *int64 `json:"completion_tokens"`
		PromptDetails    struct {
			CachedTokens int64 `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
		CompletionDetails struct {
			ReasoningTokens int64 `json:"reasoning_tokens"`
		} `json:"completion_tokens_details"`

		InputTokens *int64 `json:"input_tokens"`
		CacheRead   int64  `json:"cache_read_input_tokens"`
		CacheWrite  int64  `json:"cache_creation_input_tokens"`
	}
	if err := json.Unmarshal([]byte(text), &u); err != nil {
		return Tokens{}
	}
	t := Tokens{Known: true, Cut: true}
	parts := []int64{u.CacheRead, u.CacheWrite, u.PromptDetails.CachedTokens, u.CompletionDetails.ReasoningTokens}
	switch {
	case u.PromptTokens != nil:
		parts = append(parts, *u.PromptTokens)
		t.Input = *u.PromptTokens
		if t.OutputKnown = u.CompletionTokens != nil; t.OutputKnown {
			parts = append(parts, *u.CompletionTokens)
			t.Output = *u.CompletionTokens
		}
		t.CachedInput, t.Reasoning = min(u.PromptDetails.CachedTokens, t.Input), min(u.CompletionDetails.ReasoningTokens, t.Output)
	case u.InputTokens != nil:
		parts = append(parts, *u.InputTokens)
		t.Input, t.CachedInput = *u.InputTokens+u.CacheRead+u.CacheWrite, u.CacheRead
	default:
		return Tokens{}
	}
	for _, n := range parts {
		if n < 0 || n > maxTokens {
			return Tokens{}
		}
	}
	if t.Total = t.Input + t.Output; t.Total > 2*maxTokens {
		return Tokens{}
	}
	return t
}
