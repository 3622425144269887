package llm

import (
	"fmt"
	"testing"
)

// TestFindRoute: method and target, and what is asked for: an endpoint with
// its format, the models, or the error's format and code.
func TestFindRoute(t *testing.T) {
	f := func(method, target, want string) {
		t.Helper()
		r, err := FindRoute(method, target)
		got := string(r.Format) + " "
		switch {
		case err != nil:
			got += string(AsError(err).Code)
		case r.Models:
			got += "models " + r.ModelID
		default:
			got += r.Endpoint.Path + " " + string(r.Endpoint.Surface)
		}
		if r.Query != "" {
			got += "?" + r.Query
		}
		if got != want {
			t.Errorf("%s %s: got %q, want %q", method, target, got, want)
		}
	}
	f("POST", "/v1/chat/completions", "openai /v1/chat/completions chat-completions")
	f("POST", "/v1/chat/completions?a=b?c", "openai /v1/chat/completions chat-completions?a=b?c")
	f("POST", "/v1/responses", "openai /v1/responses responses")
	f("POST", "/v1/completions", "openai /v1/completions completions")
	f("POST", "/v1/embeddings", "openai /v1/embeddings embeddings")
	for _, path := range []string{"/v1/moderations", "/v1/images/generations", "/v1/images/edits", "/v1/images/variations", "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/rerank"} {
		f("POST", path, "openai "+path+" ")
	}
	f("POST", "/v1/messages", "anthropic /v1/messages messages")
	f("POST", "/v1/messages/count_tokens", "anthropic /v1/messages/count_tokens messages")
	f("GET", "/v1/models", "openai models ")
	f("GET", "/v1/models?limit=1", "openai models ?limit=1")
	f("GET", "/v1/models/a:b", "openai models a:b")
	f("GET", "/v1/models/a%3Ab%2Fc", "openai models a:b/c")
	f("GET", "/v1/models/a/b", "openai models a/b")

	f("GET", "/v1/chat/completions", "openai unknown_path")
	f("POST", "/v1/models", "openai unknown_path")
	f("GET", "/v1/models/", "openai unknown_path")
	f("GET", "/v1/models/%zz", "openai unknown_path")
	f("GET", "/v1/messages", "anthropic unknown_path")
	f("POST", "/v1/messages/batches", "anthropic unknown_path")
	f("POST", "/v1/messages/?x", "anthropic unknown_path?x")
	f("POST", "/v1/messagesx", "openai unknown_path")
	for _, path := range []string{"", "/", "/v1", "/v1/chat/completions/", "//v1/chat/completions", "/v1//chat/completions", "/V1/chat/completions", "/v1/chat%2Fcompletions", "/v1/./chat/completions", "/v1/x/../chat/completions", "/v1/chat/completions;x", "/v1/chat/completions#x", "http://h/v1/chat/completions", "*"} {
		f("POST", path, "openai unknown_path")
	}
}

// A client with a wrong base URL learns which one is right.
func TestFindRouteBaseURL(t *testing.T) {
	add, remove := "set the client's base URL to one that ends in /v1", "set the client's base URL to one without /v1"
	f := func(path, want string) {
		t.Helper()
		_, err := FindRoute("POST", path)
		if err == nil || AsError(err).Message != fmt.Sprintf("%q is not a path of this gateway: %s", path, want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	f("/chat/completions", add)
	f("/embeddings", add)
	f("/messages", add)
	f("/models", add)
	f("/v1/v1/messages", remove)
	f("/v1/v1/chat/completions", remove)
	f("/v1/v1/models", remove)
	other := "it serves /v1/chat/completions, /v1/responses, /v1/messages, /v1/embeddings, /v1/models and other paths of OpenAI's and Anthropic's APIs. Case, slashes and escapes in a path must match exactly"
	f("/v1/v1/v1/messages", other)
	f("/v1/v1", other)
	f("/v1/v1/", other)
	f("/chat/completions/", other)
}

// Every surface that a configuration can name has an endpoint.
func TestEndpoints(t *testing.T) {
	for i, e := range endpoints {
		if e.Index != i || endpointByPath[e.Path] != &endpoints[i] {
			t.Errorf("%s is not found by its path", e.Path)
		}
	}
}
