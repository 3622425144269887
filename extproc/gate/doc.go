// Package gate judges answers of providers: whether the beginning of one says
// anything, or is an error in disguise, before any of it reaches the client;
// and whether a stream came to its own end.
//
// It is bytes in and verdicts out. It changes no answer, and what it does not
// know passes: a new event of an API must not be an outage. It may import
// policy, for the kinds of answers.
//
// The events are those of the API references of OpenAI
// (https://platform.openai.com/docs/api-reference/chat-streaming,
// https://platform.openai.com/docs/api-reference/responses-streaming) and
// Anthropic (https://docs.anthropic.com/en/docs/build-with-claude/streaming);
// their framing is that of server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
package gate

// Verdict is what is known of an answer.
type Verdict uint8

// Hold: nothing yet. Pass: the answer is one. The others say why it is none.
const (
	Hold Verdict = iota
	Pass
	ErrorAnswer // it says that it failed
	EmptyAnswer // it ended without content
	WrongAnswer // it is of a type, or a form, that the API does not have
)

// causes are the words of the access log and of metrics.
var causes = [...]string{ErrorAnswer: "error_answer", EmptyAnswer: "empty_answer", WrongAnswer: "wrong_answer"}

// Failed says that the next attempt should follow.
func (v Verdict) Failed() bool { return v > Pass }

// Cause names why an answer is none; empty where it is one.
func (v Verdict) Cause() string { return causes[v] }
