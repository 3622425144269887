package llm

import "slices"

// outputFields are the body keys that limit an answer's length, by surface.
// The first is the one to add where the client sent none.
// Sources: OpenAI API reference, chat (max_tokens is the deprecated spelling
// that other servers still read), completions and responses; Anthropic API
// reference, messages.
func OutputFields(s Surface, native bool) []string {
	switch s {
	case ChatCompletions:
		if native {
			return []string{"max_completion_tokens", "max_tokens"}
		}
		return []string{"max_tokens", "max_completion_tokens"}
	case Completions, Messages:
		return []string{"max_tokens"}
	case Responses:
		return []string{"max_output_tokens"}
	}
	return nil
}

// allOutputFields are those of every surface.
var AllOutputFields = []string{"max_tokens", "max_completion_tokens", "max_output_tokens"}

func IsOutputField(key string) bool { return slices.Contains(AllOutputFields, key) }
