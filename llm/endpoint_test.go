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
			if allow := AsError(err).Allow; allow != "" {
				got += " " + allow
			}
		case r.Models:
			got += "models " + r.ModelID
		case r.Presence:
			got += "presence " + r.Allow
		case r.Endpoint.Stored:
			got += r.Endpoint.Method + " " + r.Endpoint.Path
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

	f("POST", "/v1/responses/compact", "openai /v1/responses/compact responses")
	f("POST", "/v1/responses/input_tokens", "openai /v1/responses/input_tokens responses")
	f("POST", "/v2/rerank", "openai /v2/rerank ")

	f("GET", "/v1/responses/resp_1", "openai GET /v1/responses/{id}")
	f("GET", "/v1/responses/resp_1?stream=true", "openai GET /v1/responses/{id}?stream=true")
	f("POST", "/v1/responses/resp_1/cancel", "openai POST /v1/responses/{id}/cancel")
	f("DELETE", "/v1/conversations/conv_1/items/msg_1", "openai DELETE /v1/conversations/{id}/items/{id}")
	f("POST", "/v1/files", "openai POST /v1/files")
	f("GET", "/v1/files/file-a.B:c=_/content", "openai GET /v1/files/{id}/content")
	f("GET", "/v1/messages/batches", "anthropic GET /v1/messages/batches")
	f("GET", "/v1/messages/batches/msgbatch_1/results", "anthropic GET /v1/messages/batches/{id}/results")
	for _, id := range []string{"", ".", "..", "...", ".a", "a%2Fb", "a%2e", "%2e%2e", "a;b", "a\\b", "a b", "a#", "ü", "a/b/c", strings.Repeat("a", 513)} {
		f("DELETE", "/v1/files/"+id, "openai unknown_path")
		f("GET", "/v1/responses/"+id+"/input_items", "openai unknown_path")
	}
	f("GET", "/v1/responses/", "openai unknown_path")
	f("GET", "/v1/files/a/", "openai unknown_path")
	f("GET", "/v1/files/a/other", "openai unknown_path")
	f("GET", "/v1//files", "openai unknown_path")
	f("GET", "/v1/files/../models", "openai unknown_path")

	f("GET", "/", "openai presence ")
	f("HEAD", "/", "openai presence ")
	f("OPTIONS", "/", "openai presence GET, HEAD, OPTIONS")
	f("OPTIONS", "/v1/chat/completions", "openai presence POST")
	f("OPTIONS", "/v1/files/a", "openai presence GET, DELETE")
	f("OPTIONS", "/v1/other", "openai unknown_path")

	f("GET", "/v1/chat/completions", "openai method_not_allowed POST")
	f("PUT", "/v1/chat/completions", "openai method_not_allowed POST")
	f("POST", "/v1/models", "openai method_not_allowed GET")
	f("HEAD", "/v1/models", "openai method_not_allowed GET")
	f("DELETE", "/v1/models/m", "openai method_not_allowed GET")
	f("GET", "/v1/responses/compact", "openai method_not_allowed POST")
	f("PUT", "/v1/files", "openai method_not_allowed GET, POST")
	f("PATCH", "/v1/responses/resp_1", "openai method_not_allowed GET, DELETE")
	f("HEAD", "/v1/other", "openai unknown_path")
	f("GET", "/v1/models/", "openai unknown_path")
	f("GET", "/v1/models/%zz", "openai unknown_path")
	f("GET", "/v1/messages", "anthropic method_not_allowed POST")
	f("POST", "/v1/messages/batches", "anthropic POST /v1/messages/batches")
	f("POST", "/v1/messages/other", "anthropic unknown_path")
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
	f("GET", "/openai/files/f?api-version=1", "/v1/files/{id}")
	f("GET", "/responses/r", "/v1/responses/{id}")
	f("GET", "/openai/deployments/d/files/f", "unknown_path")
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
	f("/v1/messages/other", Anthropic, ": it serves /v1/chat/completions, /v1/responses, /v1/messages, /v1/embeddings, /v1/models and other paths of OpenAI's and Anthropic's APIs. Case, slashes and escapes in a path must match exactly")
}

// Every operation is found by its path, and by the kind of body that it takes.
func TestEndpoints(t *testing.T) {
	for i := range endpoints {
		e := &endpoints[i]
		content := map[bool]string{false: JSONType, true: formType}[e.Multipart]
		if e.Index != i || EndpointAt(e.Path).In(content, false) != e {
			t.Errorf("%s with %s is not found", e.Path, content)
		}
	}
}

// Every operation on what is stored is found by its line, its dialect and its body.
func TestStoredEndpoints(t *testing.T) {
	for e := range StoredEndpoints() {
		content := map[bool]string{false: JSONType, true: formType}[e.Multipart]
		found := findStored(e.Method, strings.ReplaceAll(e.Path[len(PathPrefix):], idSegment, "x-1"))
		if found == nil || found.In(content, e.Format == Anthropic) != e {
			t.Errorf("%s %s (%s, %s) is not found", e.Method, e.Path, e.Format, content)
		}
		if !IsStored(e.Operation) {
			t.Errorf("%s is not stored", e.Operation)
		}
	}
	for e := range Endpoints() {
		if IsStored(e.Operation) {
			t.Errorf("%s of %s is the name of what is stored, too", e.Operation, e.Path)
		}
	}
}
