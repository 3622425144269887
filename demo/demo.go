// Package demo is the built-in demo provider: it stands in for a real provider, says
// so, and speaks OpenAI's and Anthropic's APIs, so that a first request through Weir
// needs no account.
//
// It has two models. "demo" describes itself and the request that it received;
// "demo-echo" repeats the last user message. The same request always gets the same
// bytes. It counts words and calls them tokens.
//
// It has no model, no tools, no state and no authentication, and is meant to listen on
// loopback only.
//
// Surface is exported because the recording provider of the tests responds in the same
// shapes.
package demo

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
)

// The model ids.
const (
	Model     = "demo"
	EchoModel = "demo-echo"
)

var models = []string{Model, EchoModel}

// Twice Weir's default max_body_bytes: a user should reach the gateway's limit first.
const maxBody = 64 << 20

// Handler serves the demo provider. Paths begin with /v1.
func Handler() http.Handler {
	mux := http.NewServeMux()
	for _, s := range surfaces {
		mux.HandleFunc("POST /v1/"+s.name, func(w http.ResponseWriter, r *http.Request) {
			complete(s, w, r).Send(w)
		})
	}
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		Models(r.Header, models...).Send(w)
	})
	mux.HandleFunc("GET /v1/models/{id}", func(w http.ResponseWriter, r *http.Request) {
		oneModel(r.Header, r.PathValue("id")).Send(w)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		Refuse(r, &Error{
			Status:  http.StatusNotFound,
			Code:    "unknown_url",
			Message: fmt.Sprintf("Unknown request URL: %s %s. %s", r.Method, r.URL.Path, label),
		}).Send(w)
	})
	return mux
}

func complete(s Surface, w http.ResponseWriter, r *http.Request) Reply {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return s.Refuse(unread(err))
	}
	p, err := s.Read(body)
	if err != nil {
		return s.Refuse(err)
	}
	text, err := say(s, p)
	if err != nil {
		return s.Refuse(err)
	}
	return s.Reply(p, text)
}

func unread(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Error{
			Status:  http.StatusRequestEntityTooLarge,
			Message: fmt.Sprintf("The request body is larger than %d bytes.", maxBody),
		}
	}
	return invalid("", "The request body could not be read: %v.", err)
}

const label = "This is Weir's built-in demo model, not a real one."

// say returns the text of the demo's response.
func say(s Surface, p Prompt) (string, error) {
	switch {
	case p.Model == "":
		return "", invalid("model", "model: this field is required; the demo has %q and %q.", Model, EchoModel)
	case !slices.Contains(models, p.Model):
		return "", unknownModel(p.Model)
	case len(p.Texts) == 0:
		return "", invalid(s.input, "%s: this field is required.", s.input)
	case p.Model == Model:
		return fmt.Sprintf("%s Model received: %s. Words in the prompt: %d. It answers every prompt like this; "+
			"add a provider to Weir's configuration to reach a real model.", label, p.Model, p.Tokens), nil
	case p.LastUser == "" && s.speaks:
		return "", invalid(s.input, "%s: %q needs a user message to repeat.", s.input, EchoModel)
	default:
		return p.LastUser, nil
	}
}
