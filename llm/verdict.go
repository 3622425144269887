package llm

// Verdict classifies the beginning of a response: not enough is known yet, it is accepted, or
// it is a failure after which the next attempt should follow. For example, a stream with
// status 200 whose first event reports that the server is overloaded is an ErrorResponse.
type Verdict uint8

// The verdicts. A response is accepted at its first content, and also if it is of a form that
// Weir does not know. The verdicts after Accepted are failures.
const (
	Undecided Verdict = iota
	Accepted
	ErrorResponse   // an error with a status of success
	EmptyResponse   // ended without content
	InvalidResponse // of a media type or a form that the API does not have

	// The error has a cause that another provider, or another model, need not have: see
	// Fault.
	InvalidKey
	AccountBlocked
	RegionUnsupported
	UnknownModel
	UnsupportedFeature
	ContextExceeded
)

// The causes of these failures. Their values are in Weir's access log and metrics.
const (
	CauseErrorResponse   = "error_answer"
	CauseEmptyResponse   = "empty_answer"
	CauseInvalidResponse = "wrong_answer"

	CauseInvalidKey         = "invalid_key"
	CauseAccount            = "account"
	CauseRegion             = "region"
	CauseUnknownModel       = "unknown_model"
	CauseUnsupportedFeature = "unsupported_feature"
	CauseContext            = "context_length"
)

var causes = [...]string{
	ErrorResponse: CauseErrorResponse, EmptyResponse: CauseEmptyResponse, InvalidResponse: CauseInvalidResponse,
	InvalidKey: CauseInvalidKey, AccountBlocked: CauseAccount, RegionUnsupported: CauseRegion,
	UnknownModel: CauseUnknownModel, UnsupportedFeature: CauseUnsupportedFeature, ContextExceeded: CauseContext,
}

// Failed reports whether a response is a failure.
func (v Verdict) Failed() bool { return v > Accepted }

// Cause returns the cause of a failure, empty for the other verdicts.
func (v Verdict) Cause() string { return causes[v] }

// IsCause reports whether a text is the cause of a verdict.
func IsCause(s string) bool {
	for _, cause := range causes[ErrorResponse:] {
		if s == cause {
			return true
		}
	}
	return false
}
