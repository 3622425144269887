package tokens

import (
	"bytes"
	"unicode/utf8"

	"weir/internal/jsontext"
)

// part says how a top-level member of a request counts.
type part struct {
	name    string
	data    bool // all of it is text, keys and numbers included
	numbers bool // numbers are tokens
	each    int  // tokens that each object of the list costs beside its text
	once    int  // tokens that the member costs beside its text
}

// What a chat costs beside its text is from OpenAI's cookbook, "How to count
// tokens with tiktoken"; it is the same for all models since gpt-3.5-turbo-0613.
const (
	perMessage = 3
	perName    = 1
	perReply   = 3
)

// parts are the members that a model sees. Their names are compared in any
// case: a provider that is written in Go takes `Messages` for `messages`.
var parts = []part{
	{name: "messages", each: perMessage, once: perReply}, // chat completions, Anthropic
	{name: "input", each: perMessage, numbers: true},     // responses, embeddings, speech, moderations
	{name: "prompt", numbers: true},                      // completions, images; responses: a template's variables
	{name: "suffix"},                                     // completions
	{name: "system"},                                     // Anthropic
	{name: "instructions"},                               // responses, speech
	{name: "query"},                                      // rerank
	{name: "documents", data: true},                      // rerank; vLLM's chat completions
	{name: "texts", data: true},                          // rerank
	{name: "tools", data: true},                          // all chats
	{name: "functions", data: true},                      // chat completions
	{name: "response_format", data: true},                // chat completions: a schema
	{name: "text", data: true},                           // responses: a schema
	{name: "output_config", data: true},                  // Anthropic: a schema
	{name: "output_format", data: true},                  // Anthropic: a schema
	{name: "chat_template", data: true},                  // vLLM
	{name: "chat_template_kwargs", data: true},           // vLLM
}

func partOf(name []byte) (part, bool) {
	for _, p := range parts {
		if bytes.EqualFold(name, []byte(p.name)) {
			return p, true
		}
	}
	return part{}, false
}

// kind is what a member of a message, or of a part of one, is.
type kind uint8

const (
	unknown kind = iota // a string is text; all of an object or array is text
	nested              // objects and arrays with known keys
	label               // a short string is the API's own word, which no model sees
	named               // text, with something around it
	sealed              // ciphertext
	linked              // the string, or `url` in the object, may be an image, sound or video
	sound               // `data` in it is sound
	sourced             // `data` in it may be an image or a PDF file
	filed               // may be a PDF file
	address             // the `url` in linked
	payload             // may be sound, an image, a PDF file or ciphertext
)

func (k kind) hasKnownKeys() bool {
	return k == nested || k == linked || k == sound || k == sourced
}

// maxLabel is how long a label may be, in bytes. The longest that an API knows
// is Anthropic's text_editor_code_execution_tool_result_error.
const maxLabel = 64

// kinds of the members of messages and of their parts, from the references of
// OpenAI's chat completions and responses and of Anthropic's messages; video
// and audio links are vLLM's, reasoning_details are OpenRouter's. What is not
// here counts in full: an `id` does, as some chat templates write it out.
var kinds = map[string]kind{
	"content": nested, "output": nested, "summary": nested, "results": nested, "outputs": nested,
	"tool_calls": nested, "function": nested, "function_call": nested, "custom": nested,
	"file": nested, "audio": nested, "caller": nested, "cache_control": nested,
	"annotations": nested, "citations": nested, "logprobs": nested, "top_logprobs": nested,
	"reasoning_details": nested,

	"type": label, "status": label, "phase": label, "detail": label, "media_type": label,
	"format": label, "ttl": label,

	"name": named,

	"signature": sealed, "encrypted_content": sealed, "encrypted_index": sealed,

	"image_url": linked, "video_url": linked, "audio_url": linked,

	"url": address, "file_data": filed, "input_audio": sound, "source": sourced,
	"data": payload, "result": payload,
}

// maxKey is enough for any key above, decoded.
const maxKey = 32

// decodeKey appends what the inside of a key spells. What is too long to be a
// known key stays as it is.
func decodeKey(dst, raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	for rest := raw; len(rest) > 0; {
		if len(dst) > maxKey {
			return raw
		}
		if rest[0] != '\\' {
			dst, rest = append(dst, rest[0]), rest[1:]
			continue
		}
		r, size := jsontext.Unescape(rest)
		if r >= 0 {
			dst = utf8.AppendRune(dst, r)
		}
		rest = rest[size:]
	}
	return dst
}

// isMedia tells whether a string is a data URL of what is not text. Only the
// MIME types are named whose bytes no provider reads as text.
func isMedia(raw []byte) bool {
	const scheme = "data:"
	if len(raw) < len(scheme) || !bytes.EqualFold(raw[:len(scheme)], []byte(scheme)) {
		return false
	}
	raw = raw[len(scheme):]
	for _, mime := range []string{"image/", "audio/", "video/", "application/pdf"} {
		if bytes.HasPrefix(raw, []byte(mime)) {
			return !bytes.HasPrefix(raw, []byte("image/svg"))
		}
	}
	return false
}

// isPDF tells whether a string is a PDF file in base64: it starts with "%PDF-".
func isPDF(raw []byte) bool { return bytes.HasPrefix(raw, []byte("JVBERi0")) }
