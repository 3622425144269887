package llm

// Verdict classifies the beginning of a response: not enough is known yet, it is accepted, or
// it is a failure disguised as success, after which the next attempt should follow. For
// example, a stream with status 200 whose first event reports that the server is overloaded
// is an ErrorResponse.
type Verdict uint8

// The verdicts. A response is accepted at its first content, and also if it is of a form that
// Weir does not know. The verdicts after Accepted are failures disguised as success.
const (
	Undecided Verdict = iota
	Accepted
	ErrorResponse   // an error with a status of success
	EmptyResponse   // ended without content
	InvalidResponse // of a media type or a form that the API does not have
)

// The causes of these failures. Their values are in Weir's access log and metrics.
const (
	CauseErrorResponse   = "error_answer"
	CauseEmptyResponse   = "empty_answer"
	CauseInvalidResponse = "wrong_answer"
)

var causes = [...]string{ErrorResponse: CauseErrorResponse, EmptyResponse: CauseEmptyResponse, InvalidResponse: CauseInvalidResponse}

// Failed reports whether a response is a failure disguised as success.
func (v Verdict) Failed() bool { return v > Accepted }

// Cause returns the cause of a failure, empty for the other verdicts.
func (v Verdict) Cause() string { return causes[v] }
