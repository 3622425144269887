package llm

import "strings"

// The body keys that decide what happens to a request.
const (
	ModelField  = "model"  // the model
	ModelsField = "models" // further models, in order: OpenRouter's (https://openrouter.ai/docs/features/model-routing)
	StreamField = "stream" // true: the response is a stream of events
)

// ChoosesModel reports whether a body key names models, in any case: a provider that is
// written in Go reads `Model` as `model`.
func ChoosesModel(key string) bool {
	return strings.EqualFold(key, ModelField) || strings.EqualFold(key, ModelsField)
}

// Continues reports whether a body key of /v1/responses refers to what the provider of an
// earlier request keeps.
func Continues(key string) bool { return key == "previous_response_id" || key == "conversation" }

const (
	maxTokens           = "max_tokens"
	maxCompletionTokens = "max_completion_tokens"
	maxOutputTokens     = "max_output_tokens"
)

// OutputFields returns the body keys of a surface that limit the length of a response. The
// first is the one to add if the client sent none. native is set for OpenAI's own servers,
// where max_tokens is deprecated; others may read nothing else. Sources: OpenAI API
// reference, chat, completions and responses; Anthropic API reference, messages.
func OutputFields(s Surface, native bool) []string {
	switch s {
	case ChatCompletions:
		if native {
			return []string{maxCompletionTokens, maxTokens}
		}
		return []string{maxTokens, maxCompletionTokens}
	case Completions, Messages:
		return []string{maxTokens}
	case Responses:
		return []string{maxOutputTokens}
	}
	return nil
}

// AllOutputFields returns the keys of all surfaces.
func AllOutputFields() []string {
	return []string{maxTokens, maxCompletionTokens, maxOutputTokens}
}

// IsOutputField reports whether a body key limits the length of a response.
func IsOutputField(key string) bool {
	switch key {
	case maxTokens, maxCompletionTokens, maxOutputTokens:
		return true
	}
	return false
}
