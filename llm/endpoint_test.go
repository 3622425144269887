package llm

import (
	"fmt"
	"strings"
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

// Clients with a base URL for another server request the same operations.
func TestFindRouteOtherBaseURLs(t *testing.T) {
	f := func(method, path, want string) {
		t.Helper()
		r, err := FindRoute(method, path)
		got := ""
		if err != nil {
			got = string(AsError(err).Code)
		}
		switch {
		case r.Models:
			got = "models " + r.ModelID
		case r.Endpoint != nil:
			got = r.Endpoint.Path + " " + r.Deployment
		}
		if got = strings.TrimSpace(got); got != want {
			t.Errorf("%s %s: got %q, want %q", method, path, got, want)
		}
	}
	// Without /v1, or with two.
	f("POST", "/chat/completions", "/v1/chat/completions")
	f("POST", "/messages?beta=true", "/v1/messages")
	f("POST", "/messages/count_tokens", "/v1/messages/count_tokens")
	f("POST", "/responses", "/v1/responses")
	f("POST", "/embeddings", "/v1/embeddings")
	f("POST", "/audio/transcriptions", "/v1/audio/transcriptions")
	f("GET", "/models", "models")
	f("GET", "/models/a%2Fb", "models a/b")
	f("POST", "/v1/v1/messages", "/v1/messages")
	f("POST", "/v1/v1/chat/completions", "/v1/chat/completions")
	f("GET", "/v1/v1/models/a", "models a")
	// Azure's clients.
	f("POST", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", "/v1/chat/completions gpt-4o")
	f("POST", "/openai/deployments/gpt-4o/completions", "/v1/completions gpt-4o")
	f("POST", "/openai/deployments/whisper/audio/transcriptions", "/v1/audio/transcriptions whisper")
	f("POST", "/openai/deployments/my-ollama:llama3.2/embeddings", "/v1/embeddings my-ollama:llama3.2")
	f("POST", "/openai/deployments/meta%2Fllama/chat/completions", "/v1/chat/completions meta/llama")
	f("POST", "/openai/deployments/openrouter/meta/llama/chat/completions", "/v1/chat/completions openrouter/meta/llama")
	f("POST", "/openai/v1/chat/completions", "/v1/chat/completions")
	f("POST", "/openai/v1/responses", "/v1/responses")
	f("POST", "/openai/responses?api-version=2025-03-01-preview", "/v1/responses")
	f("GET", "/openai/v1/models", "models")
	f("GET", "/openai/models?api-version=2024-10-21", "models")
	f("POST", "/openai/deployments//chat/completions", "unknown_path")
	f("POST", "/openai/deployments/%zz/chat/completions", "unknown_path")
	f("POST", "/openai/deployments/chat/completions", "/v1/completions chat")
	f("POST", "/openai/deployments/completions", "unknown_path")
	f("GET", "/openai/deployments/d/models", "unknown_path")
	f("GET", "/openai/deployments", "unknown_path")
	for query, want := range map[string]string{"api-version=1": "", "a=%62&api-version=1&b": "a=%62&b", "API-Version=1&a=": "a=", "": ""} {
		if r, _ := FindRoute("POST", "/openai/v1/responses?"+query); r.Query != want {
			t.Errorf("query %q: got %q, want %q", query, r.Query, want)
		}
	}
	// Nothing else is removed or decoded.
	for _, path := range []string{
		"/v1/v1/v1/messages", "/chat/completions/", "/v1/v1", "/v1/v1/", "/v1/openai/chat/completions", "/openai/openai/chat/completions", "/x/v1/messages",
		"/v1chat/completions", "/openaichat/completions", "/v1/%76%31/messages", "//chat/completions", "/OpenAI/v1/chat/completions",
	} {
		f("POST", path, "unknown_path")
	}
}

// The error for an unknown path that ends in an operation names it, in the format of its API.
func TestFindRouteHint(t *testing.T) {
	const check = "? Check the client's base URL. Case, slashes and escapes in a path must match exactly"
	f := func(path string, format Format, want string) {
		t.Helper()
		r, err := FindRoute("POST", path)
		if err == nil || r.Format != format || AsError(err).Message != fmt.Sprintf("%q is not a path of this gateway%s", path, want) {
			t.Errorf("%s: %s, %v, want %s", path, r.Format, err, want)
		}
	}
	f("/v1/chat/completions/", OpenAI, "; did you mean /v1/chat/completions"+check)
	f("/v1/chat/completions/chat/completions", OpenAI, "; did you mean /v1/chat/completions"+check)
	f("/anthropic/v1/messages", Anthropic, "; did you mean /v1/messages"+check)
	f("/v1/threads/t/messages", OpenAI, "; did you mean /v1/messages"+check)
	f("/v1/messages/batches", Anthropic, ": it serves /v1/chat/completions, /v1/responses, /v1/messages, /v1/embeddings, /v1/models and other paths of OpenAI's and Anthropic's APIs. Case, slashes and escapes in a path must match exactly")
}

// Every surface that a configuration can name has an endpoint.
func TestEndpoints(t *testing.T) {
	for i, e := range endpoints {
		if e.Index != i || EndpointAt(e.Path) != &endpoints[i] {
			t.Errorf("%s is not found by its path", e.Path)
		}
	}
}
