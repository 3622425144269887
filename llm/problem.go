package llm

import (
	"bytes"
	"encoding/json"
	"strings"
)

// role is what a key at the top of a response, or of an event, says of it.
type role uint8

const (
	unknownRole role = iota
	frameRole        // nothing: every response may have it
	errorRole        // an error, unless its value is empty or reports success
	falseRole        // an error if it is false
	stateRole        // an error if it is "error", "failed", or a status from 400 on
	codeRole         // an error if it is not that of a success, and a text is beside it
	textRole         // the text of an error, if the response has nothing else
)

// roles are the ways in which servers spell an error with a status of success. Whatever they
// say, a response with content is accepted: a key of an error may be empty, or a warning. The
// pages are those of 2026-12.
var roles = map[string]role{
	"id": frameRole, "object": stateRole, "created": frameRole, "created_at": frameRole, "model": frameRole, "provider": frameRole,
	"background": frameRole, "service_tier": frameRole, "system_fingerprint": frameRole,

	"error":  errorRole, // OpenAI, Anthropic, Google, OpenRouter: an object, a list or a text
	"errors": errorRole, // Cloudflare: https://developers.cloudflare.com/fundamentals/api/how-to/make-api-calls/
	"detail": errorRole, // FastAPI: https://fastapi.tiangolo.com/tutorial/handling-errors/; RFC 9457
	"fault":  errorRole, // Apigee: https://cloud.google.com/apigee/docs/api-platform/fundamentals/fault-handling

	"base_resp":     errorRole, // MiniMax: https://platform.minimax.io/docs/api-reference/errorcode
	"error_code":    errorRole, // Baidu: https://cloud.baidu.com/doc/WENXINWORKSHOP/s/tlmyncueh
	"error_msg":     errorRole,
	"error_message": errorRole,
	"errcode":       errorRole,
	"errmsg":        errorRole,
	"errorMessage":  errorRole, // AWS Lambda: https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html

	"success": falseRole, // Cloudflare
	"ok":      falseRole,

	"type":        stateRole, // Anthropic
	"status":      stateRole, // the responses API; RFC 9457 and Spring: a number
	"status_code": stateRole,
	"statusCode":  stateRole,

	"code": codeRole, // Alibaba: https://help.aliyun.com/en/model-studio/error-code

	"message": textRole, // AWS: https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
	"Message": textRole,
	"msg":     textRole,
	"title":   textRole, // RFC 9457
}

// problem collects what a response says of an error.
type problem struct {
	reported bool // it has an error
	coded    bool // it has a code that is not that of a success
	texted   bool // it has a text
	codes    []string
	texts    []string
}

// field reads a key with its role.
func (p *problem) field(name string, as role, v json.RawMessage) {
	switch as {
	case errorRole:
		if says(v, maxDepth) {
			p.reported = true
			p.read(v, maxDepth)
		} else if v[0] == '{' {
			p.texted = true // an error without a text, where there is nothing else
		}
	case falseRole:
		p.reported = p.reported || string(v) == "false"
	case stateRole:
		word := scalar(v)
		p.reported = p.reported || word == ErrorEvent || word == "failed" || isFailure(v)
		p.codes = append(p.codes, word)
	case codeRole:
		if says(v, maxDepth) {
			p.coded = true
			p.codes = append(p.codes, scalar(v))
		}
	case textRole:
		if s := scalar(v); len(v) > 0 && v[0] == '"' && says(v, maxDepth) {
			p.texted = true
			p.texts = append(p.texts, s)
		}
	}
}

// isFailure reports whether a value is the number of a status from 400 to 599.
func isFailure(v json.RawMessage) bool {
	return len(v) == 3 && (v[0] == '4' || v[0] == '5')
}

// maxDepth bounds how deep an error is read.
const maxDepth = 8

// errorFields are the members of an error that say what is wrong. Others may contain words of the
// client, such as the input that a validation refused.
var errorFields = map[string]errorField{
	"code": isCode, "type": isCode, "status": isCode, "reason": isCode, "error_code": isCode, "status_code": isCode,
	"message": isText, "msg": isText, "error": isText, "detail": isText, "raw": isText, "status_msg": isText, "error_msg": isText, "faultstring": isText,
	"errors": isError, "details": isError, "metadata": isError, "base_resp": isError, "fault": isError, "innererror": isError,
}

// errorField is what a member of an error has: a code, a text or an error in turn, or more
// members.
type errorField uint8

const (
	isCode errorField = iota + 1
	isText
	isError
)

// read collects the codes and texts of an error. OpenRouter keeps the text of the provider's
// error in metadata.raw, Google a reason in a list of details.
func (p *problem) read(v json.RawMessage, depth int) {
	v = bytes.TrimSpace(v)
	if len(v) == 0 || depth == 0 {
		return
	}
	switch v[0] {
	case '"':
		p.texts = append(p.texts, scalar(v))
	case '[':
		var list []json.RawMessage
		_ = json.Unmarshal(v, &list)
		for _, item := range list[:min(len(list), 8)] {
			p.read(item, depth-1)
		}
	case '{':
		var fields map[string]json.RawMessage
		_ = json.Unmarshal(v, &fields)
		for name, value := range fields {
			switch as := errorFields[name]; {
			case as == isCode && value[0] != '{' && value[0] != '[':
				p.codes = append(p.codes, scalar(value))
			case as == isText && value[0] == '"':
				p.texts = append(p.texts, scalar(value))
			case as == isText || as == isError:
				p.read(value, depth-1)
			}
		}
	}
}

// ofRequest are the codes, types and statuses of errors about the request itself.
var ofRequest = map[string]bool{
	"400": true, "413": true, "422": true,
	"invalid_request_error": true, "request_too_large": true, "BadRequestError": true, "invalid_prompt": true,
	"context_length_exceeded": true, "string_above_max_length": true, "content_filter": true, "content_policy_violation": true,
}

// verdict judges an error with a status of success. One about the request itself is accepted,
// as the statuses 400, 413 and 422 are: no other provider would accept the request. A fault
// is judged as it is with these statuses.
func (p *problem) verdict(faults Fault) Verdict {
	fault := p.fault()
	if fault != NoFault && fault&faults != 0 {
		return fault.verdict()
	}
	if fault == FaultContext {
		return Accepted
	}
	for _, code := range p.codes {
		if ofRequest[code] {
			return Accepted
		}
	}
	return ErrorResponse
}

// scalar returns the text of a string, and any other value as it is written.
func scalar(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(bytes.TrimSpace(v))
}

// present reports whether a value is not empty.
func present(v json.RawMessage) bool {
	switch string(bytes.TrimSpace(v)) {
	case "", "null", `""`, "[]", "{}":
		return false
	}
	return true
}

// says reports whether the value of a key such as "error" says that something failed: it is not
// empty, it is not what some servers write for a success, and an object or a list has such a
// value.
func says(v json.RawMessage, depth int) bool {
	if v = bytes.TrimSpace(v); !present(v) {
		return false
	}
	switch v[0] {
	case '{':
		var fields map[string]json.RawMessage
		if json.Unmarshal(v, &fields) != nil || depth == 0 {
			return true
		}
		for _, value := range fields {
			if says(value, depth-1) {
				return true
			}
		}
		return false
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(v, &list) != nil || depth == 0 {
			return true
		}
		for _, value := range list {
			if says(value, depth-1) {
				return true
			}
		}
		return false
	}
	switch strings.ToLower(strings.TrimSpace(scalar(v))) {
	case "", "false", "0", "200", "success", "ok", "none", "null":
		return false
	}
	return true
}
