package llm

// ResponseKind is what successful responses of an operation look like.
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

// CountedStream is a stream of chat completions whose client asked for tokens in
// every event (stream_options.continuous_usage_stats, of vLLM).
const CountedStream = "chat-counted"

// Stream returns what a stream of this kind looks like, empty where it has no last
// event. counted says that the client asked for tokens in every event.
func (k ResponseKind) Stream(counted bool) string {
	switch _, ends := k.LastEvents(); {
	case !ends:
		return ""
	case k == KindChat && counted:
		return CountedStream
	}
	return string(k)
}
