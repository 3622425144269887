package demo

import (
	"errors"
	"net/http"
	"strings"
)

// Surface is one endpoint of an API that responds to a prompt. It reads the endpoint's
// requests and writes its replies.
type Surface struct {
	name   string // the path after the version
	input  string // the field that holds the prompt
	speaks bool   // its reply contains a text
	read   func(fields, *Prompt) error
	reply  func(Prompt, string) Reply
	refuse func(*Error) Reply
}

// surfaces lists a path before any other path that it ends with.
var surfaces = []Surface{
	{"chat/completions", "messages", true, readChat, replyChat, openAIError},
	{"completions", "prompt", true, readCompletion, replyCompletion, openAIError},
	{"responses", "input", true, readResponse, replyResponse, openAIError},
	{"embeddings", "input", false, readEmbeddings, replyEmbeddings, openAIError},
	{"messages", "messages", true, readMessages, replyMessage, anthropicError},
	{"messages/count_tokens", "messages", false, readMessages, replyTokenCount, anthropicError},
}

// SurfaceOf returns the surface that a path ends with, whatever comes before it:
// providers put versions and deployments there.
func SurfaceOf(path string) (Surface, bool) {
	for _, s := range surfaces {
		if strings.HasSuffix(path, "/"+s.name) {
			return s, true
		}
	}
	return Surface{}, false
}

// Read reads a request's body. It requires as little as possible: a missing model or
// prompt is not an error.
func (s Surface) Read(body []byte) (Prompt, error) {
	p, f, err := readPrompt(body)
	if err != nil {
		return Prompt{}, err
	}
	if err := s.read(f, &p); err != nil {
		return Prompt{}, err
	}
	return p, nil
}

// Reply returns a response to p. The text is cut to p.MaxTokens; embeddings and token
// counts contain no text.
func (s Surface) Reply(p Prompt, text string) Reply { return s.reply(p, text) }

// Refuse returns an error response. An error that is not an *Error becomes an internal
// error without a reason.
func (s Surface) Refuse(err error) Reply {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Status: http.StatusInternalServerError, Message: "Internal error."}
	}
	return s.refuse(e)
}
