package llm

import "slices"

// OutputFields returns the body keys of a surface that limit the length of a response. The
// first is the one to add if the client sent none. Sources: OpenAI API reference, chat (max_tokens is the deprecated spelling
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

// AllOutputFields are the keys of all surfaces.
var AllOutputFields = []string{"max_tokens", "max_completion_tokens", "max_output_tokens"}

// IsOutputField reports whether a body key limits the length of a response.
func IsOutputField(key string) bool { return slices.Contains(AllOutputFields, key) }
