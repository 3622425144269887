package llm

import (
	"iter"
	"strings"
)

// Stored operations concern what a provider keeps: a response, a file, a batch. Their
// requests name no model, and only the provider that has the object can serve them. So they
// go to one provider, which the client or the configuration names, and to no other if it
// fails.
//
// Only what is listed here is served. Each {id} of a path stands for one segment that isID
// accepts.

// storedAPI is an API of which a client can store something.
type storedAPI struct {
	operation string
	format    Format
	surface   Surface
	rows      []string // the method, "form" if the body is one, and the path
}

// storedAPIs come from the OpenAI API reference, version 2.3.0 of its description
// (https://platform.openai.com/docs/api-reference), and the Anthropic API reference
// (https://docs.anthropic.com/en/api).
var storedAPIs = [...]storedAPI{
	{"responses", OpenAI, Responses, []string{
		"GET /v1/responses/{id}", "DELETE /v1/responses/{id}", "POST /v1/responses/{id}/cancel", "GET /v1/responses/{id}/input_items",
	}},
	{"conversations", OpenAI, Responses, []string{
		"POST /v1/conversations",
		"GET /v1/conversations/{id}", "POST /v1/conversations/{id}", "DELETE /v1/conversations/{id}",
		"GET /v1/conversations/{id}/items", "POST /v1/conversations/{id}/items",
		"GET /v1/conversations/{id}/items/{id}", "DELETE /v1/conversations/{id}/items/{id}",
	}},
	{"files", OpenAI, "", filesRows},
	{"files", Anthropic, "", filesRows},
	{"uploads", OpenAI, "", []string{
		"POST /v1/uploads", "POST form /v1/uploads/{id}/parts", "POST /v1/uploads/{id}/complete", "POST /v1/uploads/{id}/cancel",
	}},
	{batches, OpenAI, "", []string{
		"GET /v1/batches", "POST /v1/batches", "GET /v1/batches/{id}", "POST /v1/batches/{id}/cancel",
	}},
	{batches, Anthropic, Messages, []string{
		"GET /v1/messages/batches", "POST /v1/messages/batches", "GET /v1/messages/batches/{id}", "DELETE /v1/messages/batches/{id}",
		"POST /v1/messages/batches/{id}/cancel", "GET /v1/messages/batches/{id}/results",
	}},
	{"containers", OpenAI, "", []string{
		"GET /v1/containers", "POST /v1/containers", "GET /v1/containers/{id}", "DELETE /v1/containers/{id}",
		"GET /v1/containers/{id}/files", "POST form /v1/containers/{id}/files", "POST /v1/containers/{id}/files",
		"GET /v1/containers/{id}/files/{id}", "DELETE /v1/containers/{id}/files/{id}", "GET /v1/containers/{id}/files/{id}/content",
	}},
	{"vector_stores", OpenAI, "", []string{
		"GET /v1/vector_stores", "POST /v1/vector_stores",
		"GET /v1/vector_stores/{id}", "POST /v1/vector_stores/{id}", "DELETE /v1/vector_stores/{id}", "POST /v1/vector_stores/{id}/search",
		"GET /v1/vector_stores/{id}/files", "POST /v1/vector_stores/{id}/files",
		"GET /v1/vector_stores/{id}/files/{id}", "POST /v1/vector_stores/{id}/files/{id}", "DELETE /v1/vector_stores/{id}/files/{id}",
		"GET /v1/vector_stores/{id}/files/{id}/content",
		"POST /v1/vector_stores/{id}/file_batches", "GET /v1/vector_stores/{id}/file_batches/{id}",
		"POST /v1/vector_stores/{id}/file_batches/{id}/cancel", "GET /v1/vector_stores/{id}/file_batches/{id}/files",
	}},
}

// batches is the operation whose requests name models in a file, or inside of a list.
const batches = "batches"

// EndpointField is the body key of a new batch that names the operation of its requests.
const EndpointField = "endpoint"

var filesRows = []string{
	"GET /v1/files", "POST form /v1/files", "GET /v1/files/{id}", "DELETE /v1/files/{id}", "GET /v1/files/{id}/content",
}

// storedOperations are the rows of storedAPIs. Among equal methods and paths, the first one
// leads to the others.
var storedOperations = func() (out []*Endpoint) {
	byLine := map[string]*Endpoint{}
	for i := range storedAPIs {
		api := &storedAPIs[i]
		for _, row := range api.rows {
			method, path, _ := strings.Cut(row, " ")
			path, form := strings.CutPrefix(path, "form ")
			e := &Endpoint{
				Path: path, Method: method, Format: api.format, Surface: api.surface, Operation: api.operation, Multipart: form,
				Index: -1, Stored: true, OwnModels: api.operation == batches,
				Content: method == "GET" && (strings.HasSuffix(path, "/content") || strings.HasSuffix(path, "/results")),
			}
			out = append(out, e)
			switch first := byLine[method+path]; {
			case first == nil:
				byLine[method+path] = e
			case first.Format == e.Format:
				first.json = e
			default:
				first.anthropic = e
			}
		}
	}
	return out
}()

// StoredEndpoints yields the operations on what providers store. They are shared: do not
// change them.
func StoredEndpoints() iter.Seq[*Endpoint] {
	return func(yield func(*Endpoint) bool) {
		for _, e := range storedOperations {
			if !yield(e) {
				return
			}
		}
	}
}

// findStored returns the operation with a method and the rest of a path after PathPrefix, or
// nil. The path of another operation is none with an {id}: no object is called compact.
func findStored(method, name string) *Endpoint {
	if endpointByName[name] != nil {
		return nil
	}
	for _, e := range storedOperations {
		if e.Method == method && e.matches(name) {
			return e
		}
	}
	return nil
}

const idSegment = "{id}"

// matches reports whether the rest of a path after PathPrefix is one of the operation.
func (e *Endpoint) matches(path string) bool {
	pattern := e.Path[len(PathPrefix):]
	for pattern != "" || path != "" {
		var want, got string
		var more, moreOfPath bool
		want, pattern, more = strings.Cut(pattern, "/")
		got, path, moreOfPath = strings.Cut(path, "/")
		if more != moreOfPath || want != got && (want != idSegment || !isID(got)) {
			return false
		}
	}
	return true
}

// maxID is the length of the longest id in a path.
const maxID = 512

// isID reports whether a segment of a path can be the id of an object: letters, digits and
// "-_.:=", where the last three do not begin it. So it needs no escapes, is not "." or "..",
// and every server reads it as the same one segment.
func isID(s string) bool {
	for i := range len(s) {
		c := s[i]
		plain := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_'
		if !plain && (i == 0 || c != '.' && c != ':' && c != '=') {
			return false
		}
	}
	return s != "" && len(s) <= maxID
}

// TakesBody reports whether a request of the operation may have a body, and must have one.
func (e *Endpoint) TakesBody() (may, must bool) {
	return !e.Stored || e.Method == "POST", !e.Stored || e.Multipart
}

// IsStored reports whether an operation, by its name, concerns what a provider stores. The
// usage in its responses is that of an earlier request.
func IsStored(operation string) bool {
	for i := range storedAPIs {
		if storedAPIs[i].operation == operation {
			return true
		}
	}
	return false
}
