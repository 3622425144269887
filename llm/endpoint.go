package llm

import (
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

// Endpoint is one API operation whose request names a model, with what distinguishes it
// from the others: which errors its clients parse, which providers can serve it, and what its
// responses look like. For example:
//
//	Endpoint{Path: "/v1/messages", Format: Anthropic, Surface: Messages, Operation: "chat", Response: KindMessages}
type Endpoint struct {
	Path      string
	Format    Format
	Surface   Surface
	Multipart bool
	// Operation is the value of OpenTelemetry's gen_ai.operation.name
	// (https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/),
	// or a name in its style where it has none.
	Operation string
	// UsageAs is how Envoy must read the token usage of responses. It is set where Envoy
	// cannot detect that for every server: some chat servers omit `object`.
	UsageAs string
	// Response is what successful responses look like.
	Response ResponseKind
	// Index is the position among Endpoints, so that what belongs to endpoints is a list.
	Index int
}

// endpoints come from the OpenAI API reference
// (https://platform.openai.com/docs/api-reference) and the Anthropic API
// reference (https://docs.anthropic.com/en/api); /v1/rerank is the shape that
// vLLM, Jina and Cohere share.
var endpoints = [...]Endpoint{
	{Path: ChatCompletionsPath, Format: OpenAI, Surface: ChatCompletions, Operation: "chat", UsageAs: ChatUsage, Response: KindChat},
	{Path: "/v1/responses", Format: OpenAI, Surface: Responses, Operation: "chat", Response: KindResponses},
	{Path: "/v1/completions", Format: OpenAI, Surface: Completions, Operation: "text_completion", UsageAs: ChatUsage, Response: KindChat},
	{Path: "/v1/embeddings", Format: OpenAI, Surface: Embeddings, Operation: embeddings, UsageAs: ChatUsage, Response: KindJSON},
	{Path: "/v1/moderations", Format: OpenAI, Operation: "moderation", Response: KindJSON},
	{Path: "/v1/images/generations", Format: OpenAI, Operation: "image_generation", Response: KindJSON},
	{Path: "/v1/images/edits", Format: OpenAI, Multipart: true, Operation: "image_edit", Response: KindJSON},
	{Path: "/v1/images/variations", Format: OpenAI, Multipart: true, Operation: "image_variation", Response: KindJSON},
	{Path: "/v1/audio/speech", Format: OpenAI, Operation: "speech"},
	{Path: "/v1/audio/transcriptions", Format: OpenAI, Multipart: true, Operation: "transcription"},
	{Path: "/v1/audio/translations", Format: OpenAI, Multipart: true, Operation: "translation"},
	{Path: "/v1/rerank", Format: OpenAI, Operation: rerank, UsageAs: ChatUsage, Response: KindJSON},
	{Path: MessagesPath, Format: Anthropic, Surface: Messages, Operation: "chat", Response: KindMessages},
	{Path: CountTokensPath, Format: Anthropic, Surface: Messages, Operation: "count_tokens", Response: KindJSON},
}

// The operations whose tokens are all input.
const (
	embeddings = "embeddings"
	rerank     = "rerank"
)

// ChatUsage is the usage object of chat completions, which other operations of
// the OpenAI API share (prompt_tokens, completion_tokens, total_tokens).
const ChatUsage = "chat"

// endpointByName has the operations by their paths without /v1.
var endpointByName = func() map[string]*Endpoint {
	m := make(map[string]*Endpoint, len(endpoints))
	for i := range endpoints {
		endpoints[i].Index = i
		m[strings.TrimPrefix(endpoints[i].Path, PathPrefix)] = &endpoints[i]
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
	name, ok := strings.CutPrefix(path, PathPrefix)
	if !ok {
		return nil
	}
	return endpointByName[name]
}

// Route is what a request line requests: an operation with a body, the list of models
// (ModelID is empty), or one of the models. Exactly one of Endpoint and Models is set, unless
// FindRoute failed.
type Route struct {
	Endpoint *Endpoint
	Models   bool
	ModelID  string
	// Deployment is the model that the path names, as Azure's clients do: the model of a
	// request whose body has none.
	Deployment string
	// Query is the client's query, without the api-version of Azure's clients.
	Query string
	// Operation is that of the Endpoint, or "models".
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
// or joined, so that no path can be mistaken for another. The error, with the code
// UnknownPath, says how to set the client's base URL if that seems to be wrong.
func FindRoute(method, target string) (Route, error) {
	path, query, _ := strings.Cut(target, "?")
	r := Route{Query: query, Format: OpenAI, Operation: "unknown"}
	name, model := operationIn(path)
	if e := endpointByName[name]; e != nil {
		r.Format = e.Format
		if method != "POST" {
			return r, Errorf(UnknownPath, "%s %s is not an operation of this gateway: use POST", Clip(method), Clip(path))
		}
		r.Endpoint, r.Operation, r.Deployment = e, e.Operation, model
		if query != "" && strings.HasPrefix(path, azurePrefix) {
			r.Query = withoutVersion(query)
		}
		return r, nil
	}
	if method == "CONNECT" {
		return r, Errorf(NotImplemented, "CONNECT is not supported: the gateway is not a forward proxy. Use its address as the base URL of the API, not as a proxy")
	}
	if id, ok := strings.CutPrefix(name, modelsName); ok && (id == "" || id[0] == '/') {
		if method != "GET" {
			return r, Errorf(UnknownPath, "%s %s is not an operation of this gateway: use GET", Clip(method), Clip(path))
		}
		r.Models, r.Operation = true, "models"
		if id != "" {
			id, err := url.PathUnescape(id[1:])
			if err != nil || id == "" {
				return r, Errorf(UnknownPath, "%q is not a path of this gateway", Clip(path))
			}
			r.ModelID = id
		}
		return r, nil
	}
	r.Format = formatOf(path)
	if name := operationAtEnd(strings.TrimRight(path, "/")); name != "" {
		return r, Errorf(UnknownPath, "%q is not a path of this gateway; did you mean %s? Check the client's base URL. Case, slashes and escapes in a path must match exactly", Clip(path), endpointByName[name].Path)
	}
	return r, Errorf(UnknownPath, "%q is not a path of this gateway: it serves /v1/chat/completions, /v1/responses, /v1/messages, /v1/embeddings, /v1/models and other paths of OpenAI's and Anthropic's APIs. Case, slashes and escapes in a path must match exactly", Clip(path))
}
