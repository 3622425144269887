package llm

import (
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
)

// Surface is one API of a format, named as in configurations.
type Surface string

// The surfaces that a configuration can name. Other endpoints have an empty Surface: they
// are served by providers that list a format without surfaces.
const (
	ChatCompletions Surface = "chat-completions"
	Responses       Surface = "responses"
	Messages        Surface = "messages"
	Completions     Surface = "completions"
	Embeddings      Surface = "embeddings"
)

// Endpoint is one API operation, with what distinguishes it from the others: which errors
// its clients parse, which providers can serve it, and what its responses look like. The
// request of most names a model. For example:
//
//	Endpoint{Path: "/v1/messages", Format: Anthropic, Surface: Messages, Operation: "chat", Response: KindMessages}
//
// That of a Stored one does not: see stored.go.
type Endpoint struct {
	// Path is exact. In that of a Stored operation, each {id} stands for one segment.
	Path      string
	Format    Format
	Surface   Surface
	Multipart bool
	// Operation is the value of OpenTelemetry's gen_ai.operation.name
	// (https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/),
	// or a name in its style where it has none.
	Operation string
	// Response is what successful responses look like.
	Response ResponseKind
	// Index is the position among Endpoints, so that what belongs to endpoints is a list.
	// Stored operations have none.
	Index int

	// Method is that of a Stored operation. All others are POST.
	Method string
	// Stored is set if the operation concerns what one provider keeps.
	Stored bool
	// OwnModels is set if the provider reads the models to use from what it keeps, or
	// from a part of the request that Weir does not read.
	OwnModels bool
	// Content is set if the response is what was stored, and not about it: it can be large.
	Content bool

	json      *Endpoint // the same operation with a JSON body, of one that takes a form
	anthropic *Endpoint // the same operation in Anthropic's dialect
}

// In returns the operation with the same path that a request asks for by its other
// headers: its Content-Type, and whether it has an anthropic-version.
func (e *Endpoint) In(contentType string, anthropic bool) *Endpoint {
	if anthropic && e.anthropic != nil {
		e = e.anthropic
	}
	if e.json != nil && MediaOf(contentType) == MediaJSON {
		e = e.json
	}
	return e
}

// endpoints come from the OpenAI API reference
// (https://platform.openai.com/docs/api-reference) and the Anthropic API
// reference (https://docs.anthropic.com/en/api); /v1/rerank is the shape that
// vLLM, Jina and Cohere share, and /v2/rerank that of Cohere's second version, which vLLM
// has too (https://docs.cohere.com/reference/rerank,
// https://docs.vllm.ai/en/stable/serving/openai_compatible_server). An operation with a form
// and a JSON body has two rows; that of the form comes first.
var endpoints = [...]Endpoint{
	{Path: ChatCompletionsPath, Format: OpenAI, Surface: ChatCompletions, Operation: "chat", Response: KindChat},
	{Path: "/v1/responses", Format: OpenAI, Surface: Responses, Operation: "chat", Response: KindResponses},
	{Path: "/v1/responses/compact", Format: OpenAI, Surface: Responses, Operation: "compaction", Response: KindJSON},
	{Path: "/v1/responses/input_tokens", Format: OpenAI, Surface: Responses, Operation: countTokens, Response: KindJSON},
	{Path: "/v1/completions", Format: OpenAI, Surface: Completions, Operation: "text_completion", Response: KindChat},
	{Path: "/v1/embeddings", Format: OpenAI, Surface: Embeddings, Operation: embeddings, Response: KindJSON},
	{Path: "/v1/moderations", Format: OpenAI, Operation: moderation, Response: KindJSON},
	{Path: "/v1/images/generations", Format: OpenAI, Operation: "image_generation", Response: KindJSON},
	{Path: "/v1/images/edits", Format: OpenAI, Multipart: true, Operation: "image_edit", Response: KindJSON},
	{Path: "/v1/images/edits", Format: OpenAI, Operation: "image_edit", Response: KindJSON},
	{Path: "/v1/images/variations", Format: OpenAI, Multipart: true, Operation: "image_variation", Response: KindJSON},
	{Path: "/v1/images/variations", Format: OpenAI, Operation: "image_variation", Response: KindJSON},
	{Path: "/v1/audio/speech", Format: OpenAI, Operation: "speech"},
	{Path: "/v1/audio/transcriptions", Format: OpenAI, Multipart: true, Operation: "transcription"},
	{Path: "/v1/audio/translations", Format: OpenAI, Multipart: true, Operation: "translation"},
	{Path: "/v1/rerank", Format: OpenAI, Operation: rerank, Response: KindJSON},
	{Path: "/v2/rerank", Format: OpenAI, Operation: rerank, Response: KindJSON},
	{Path: MessagesPath, Format: Anthropic, Surface: Messages, Operation: "chat", Response: KindMessages},
	{Path: CountTokensPath, Format: Anthropic, Surface: Messages, Operation: countTokens, Response: KindJSON},
}

