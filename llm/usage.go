package llm

import (
	"math"
	"strconv"
	"strings"
)

// Tokens are the tokens of a request: as the provider counted them, and estimated where it
// did not say. For example, an embedding of seven tokens is
// Tokens{Known: true, Input: 7, Total: 7}.
type Tokens struct {
	Known       bool // false: nothing was stated or estimated, and the numbers mean nothing
	OutputKnown bool // false: the response has no output tokens, as for embeddings
	// InputEstimated and OutputEstimated are set if the provider did not state the number.
	InputEstimated, OutputEstimated bool

	Input, Output, Total int64
	CachedInput          int64 // part of Input
	Reasoning            int64 // part of Output
}

// Estimated reports whether any of the numbers is an estimate.
func (t *Tokens) Estimated() bool { return t.InputEstimated || t.OutputEstimated }

// MaxTokens is the largest number of tokens that is accepted: a hundred times the largest
// request that any provider accepts.
const MaxTokens = 1_000_000_000

// UsagePlace is where a response, or an event of a stream, has a usage object.
type UsagePlace struct {
	// Path are the keys of the objects around it, joined by periods. "[]" marks an array, whose
	// elements have no key.
	Path string
	// Field is the part of Usage that it is: "usage", or "begun".
	Field string
}

// The names of the parts of Usage.
const (
	StatedField = "usage"
	BegunField  = "begun"
)

// usagePlaces come from the references of the APIs
// (https://platform.openai.com/docs/api-reference,
// https://docs.anthropic.com/en/api/messages-streaming), of Groq (x_groq.usage,
// https://console.groq.com/docs/api-reference#chat-create) and of Moonshot
// (choices[0].usage, https://platform.moonshot.ai/docs/api/chat); read 2026-12.
var usagePlaces = [...]UsagePlace{
	{Path: "", Field: StatedField},
	{Path: "response", Field: StatedField}, // the last event of responses
	{Path: "x_groq", Field: StatedField},
	{Path: "choices[].", Field: StatedField},
	{Path: "message", Field: BegunField}, // message_start of messages
}

// UsagePlaces returns the places of usage objects. The script in Envoy is made from them.
func UsagePlaces() []UsagePlace { return usagePlaces[:] }

// Usage is what Envoy found in a response.
type Usage struct {
	// Stated is the last usage object; Begun is the one at the beginning of a stream of
	// messages, which has the input.
	Stated, Begun string
	// Sample is a sample of the text: how many bytes of text the first so many bytes of the
	// response have, and, of the last chunk that was read, the same two numbers.
	Sample string
}

// count is one of the numbers of a usage object.
type count uint8

const (
	countPrompt     count = iota + 1 // all of the input
	countInput                       // the input without what is cached, if cache reads are listed beside it
	countOutput                      // all of the output
	countTotal                       // at least both
	countCached                      // part of the input
	countCacheRead                   // beside countInput, part of countPrompt
	countCacheWrite                  // beside countInput, part of countPrompt
	countReasoning                   // part of the output
	counts
)

// usageKeys are the spellings of the numbers, in the usage object and in its details:
//
//   - OpenAI: https://platform.openai.com/docs/api-reference/chat/object,
//     .../responses/object, .../audio/json-object (input_token_details)
//   - Anthropic: https://docs.anthropic.com/en/api/messages
//   - DeepSeek: https://api-docs.deepseek.com/api/create-chat-completion
//     (prompt_cache_hit_tokens)
//   - Mistral: https://docs.mistral.ai/api (num_cached_tokens)
//   - Moonshot: https://platform.moonshot.ai/docs/api/chat (cached_tokens)
//   - Perplexity: https://docs.perplexity.ai/api-reference (reasoning_tokens)
//
// Read 2026-12.
var usageKeys = map[[2]string]count{
	{"", "prompt_tokens"}:     countPrompt,
	{"", "input_tokens"}:      countInput,
	{"", "completion_tokens"}: countOutput,
	{"", "output_tokens"}:     countOutput,
	{"", "total_tokens"}:      countTotal,

	{"prompt_tokens_details", "cached_tokens"}: countCached,
	{"input_tokens_details", "cached_tokens"}:  countCached,
	{"prompt_token_details", "cached_tokens"}:  countCached,
	{"input_token_details", "cached_tokens"}:   countCached,
	{"", "cached_tokens"}:                      countCached,
	{"", "num_cached_tokens"}:                  countCached,
	{"", "prompt_cache_hit_tokens"}:            countCached,
	{"", "cache_read_input_tokens"}:            countCacheRead,
	{"", "cache_creation_input_tokens"}:        countCacheWrite,

	{"completion_tokens_details", "reasoning_tokens"}: countReasoning,
	{"output_tokens_details", "reasoning_tokens"}:     countReasoning,
	{"", "reasoning_tokens"}:                          countReasoning,
}

// numbers are the counts of a usage object; unknown ones are 0.
type numbers struct {
	n     [counts]int64
	known [counts]bool
	// invalid is set if a count makes no sense: then none is trusted.
	invalid bool
}

// take notes a number. Of several spellings of one count, the largest counts.
func (u *numbers) take(in, key, value string) {
	c := usageKeys[[2]string{in, key}]
	if c == 0 || value == "null" {
		return
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(value, 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) > MaxTokens {
			f = -1
		}
		n = int64(f)
	}
	if n < 0 || n > MaxTokens {
		u.invalid = u.invalid || c <= countTotal
		return
	}
	u.n[c], u.known[c] = max(u.n[c], n), true
}

