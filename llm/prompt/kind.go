package prompt

import "bytes"

// Kind classifies a member of a message, or of a part of a message, by its key. What is not
// text (an API's own words, ciphertext, media) is known by its exact place, so that
// everything else counts as text:
//
//	{"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}
//
// is a Label, and in a Linked object an Address whose value IsMedia.
type Kind uint8

// The kinds of members.
const (
	Unknown Kind = iota // a string is text; all of an object or array is text
	Nested              // objects and arrays with known keys
	Label               // a string of at most MaxLabel bytes is the API's own word
	Named               // text, with something around it: see PerName
	Sealed              // ciphertext
	Linked              // the string, or `url` in the object, may be an image, sound or video
	Sound               // `data` in the object is sound
	Sourced             // `data` in the object may be an image or a PDF file
	Filed               // may be a PDF file
	Address             // the `url` in an object of kind Linked
	Payload             // may be sound, an image, a PDF file or ciphertext: see IsSealed
)

// MaxLabel is how long a label may be, in bytes. The longest that an API has is Anthropic's
// text_editor_code_execution_tool_result_error.
const MaxLabel = 64

// MaxKey is longer than any key with a known kind, and than the name of any field.
const MaxKey = 32

// kinds come from the references of OpenAI's chat completions and responses and of
// Anthropic's messages. Links to video and audio are vLLM's, reasoning_details are
// OpenRouter's. An `id` is missing on purpose: some chat templates write it out.
var kinds = map[string]Kind{
	"content": Nested, "output": Nested, "summary": Nested, "results": Nested, "outputs": Nested,
	"tool_calls": Nested, "function": Nested, "function_call": Nested, "custom": Nested,
	"file": Nested, "audio": Nested, "caller": Nested, "cache_control": Nested,
	"annotations": Nested, "citations": Nested, "logprobs": Nested, "top_logprobs": Nested,
	"reasoning_details": Nested,

	TypeKey: Label, "status": Label, "phase": Label, "detail": Label, MediaTypeKey: Label,
	"format": Label, "ttl": Label,

	"name": Named,

	"signature": Sealed, "encrypted_content": Sealed, "encrypted_index": Sealed,

	"image_url": Linked, "video_url": Linked, "audio_url": Linked,

	"url": Address, "file_data": Filed, "input_audio": Sound, "source": Sourced,
	"data": Payload, "result": Payload,
}

// KindOf returns the kind of the member with a key, decoded.
func KindOf(key []byte) Kind { return kinds[string(key)] }

// HasKnownKeys reports whether the members of such an object have kinds of their own.
func (k Kind) HasKnownKeys() bool {
	return k == Nested || k == Linked || k == Sound || k == Sourced
}

// IsMedia reports whether a string is a data URL of something that is not text. Only those
// media types are listed whose bytes no provider reads as text.
func IsMedia(raw []byte) bool {
	const scheme = "data:"
	if len(raw) < len(scheme) || !bytes.EqualFold(raw[:len(scheme)], []byte(scheme)) {
		return false
	}
	raw = raw[len(scheme):]
	for _, media := range []string{"image/", "audio/", "video/", "application/pdf"} {
		if bytes.HasPrefix(raw, []byte(media)) {
			return !bytes.HasPrefix(raw, []byte("image/svg"))
		}
	}
	return false
}

// IsPDF reports whether a string is a PDF file in base64: the file starts with "%PDF-".
func IsPDF(raw []byte) bool { return bytes.HasPrefix(raw, []byte("JVBERi0")) }

// The keys whose values say what a payload in the same object is.
const (
	TypeKey      = "type"
	MediaTypeKey = "media_type"
)

// IsSealed reports whether the payload of an object is not text. in is the kind of the
// object; typ and media are its values of TypeKey and MediaTypeKey.
func IsSealed(in Kind, typ, media []byte) bool {
	if in == Sound {
		return true
	}
	switch string(typ) {
	case "base64":
		return in == Sourced && (bytes.HasPrefix(media, []byte("image/")) || string(media) == "application/pdf")
	case "redacted_thinking", "reasoning.encrypted", "image_generation_call":
		return true
	}
	return false
}