// The operations whose tokens are all input, and the one that uses none.
const (
	embeddings  = "embeddings"
	rerank      = "rerank"
	moderation  = "moderation"
	countTokens = "count_tokens"
)

// endpointByName has the operations by their paths without /v1.
var endpointByName = func() map[string]*Endpoint {
	m := make(map[string]*Endpoint, len(endpoints))
	for i := range endpoints {
		e := &endpoints[i]
		e.Index = i
		name := strings.TrimPrefix(e.Path, PathPrefix)
		if form := m[name]; form != nil {
			form.json = e
		} else {
			m[name] = e
		}
	}
	return m
}()

// EndpointCount is the number of operations: each Index is below it.
const EndpointCount = len(endpoints)

// Endpoints yields all operations, in the order of their Index. They are shared: do not
// change them.
func Endpoints() iter.Seq[*Endpoint] {
	return func(yield func(*Endpoint) bool) {
		for i := range endpoints {
			if !yield(&endpoints[i]) {
				return
			}
		}
	}
}

// Surfaces returns the surfaces of a format that a configuration can name.
func Surfaces(f Format) []Surface {
	var out []Surface
	for _, e := range endpoints {
		if e.Format == f && e.Surface != "" && !slices.Contains(out, e.Surface) {
			out = append(out, e.Surface)
		}
	}
	return out
}

// EndpointAt returns the operation with a path, or nil if there is none.
func EndpointAt(path string) *Endpoint {
	if e := endpointByName[strings.TrimPrefix(path, PathPrefix)]; e != nil && e.Path == path {
		return e
	}
	return nil
}

// Route is what a request line requests: an operation, the list of models (ModelID is
// empty) or one of them, or nothing but whether the gateway is there. Exactly one of
// Endpoint, Models and Presence is set, unless FindRoute failed.
type Route struct {
	Endpoint *Endpoint
	// Path is that of the operation, with the ids of a Stored one in their places.
	Path    string
	Models  bool
	ModelID string
	// Deployment is the model that the path names, as Azure's clients do: the model of a
	// request whose body has none.
	Deployment string
	// Presence is set for requests that clients of all kinds use to find out whether a
	// server is there: GET and HEAD of /, and OPTIONS. Allow are the methods that an
	// OPTIONS asked for.
	Presence bool
	Allow    string
	// Query is the client's query, without the api-version of Azure's clients.
	Query string
	// Operation is that of the Endpoint, "models" or "presence".
	Operation string
	// Format is the shape of errors; it is known even if the path is unknown.
	Format Format
}

// PathPrefix begins all paths.
const PathPrefix = "/v1"

// The paths that need special treatment. MessagesPath begins the paths of Anthropic's API.
// CountTokensPath is that of an operation whose response has no length to limit. ModelsPath
// lists the models; a model's id may follow after a slash.
const (
	ChatCompletionsPath = PathPrefix + "/chat/completions"
	MessagesPath        = PathPrefix + messagesName
	CountTokensPath     = MessagesPath + "/count_tokens"
	ModelsPath          = PathPrefix + modelsName

	messagesName = "/messages"
	modelsName   = "/models"
)

// MessagesPattern is a regular expression for the whole of a request target whose client is
// one of Anthropic's API, where nothing else is known of the request.
const MessagesPattern = "(" + PathPrefix + "){0,2}" + messagesName + "([/?].*)?"

// formatOf returns the format of the errors that the client of a path expects that is not
// an operation's.
func formatOf(path string) Format {
	if path += "/"; strings.HasPrefix(path, messagesName+"/") || strings.Contains(path, MessagesPath+"/") {
		return Anthropic
	}
	return OpenAI
}

// azurePrefix begins the paths of Azure's clients: /openai/v1/NAME, /openai/NAME, or
// /openai/deployments/MODEL/NAME, with the name of an operation
// (https://learn.microsoft.com/azure/ai-services/openai/reference).
const (
	azurePrefix      = "/openai"
	azureDeployments = "/deployments/"
)

// operationIn returns the name of the operation in a path, which is what follows /v1 in
// OpenAI's reference, and the model that the path names, if any. Clients whose base URL has
// no /v1, or has it twice, request the same operations, as do Azure's. Only whole prefixes
// are removed; what is left is compared as bytes.
func operationIn(path string) (name, model string) {
	rest, azure := strings.CutPrefix(path, azurePrefix)
	if !azure {
		return strings.TrimPrefix(strings.TrimPrefix(path, PathPrefix), PathPrefix), ""
	}
	deployment, ok := strings.CutPrefix(rest, azureDeployments)
	if !ok {
		return strings.TrimPrefix(rest, PathPrefix), ""
	}
	if name = operationAtEnd(deployment); name == "" {
		return "", ""
	}
	model, err := url.PathUnescape(strings.TrimSuffix(deployment, name))
	if err != nil || model == "" {
		return "", ""
	}
	return name, model
}

