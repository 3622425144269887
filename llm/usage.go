package llm

import "encoding/json"

// ReadEarlyUsage reads the last usage object of a stream that was cut, as the provider
// wrote it. It returns the zero Tokens if the text has no usage, or one that makes no sense.
// In chat completions, the object has what was counted until then. Messages count their
// input at the beginning and their output at the end, so the output is left unknown.
//
//   - https://docs.vllm.ai/en/latest/api/vllm/entrypoints/openai/protocol.html,
//     continuous_usage_stats
//   - https://docs.anthropic.com/en/docs/build-with-claude/streaming,
//     message_start
func ReadEarlyUsage(text string) Tokens {
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
		if n < 0 || n > MaxTokens {
			return Tokens{}
		}
	}
	if t.Total = t.Input + t.Output; t.Total > 2*MaxTokens {
		return Tokens{}
	}
	return t
}

// Tokens are the tokens that a provider counted for a request. Invalid numbers (negative, or
// above MaxTokens) are treated as absent. For example, an embedding of seven tokens is
// Tokens{Known: true, Input: 7, Total: 7}.
type Tokens struct {
	Known       bool // false: the response had no usage, and the numbers mean nothing
	OutputKnown bool // false: the response had no output tokens, as for embeddings
	// Cut is set if the response was cut and the numbers are the last that it reported.
	// Total is then the sum of the known ones.
	Cut bool

	Input, Output, Total int64
	CachedInput          int64 // part of Input
	Reasoning            int64 // part of Output
}

// MaxTokens is the largest number of tokens that is accepted: a hundred times the largest
// request that any provider accepts.
const MaxTokens = 1_000_000_000

// CountsInputOnly reports whether all tokens of an operation are input. Some providers report
// only a total for such operations.
func CountsInputOnly(operation string) bool { return operation == embeddings || operation == rerank }

// StreamUsage is the place of the usage objects in a stream that reports usage before its
// end. For example, the one of the messages API is in one event, at message.usage.
type StreamUsage struct {
	Path []string // the keys that lead to it
	Once bool     // only one event has it
}

// StreamUsages returns the streams that report usage before their end, by
// ResponseKind.Stream. ReadEarlyUsage reads the objects.
func StreamUsages() map[string]StreamUsage {
	return map[string]StreamUsage{
		string(KindMessages): {Path: []string{"message", "usage"}, Once: true},
		CountedStream:        {Path: []string{"usage"}},
	}
}
