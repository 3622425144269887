package llm

// Answer is a kind of answers, by what they look like.
type ResponseKind string

// The kinds. AnyAnswer may be of any type: sound, text, subtitles.
const (
	KindAny       ResponseKind = ""
	KindJSON      ResponseKind = "json"
	KindChat      ResponseKind = "chat"
	KindResponses ResponseKind = "responses"
	KindMessages  ResponseKind = "messages"
)

// Format is that of the API that answers so.
func (a ResponseKind) Format() Format {
	if a == KindMessages {
		return Anthropic
	}
	return OpenAI
}

// CountedStream is a stream of chat completions whose client asked for tokens in
// every event (stream_options.continuous_usage_stats, of vLLM).
const CountedStream = "chat-counted"

// Stream returns what a stream of this kind looks like, empty where it has no last
// event. counted reports whether the client asked for tokens in every event.
func (a ResponseKind) Stream(counted bool) string {
	switch {
	case a == KindChat && counted:
		return CountedStream
	case a == KindChat, a == KindResponses, a == KindMessages:
		return string(a)
	}
	return ""
}
