package llm

// Verdict is what the beginning of a response says about it.
type Verdict uint8

// The verdicts. A response is accepted at its first content, and also where it is not
// understood. The verdicts after Accepted are failures disguised as success.
const (
	Undecided Verdict = iota
	Accepted
	ErrorResponse   // an error with a status of success
	EmptyResponse   // ended without content
	InvalidResponse // of a media type or a form that the API does not have
)

// The causes of failures, as in the access log and in metrics.
const (
	CauseErrorAnswer = "error_answer"
	CauseEmptyAnswer = "empty_answer"
	CauseWrongAnswer = "wrong_answer"
)

var causes = [...]string{ErrorResponse: CauseErrorAnswer, EmptyResponse: CauseEmptyAnswer, InvalidResponse: CauseWrongAnswer}

// Failed reports whether the next attempt should follow.
func (v Verdict) Failed() bool { return v > Accepted }

// Cause returns the name of a failure; it is empty for the other verdicts.
func (v Verdict) Cause() string { return causes[v] }
