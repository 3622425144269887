package prompt

import "bytes"

// Field is a top-level member of a request that a model reads, with what it costs in tokens
// beside its text. For example, each message of `messages` costs three tokens, and the
// reply that it starts costs three more:
//
//	Field{Name: "messages", PerObject: 3, Once: 3}
type Field struct {
	Name      string
	Data      bool // all of it is text, keys and numbers included
	Numbers   bool // numbers are tokens
	PerObject int  // tokens for each object of the list
	Once      int  // tokens for the member
}

// What a chat costs beside its text is from OpenAI's cookbook, "How to count tokens with
// tiktoken" (https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken); it is
// the same for all models since gpt-3.5-turbo-0613.
const (
	perMessage = 3
	perReply   = 3

	// PerName is what a member of kind Named costs, in tokens.
	PerName = 1
)

// fields come from the API references of OpenAI (https://platform.openai.com/docs/api-reference)
// and Anthropic (https://docs.anthropic.com/en/api/messages), and from vLLM's
// (https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html).
var fields = []Field{
	{Name: "messages", PerObject: perMessage, Once: perReply}, // chat completions, Anthropic
	{Name: "input", PerObject: perMessage, Numbers: true},     // responses, embeddings, speech, moderations
	{Name: "prompt", Numbers: true},                           // completions, images; responses: a template's variables
	{Name: "suffix"},                                          // completions
	{Name: "system"},                                          // Anthropic
	{Name: "instructions"},                                    // responses, speech
	{Name: "query"},                                           // rerank
	{Name: "documents", Data: true},                           // rerank; vLLM's chat completions
	{Name: "texts", Data: true},                               // rerank
	{Name: "tools", Data: true},                               // all chats
	{Name: "functions", Data: true},                           // chat completions
	{Name: "response_format", Data: true},                     // chat completions: a schema
	{Name: "text", Data: true},                                // responses: a schema
	{Name: "output_config", Data: true},                       // Anthropic: a schema
	{Name: "output_format", Data: true},                       // Anthropic: a schema
	{Name: "chat_template", Data: true},                       // vLLM
	{Name: "chat_template_kwargs", Data: true},                // vLLM
}

// FieldOf returns the field with a name. It ignores case, because a provider that is
// written in Go reads `Messages` as `messages`. It returns false for a member that no model
// reads.
func FieldOf(name []byte) (Field, bool) {
	for _, f := range fields {
		if bytes.EqualFold(name, []byte(f.Name)) {
			return f, true
		}
	}
	return Field{}, false
}