// Read returns the tokens that a response to an operation states. In messages, numbers of the
// last event are those of the whole response, but a 0 there does not replace what the
// first event stated. If the total is more than its parts, what is missing is output: some
// providers count reasoning only there.
func (u *Usage) Read(operation string) Tokens {
	var begun, last numbers
	scanUsage(u.Begun, begun.take)
	scanUsage(u.Stated, last.take)
	if begun.invalid || last.invalid {
		return Tokens{}
	}
	n := last.n
	for c := range n {
		if n[c] == 0 && count(c) != countOutput && count(c) != countTotal {
			n[c] = begun.n[c]
		}
	}
	t := Tokens{Input: n[countPrompt], Output: n[countOutput], OutputKnown: last.known[countOutput]}
	cached := max(n[countCached], n[countCacheRead])
	if t.Input == 0 {
		t.Input = n[countInput] + n[countCacheRead] + n[countCacheWrite]
	}
	if missing := n[countTotal] - t.Input - t.Output; missing > 0 {
		switch {
		case CountsInputOnly(operation), t.Input == 0 && t.Output > 0:
			t.Input += missing
		case t.Input > 0:
			t.Output, t.OutputKnown = t.Output+missing, true
		}
	} else if n[countTotal] == 0 && n[countReasoning] > t.Output && t.OutputKnown {
		t.Output += n[countReasoning] // it is not part of the output
	}
	if t.Input == 0 && t.Output == 0 {
		return Tokens{Total: n[countTotal]} // see Complete
	}
	t.Known = true
	t.CachedInput, t.Reasoning = min(cached, t.Input), min(n[countReasoning], t.Output)
	t.Total = t.Input + t.Output
	return t
}

// scanUsage passes on the literals of an object and of the objects in it: the key of the object
// that they are in, their own, and what is written. The text has balanced brackets.
func scanUsage(text string, take func(in, key, value string)) {
	var in, key string
	depth := 0
	for i := 0; i < len(text); {
		switch c := text[i]; c {
		case '{', '[':
			if depth++; depth == 2 {
				in = key
			} else if depth > 2 || c == '[' {
				in = "?"
			}
			key = ""
			i++
		case '}', ']':
			if depth--; depth < 2 {
				in = ""
			}
			i++
		case '"':
			end := i + 1
			for end < len(text) && text[end] != '"' {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end, len(text))
			if isKey(text[min(end+1, len(text)):]) {
				key = text[i+1 : end]
			} else {
				take(in, key, text[i:min(end+1, len(text))])
			}
			i = end + 1
		case ' ', '\t', '\r', '\n', ',', ':':
			i++
		default:
			end := strings.IndexAny(text[i:], ",}] \t\r\n")
			if end < 0 {
				return
			}
			take(in, key, text[i:i+end])
			i += end
		}
	}
}

// isKey reports whether a string is a key, by what follows it.
func isKey(rest string) bool {
	rest = strings.TrimLeft(rest, " \t\r\n")
	return rest != "" && rest[0] == ':'
}

const (
	// bytesPerToken is how many bytes of text are a token, about: 4 in English.
	bytesPerToken = 4
	// bytesPerTextlessToken is the same for the bytes of a response in which no text was found.
	bytesPerTextlessToken = 64
)

// Complete returns t with an estimate of what the provider did not state. prompt is an
// estimate of the input, delivered how many bytes of the response were.
func (u *Usage) Complete(t Tokens, operation string, prompt, delivered int64) Tokens {
	if operation == countTokens {
		return t
	}
	text := u.text(delivered)
	if t.Input == 0 {
		t.Input, t.InputEstimated = max(prompt, 1), true
		if t.Total > 0 {
			t.Input = min(t.Input, t.Total)
		}
	}
	if CountsInputOnly(operation) || t.OutputKnown && (t.Output > 0 || text == 0) {
		t.Known = true
		t.Total = t.Input + t.Output
		return t
	}
	switch {
	case !t.Known && t.Total > t.Input:
		t.Output = t.Total - t.Input
	case text > 0:
		t.Output = max(text/bytesPerToken, 1)
	case writesText[operation]:
		t.Output = max(delivered/bytesPerTextlessToken, 1)
	default:
		t.Known, t.Total = true, t.Input
		return t
	}
	t.Known, t.OutputKnown, t.OutputEstimated = true, true, true
	t.Total = t.Input + t.Output
	return t
}

// text returns about how many bytes of text the delivered bytes have.
func (u *Usage) text(delivered int64) int64 {
	var n [4]int64 // of text, in so many bytes; and of the last chunk
	fields := strings.Fields(u.Sample)
	if len(fields) != len(n) {
		return 0
	}
	for i, field := range fields {
		v, err := strconv.ParseInt(field, 10, 64)
		if err != nil || v < 0 {
			return 0
		}
		n[i] = v
	}
	return n[0] + int64(float64(max(delivered-n[1], 0))*float64(n[2])/float64(max(n[3], 1)))
}

// writesText are the operations whose response is a text, whatever its form.
var writesText = map[string]bool{"chat": true, "text_completion": true}

// CountsInputOnly reports whether all tokens of an operation are input. Some providers report
// only a total for such operations.
func CountsInputOnly(operation string) bool {
	return operation == embeddings || operation == rerank || operation == moderation
}

// textKeys are the keys of strings that a model wrote, in responses and in events.
var textKeys = [...]string{
	"content", "text", "delta", "reasoning", "reasoning_content", "thinking", "partial_json", "arguments", "refusal", "transcript",
}

// TextKeys returns the keys of strings that a model wrote. The script in Envoy is made from
// them.
func TextKeys() []string { return textKeys[:] }
