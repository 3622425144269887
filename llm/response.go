package llm

// ResponseKind is the form of an operation's successful responses, streamed or not. It
// determines which content is expected, how a stream ends, and in which shape an error is
// added to it. For example, /v1/chat/completions and /v1/completions both have KindChat.
type ResponseKind string

// The kinds. KindAny may be of any media type: audio, text, subtitles.
const (
	KindAny       ResponseKind = ""
	KindJSON      ResponseKind = "json"
	KindChat      ResponseKind = "chat"
	KindResponses ResponseKind = "responses"
	KindMessages  ResponseKind = "messages"
)

// Format returns the format of the API with such responses.
func (k ResponseKind) Format() Format {
	if k == KindMessages {
		return Anthropic
	}
	return OpenAI
}

// Stream returns the name of a stream of this kind; it is empty for a kind whose streams have
// no last event.
func (k ResponseKind) Stream() string {
	if _, ends := k.LastEvents(); !ends {
		return ""
	}
	return string(k)
}
