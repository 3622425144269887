package demo

import (
	"fmt"
	"net/http"
)

// Error is an error of an API. Code and Param appear in OpenAI's shape only; if empty,
// they are null.
type Error struct {
	Status  int
	Code    string
	Param   string
	Message string
}

func (e *Error) Error() string { return e.Message }

func invalid(param, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Param: param, Message: fmt.Sprintf(format, args...)}
}

func unknownModel(id string) *Error {
	return &Error{
		Status:  http.StatusNotFound,
		Code:    "model_not_found",
		Param:   "model",
		Message: fmt.Sprintf("The model %q does not exist. %s It has %q and %q.", id, label, Model, EchoModel),
	}
}

// errorTypes is what each API puts in "type" for a status.
// https://developers.openai.com/api/docs/guides/error-codes
// https://docs.anthropic.com/en/api/errors
var errorTypes = map[int]struct{ openai, anthropic string }{
	http.StatusBadRequest:            {"invalid_request_error", "invalid_request_error"},
	http.StatusUnauthorized:          {"invalid_request_error", "authentication_error"},
	http.StatusPaymentRequired:       {"insufficient_quota", "billing_error"},
	http.StatusForbidden:             {"invalid_request_error", "permission_error"},
	http.StatusNotFound:              {"invalid_request_error", "not_found_error"},
	http.StatusRequestTimeout:        {"server_error", "timeout_error"},
	http.StatusRequestEntityTooLarge: {"invalid_request_error", "request_too_large"},
	http.StatusUnprocessableEntity:   {"invalid_request_error", "invalid_request_error"},
	http.StatusTooManyRequests:       {"rate_limit_error", "rate_limit_error"},
	http.StatusInternalServerError:   {"server_error", "api_error"},
	http.StatusServiceUnavailable:    {"server_error", "overloaded_error"},
	http.StatusGatewayTimeout:        {"server_error", "timeout_error"},
	529:                              {"server_error", "overloaded_error"},
}

// Refuse returns the reply to a request that fails, in the shape of its Surface, or of
// the API that its headers speak if no Surface matches.
func Refuse(r *http.Request, e *Error) Reply {
	if s, ok := SurfaceOf(r.URL.Path); ok {
		return s.Refuse(e)
	}
	if speaksAnthropic(r.Header) {
		return anthropicError(e)
	}
	return openAIError(e)
}

func openAIError(e *Error) Reply {
	kind := errorTypes[e.Status].openai
	if kind == "" {
		kind = "server_error"
	}
	return document(e.Status, object{"error": object{
		"message": e.Message,
		"type":    kind,
		"param":   orNull(e.Param),
		"code":    orNull(e.Code),
	}})
}

func anthropicError(e *Error) Reply {
	kind := errorTypes[e.Status].anthropic
	if kind == "" {
		kind = "api_error"
	}
	return document(e.Status, object{
		"type":  "error",
		"error": object{"type": kind, "message": e.Message},
	})
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