// withoutVersion removes the version of Azure's API, in whose place the gateway answers,
// from a query. A provider has a version of its own, or refuses the parameter.
func withoutVersion(query string) string {
	params := strings.Split(query, "&")
	return strings.Join(slices.DeleteFunc(params, func(p string) bool {
		name, _, _ := strings.Cut(p, "=")
		return strings.EqualFold(name, "api-version")
	}), "&")
}

// operationAtEnd returns the longest name of an operation that a path ends in.
func operationAtEnd(path string) (name string) {
	for n := range endpointByName {
		if len(n) > len(name) && strings.HasSuffix(path, n) {
			name = n
		}
	}
	return name
}

// FindRoute reads a request line. Paths are compared as bytes: nothing is decoded, cleaned
// or joined, so that no path can be mistaken for another. The error has the code
// MethodNotAllowed for a path with other methods, and UnknownPath otherwise: it then says how
// to set the client's base URL if that seems to be wrong.
func FindRoute(method, target string) (Route, error) {
	path, query, _ := strings.Cut(target, "?")
	r := Route{Query: query, Format: OpenAI, Operation: "unknown"}
	name, model := operationIn(path)
	if query != "" && strings.HasPrefix(path, azurePrefix) {
		r.Query = withoutVersion(query)
	}
	if e := endpointByName[name]; e != nil && method == "POST" {
		r.Endpoint, r.Path, r.Operation, r.Format, r.Deployment = e, e.Path, e.Operation, e.Format, model
		return r, nil
	}
	if method == "CONNECT" {
		return r, Errorf(NotImplemented, "CONNECT is not supported: the gateway is not a forward proxy. Use its address as the base URL of the API, not as a proxy")
	}
	if id, ok := strings.CutPrefix(name, modelsName); ok && (id == "" || id[0] == '/') && method == "GET" {
		r.Models, r.Operation = true, "models"
		if id != "" {
			var err error
			if r.ModelID, err = url.PathUnescape(id[1:]); err != nil || r.ModelID == "" {
				return r, Errorf(UnknownPath, "%q is not a path of this gateway", Clip(path))
			}
		}
		return r, nil
	}
	if e := findStored(method, name); e != nil {
		r.Endpoint, r.Path, r.Operation, r.Format = e, PathPrefix+name, e.Operation, e.Format
		return r, nil
	}
	r.Format = formatOf(path)
	if e := endpointByName[name]; e != nil {
		r.Format = e.Format
	}
	allow := methodsOf(path, name)
	switch {
	case path == "/" && (method == "GET" || method == "HEAD"):
		r.Presence, r.Operation = true, "presence"
		return r, nil
	case allow != "" && method == "OPTIONS":
		r.Presence, r.Allow, r.Operation = true, allow, "presence"
		return r, nil
	case allow != "" && path != "/":
		// A POST to / comes from a client with a wrong base URL, which learns more below.
		return r, &Error{Code: MethodNotAllowed, Allow: allow, Message: fmt.Sprintf("%s %s is not an operation of this gateway: use %s", Clip(method), Clip(path), strings.ReplaceAll(allow, ", ", " or "))}
	}
	if name := operationAtEnd(strings.TrimRight(path, "/")); name != "" {
		return r, Errorf(UnknownPath, "%q is not a path of this gateway; did you mean %s? Check the client's base URL. Case, slashes and escapes in a path must match exactly", Clip(path), endpointByName[name].Path)
	}
	return r, Errorf(UnknownPath, "%q is not a path of this gateway: it serves /v1/chat/completions, /v1/responses, /v1/messages, /v1/embeddings, /v1/models and other paths of OpenAI's and Anthropic's APIs. Case, slashes and escapes in a path must match exactly", Clip(path))
}

// methodsOf returns the methods of a path, as in the header Allow. name is that of its
// operation. It is empty for a path that is not served.
func methodsOf(path, name string) string {
	switch {
	case path == "/":
		return "GET, HEAD, OPTIONS"
	case endpointByName[name] != nil:
		return "POST"
	case name == modelsName || strings.HasPrefix(name, modelsName+"/") && len(name) > len(modelsName)+1:
		return "GET"
	}
	var methods []string
	for e := range StoredEndpoints() {
		if e.matches(name) && !slices.Contains(methods, e.Method) {
			methods = append(methods, e.Method)
		}
	}
	return strings.Join(methods, ", ")
}
