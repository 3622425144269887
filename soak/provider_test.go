package soak

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/recorder"
)

// task is what a client asks of a provider. It travels in the request's `user`
// field, and the digest of the prompt comes back in the response, so that both
// sides know what is right without keeping anything.
type task struct {
	// Events is the number of events of a stream, Pause the time between two.
	Events int           `json:"events,omitempty"`
	Pause  time.Duration `json:"pause,omitempty"`
	// Answer is how many bytes of padding the response has.
	Answer int `json:"answer,omitempty"`
	// Cut breaks the stream after that many events.
	Cut int `json:"cut,omitempty"`
}

// provider answers tasks. It keeps no request, unlike recorder.Provider: a soak
// sends too many.
type provider struct {
	name   string
	failed atomic.Int64
	served atomic.Int64
}

// start runs a provider. One that is flaky fails two of three requests, each
// time in another way.
func start(t *testing.T, name string, flaky bool, options ...recorder.Option) *recorder.Provider {
	p := &provider{name: name}
	server := recorder.Start(t, append(options, recorder.WithName(name), recorder.Forgetful())...)
	server.Respond(func(w http.ResponseWriter, r *http.Request, body []byte) {
		if flaky && p.fail(w) {
			p.failed.Add(1)
			return
		}
		p.served.Add(1)
		p.answer(w, r, body)
	})
	return server
}

// errorAnswer is a failure with status 200.
const errorAnswer = `{"error":{"message":"the engine is gone","type":"server_error"}}`

// fail fails two of three times: with a status, with a broken connection, or
// with an error in a response of status 200.
func (p *provider) fail(w http.ResponseWriter) bool {
	switch rand.IntN(6) {
	case 0:
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"error":{"message":"busy"}}`)
	case 1:
		w.WriteHeader(http.StatusInternalServerError)
	case 2:
		panic(http.ErrAbortHandler)
	case 3:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, errorAnswer)
	default:
		return false
	}
	return true
}

func (p *provider) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	var in struct {
		Model    string
		User     string
		Stream   bool
		Messages []struct{ Content string }
	}
	var todo task
	if json.Unmarshal(body, &in) != nil || len(in.Messages) != 1 || json.Unmarshal([]byte(in.User), &todo) != nil {
		w.WriteHeader(http.StatusTeapot) // a status that no client of the soak expects
		return
	}
	text := p.text(in.Model, in.Messages[0].Content)
	if !in.Stream {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"object":"chat.completion","padding":"%s","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`,
			strings.Repeat("x", todo.Answer), text)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	padding := strings.Repeat("x", todo.Answer/max(todo.Events, 1))
	for event := range todo.Events {
		if todo.Cut > 0 && event == todo.Cut {
			panic(http.ErrAbortHandler)
		}
		content := ""
		if event == todo.Events-1 {
			content = text
		}
		if _, err := fmt.Fprintf(w, "data: {\"padding\":\"%s\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", padding, content+" "); err != nil {
			return
		}
		_ = control.Flush()
		select {
		case <-time.After(todo.Pause):
		case <-r.Context().Done():
			return
		}
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

// text is the right response to a prompt.
func (p *provider) text(model, prompt string) string { return answerOf(p.name, model, prompt) }

func answerOf(provider, model, prompt string) string {
	sum := sha256.Sum256([]byte(prompt))
	return provider + "/" + model + "/" + hex.EncodeToString(sum[:8])
}
