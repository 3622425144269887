package llm

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"
)

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

// completionOnly are patterns of the names of OpenAI's reasoning models, which refuse
// max_tokens in chat completions and take max_completion_tokens. Sources, 2026-12-01:
// https://platform.openai.com/docs/api-reference/chat/create (max_tokens),
// https://learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning.
var completionOnly = [...]string{"o1", "o1-*", "o3", "o3-*", "o4-*", "gpt-5", "gpt-5-*", "gpt-5.*"}

// completionHosts are the hosts of OpenAI and Azure that serve them.
var completionHosts = [...]string{"api.openai.com", "*.api.openai.com", "*.openai.azure.com", "*.services.ai.azure.com", "*.cognitiveservices.azure.com"}

// OnlyCompletionTokens reports whether a model at a host refuses max_tokens. names are what
// the provider and the client call it: a deployment of Azure may have any name.
func OnlyCompletionTokens(s Surface, host string, names ...string) bool {
	if s != ChatCompletions || !slices.ContainsFunc(completionHosts[:], func(p string) bool { return matches(p, strings.ToLower(host)) }) {
		return false
	}
	return slices.ContainsFunc(names, func(name string) bool {
		name = strings.ToLower(name)
		return slices.ContainsFunc(completionOnly[:], func(p string) bool { return matches(p, name) })
	})
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// MaxTokensField and MaxCompletionTokensField are the two body keys of chat completions that limit a
// response.
const (
	MaxTokensField           = maxTokens
	MaxCompletionTokensField = maxCompletionTokens
)

// ChoiceFields returns the body keys of a surface that say how many responses are written,
// each of them up to the limit: n, and best_of, of which n are returned. Source: OpenAI API
// reference, chat and completions.
func ChoiceFields(s Surface) []string {
	switch s {
	case ChatCompletions:
		return []string{"n"}
	case Completions:
		return []string{"n", "best_of"}
	}
	return nil
}

// ThinkingField is the body key of Anthropic's extended thinking.
const ThinkingField = "thinking"

// FitThinking returns the value of thinking for a request whose max_tokens was lowered, and
// whether it differs. budget_tokens must be less than max_tokens, and at least 1024: half of
// max_tokens then remains for the response, and where there is no room, thinking is
// disabled. Source: https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking.
func FitThinking(value []byte, maxTokens int) (fitted []byte, differs bool) {
	const least, longest = 1024, 4096 // of a budget; bytes of a value
	var members map[string]json.RawMessage
	if len(value) > longest || json.Unmarshal(value, &members) != nil {
		return nil, false
	}
	budget, err := strconv.ParseFloat(string(members["budget_tokens"]), 64)
	if err != nil || budget < float64(maxTokens) {
		return nil, false
	}
	if maxTokens <= least {
		return []byte(`{"type":"disabled"}`), true
	}
	members["budget_tokens"] = strconv.AppendInt(nil, int64(max(least, maxTokens/2)), 10)
	fitted, err = json.Marshal(members)
	return fitted, err == nil
}
