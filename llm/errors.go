package llm

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Code names an error that a client can receive. Every code has a status and a type.
type Code string

// The codes, in the order of their HTTP status.
const (
	InvalidBody         Code = "invalid_body"
	DuplicateKey        Code = "duplicate_key"
	UnsupportedSurface  Code = "unsupported_surface"
	InvalidAPIKey       Code = "invalid_api_key"
	ProviderNotAllowed  Code = "provider_not_allowed"
	ModelNotAllowed     Code = "model_not_allowed"
	ModelNotFound       Code = "model_not_found"
	UnknownPath         Code = "unknown_path"
	ProviderNotFound    Code = "provider_not_found"
	MethodNotAllowed    Code = "method_not_allowed"
	RequestTooLarge     Code = "request_too_large"
	InputTooLarge       Code = "input_too_large"
	UnsupportedEncoding Code = "unsupported_encoding"
	UpgradeNotSupported Code = "upgrade_not_supported"
	NoModelsSelected    Code = "no_models_selected"
	StrategyFailed      Code = "strategy_failed"
	SecretMissing       Code = "secret_missing"
	NoProviderKey       Code = "no_provider_key"
	RateLimit           Code = "rate_limit"
	Internal            Code = "internal"
	NotImplemented      Code = "not_implemented"
	ProviderUnreachable Code = "provider_unreachable"
	GatewayUnavailable  Code = "gateway_unavailable"
	Overloaded          Code = "overloaded"
	Timeout             Code = "timeout"
	StreamTruncated     Code = "stream_truncated"
	LoopDetected        Code = "loop_detected"
)

// outcome is the status and the type of a code.
type outcome struct {
	status int
	kind   string
}

// outcomes has every code. The SDKs of OpenAI and Anthropic choose their classes by status.
// The types are those that both APIs have, where there is such a type.
var outcomes = map[Code]outcome{
	InvalidBody:         {400, "invalid_request_error"},
	DuplicateKey:        {400, "invalid_request_error"},
	UnsupportedSurface:  {400, "invalid_request_error"},
	InvalidAPIKey:       {401, "authentication_error"},
	ProviderNotAllowed:  {403, "permission_error"},
	ModelNotAllowed:     {403, "permission_error"},
	ModelNotFound:       {404, "not_found_error"},
	UnknownPath:         {404, "not_found_error"},
	ProviderNotFound:    {404, "not_found_error"},
	MethodNotAllowed:    {405, "invalid_request_error"},
	RequestTooLarge:     {413, "invalid_request_error"},
	InputTooLarge:       {413, "invalid_request_error"},
	UnsupportedEncoding: {415, "invalid_request_error"},
	UpgradeNotSupported: {426, "invalid_request_error"},
	NoModelsSelected:    {422, "invalid_request_error"},
	StrategyFailed:      {422, "invalid_request_error"},
	SecretMissing:       {424, "invalid_request_error"},
	NoProviderKey:       {424, "invalid_request_error"},
	RateLimit:           {429, "rate_limit_error"},
	Internal:            {500, "api_error"},
	NotImplemented:      {501, "invalid_request_error"},
	ProviderUnreachable: {502, "api_error"},
	GatewayUnavailable:  {503, "api_error"},
	Overloaded:          {503, "api_error"},
	Timeout:             {504, "timeout_error"},
	StreamTruncated:     {502, "api_error"},
	LoopDetected:        {508, "api_error"},
}

// Status returns the HTTP status of the code.
func (c Code) Status() int { return outcomes[c].status }

// Type returns the `type` of the error, as the SDKs know it.
func (c Code) Type() string { return outcomes[c].kind }

// Error is an error that a client receives. Its code determines the status and the type; Render
// and Event write it in the shape of an API. For example:
//
//	Errorf(ModelNotFound, "unknown model %q: write provider:model", Clip(name))
type Error struct {
	Code Code
	// Message is for the client: it names the invalid value and says what to do. It never
	// contains a secret or an internal address.
	Message string
	// Cause is for the log.
	Cause error
	// RetryAfter is the value of the Retry-After header in seconds, 0 for none.
	RetryAfter int
	// Allow is the value of the Allow header, empty for none.
	Allow string
	// StatusCode replaces the status of the code, if it is not 0.
	StatusCode int
}

// Status returns the HTTP status that goes with the error.
func (e *Error) Status() int {
	if e.StatusCode != 0 {
		return e.StatusCode
	}
	return e.Code.Status()
}

// Errorf returns an Error without a cause.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// AsError returns err as an *Error. An error of another type becomes the cause of an
// Internal error, whose message does not contain its text.
func AsError(err error) *Error {
	var coded *Error
	if errors.As(err, &coded) {
		return coded
	}
	return &Error{Code: Internal, Message: "the gateway failed to handle this request", Cause: err}
}

// Format is the family of an API: OpenAI's or Anthropic's. It determines the shape of errors
// and of lists of models, and the header that carries a key. For example, /v1/messages has the
// format Anthropic, so its errors are {"type":"error","error":{…}}.
type Format string

// The formats.
const (
	OpenAI    Format = "openai"
	Anthropic Format = "anthropic"
)

// Render returns the error as a response body, in the shape that the format's SDKs parse.
func (e *Error) Render(f Format) []byte {
	if f == Anthropic {
		return marshal(anthropicError{ErrorEvent, anthropicDetail{e.Code.Type(), e.Message}})
	}
	return marshal(openaiError{openaiDetail{e.Message, e.Code.Type(), e.Code, nil}})
}

// Event returns the error as the last event of a stream of this kind. between is set if the
// previous event has ended. sequence is the event's sequence_number, which only responses
// have.
func (e *Error) Event(kind ResponseKind, between bool, sequence int64) []byte {
	var b []byte
	if !between {
		b = append(b, "\n\n"...)
	}
	data := e.Render(kind.Format())
	if kind == KindResponses {
		data = marshal(responsesError{ErrorEvent, e.Code, e.Message, nil, sequence})
	}
	if kind == KindResponses || kind == KindMessages {
		b = append(b, "event: "+ErrorEvent+"\n"...)
	}
	return append(append(append(b, "data: "...), data...), "\n\n"...)
}

type responsesError struct {
	Type           string  `json:"type"`
	Code           Code    `json:"code"`
	Message        string  `json:"message"`
	Param          *string `json:"param"`
	SequenceNumber int64   `json:"sequence_number"`
}

type openaiError struct {
	Error openaiDetail `json:"error"`
}

type openaiDetail struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Code    Code    `json:"code"`
	Param   *string `json:"param"`
}

type anthropicError struct {
	Type  string          `json:"type"`
	Error anthropicDetail `json:"error"`
}

type anthropicDetail struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// maxEchoed is how much of a client's value an error may contain, in bytes.
const maxEchoed = 64

// Clip returns as much of a client's value as an error may contain.
func Clip(s string) string {
	if len(s) <= maxEchoed {
		return s
	}
	end := maxEchoed
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
