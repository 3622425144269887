package llm

import (
	"path"
	"slices"
	"strings"
)

// host is what differs at a known provider from other providers with the same format.
type host struct {
	// name is the host name, or "*." and the domain that it is in. path, unless empty, is
	// the path of base URLs that the row is for, where * stands for one segment; the path
	// "/" is for base URLs without one.
	name, path string
	// formats and surfaces are those that the row is for; none: all.
	formats  []Format
	surfaces []Surface
	// versions says whether /v1 comes between the base URL and the name of an operation.
	versions versions
	// keyHeader, unless empty, carries the provider's key.
	keyHeader string
	// source is where the provider documents it.
	source string
}

type versions int

const (
	byBasePath versions = iota // what the base path tells: see config.Join
	never
	always
)

// hosts are the known providers that differ from what Weir assumes of others, as documented
// on 2026-12-01. The first row that is for a request and has a value decides. Providers that need no row, because their base URLs have a version:
// Vertex AI (…/v1/projects/P/locations/L/endpoints/openapi,
// https://cloud.google.com/vertex-ai/generative-ai/docs/start/openai), Workers AI
// (https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility/) and
// Snowflake (https://docs.snowflake.com/en/user-guide/snowflake-cortex/open_ai_sdk).
var hosts = [...]host{
	{name: "models.github.ai", path: "/inference", versions: never, source: "https://docs.github.com/en/rest/models/inference"},
	{name: "models.github.ai", path: "/orgs/*/inference", versions: never, source: "https://docs.github.com/en/rest/models/inference"},
	// Azure AI Foundry. The base URLs …/openai/v1 and …/anthropic of the same hosts are
	// versioned.
	{name: "*.services.ai.azure.com", path: "/models", versions: never, source: "https://learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/endpoints"},
	{name: "*.cognitiveservices.azure.com", path: "/models", versions: never, source: "https://learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/endpoints"},
	{name: "*.inference.ai.azure.com", path: "/", versions: never, source: "https://learn.microsoft.com/dotnet/api/overview/azure/ai.inference-readme"},
	{name: "*.models.ai.azure.com", path: "/", versions: never, source: "https://pypi.org/project/azure-ai-inference"},
	{name: "*.openai.azure.com", keyHeader: azureHeader, source: "https://learn.microsoft.com/azure/ai-services/openai/reference"},
	{name: "*.services.ai.azure.com", formats: []Format{OpenAI}, keyHeader: azureHeader, source: "https://learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/endpoints"},
	{name: "*.cognitiveservices.azure.com", formats: []Format{OpenAI}, keyHeader: azureHeader, source: "https://learn.microsoft.com/azure/ai-services/openai/reference"},
	// Databricks. Its Anthropic API, at …/serving-endpoints/anthropic, is versioned.
	{name: "*.databricks.com", path: "/serving-endpoints", versions: never, source: "https://docs.databricks.com/aws/en/machine-learning/model-serving/score-foundation-models"},
	{name: "*.azuredatabricks.net", path: "/serving-endpoints", versions: never, source: "https://learn.microsoft.com/azure/databricks/machine-learning/model-serving/score-foundation-models"},
	{name: "*.databricks.com", keyHeader: authorization, source: "https://docs.databricks.com/aws/en/machine-learning/model-serving/query-anthropic-messages"},
	{name: "*.azuredatabricks.net", keyHeader: authorization, source: "https://learn.microsoft.com/azure/databricks/machine-learning/model-serving/query-anthropic-messages"},
	// Perplexity: only its chat completions are without a version.
	{name: "api.perplexity.ai", path: "/", surfaces: []Surface{ChatCompletions}, versions: never, source: "https://docs.perplexity.ai/api-reference/chat-completions-post"},
	// Cloudflare's gateway passes on what follows the name of the provider. The v1 of its
	// own path is not the version of these providers' APIs.
	{name: "gateway.ai.cloudflare.com", path: "/v1/*/*/anthropic", versions: always, source: "https://developers.cloudflare.com/ai-gateway/usage/providers/anthropic/"},
	{name: "gateway.ai.cloudflare.com", path: "/v1/*/*/mistral", versions: always, source: "https://developers.cloudflare.com/ai-gateway/usage/providers/mistral/"},
	{name: "gateway.ai.cloudflare.com", path: "/v1/*/*/workers-ai", versions: always, source: "https://developers.cloudflare.com/ai-gateway/usage/providers/workersai/"},
}

// is reports whether the row is for a host and an operation there.
func (h *host) is(name string, f Format, s Surface) bool {
	domain, wild := strings.CutPrefix(h.name, "*")
	return (name == h.name || wild && strings.HasSuffix(name, domain)) &&
		(h.formats == nil || slices.Contains(h.formats, f)) && (h.surfaces == nil || slices.Contains(h.surfaces, s))
}

// Versioned reports whether the paths of a provider have a /v1 between its base URL and the
// name of an operation, if the provider is known to differ from others. For example, GitHub's
// base URL, https://models.github.ai/inference, is followed by /chat/completions.
func (e *Endpoint) Versioned(hostName, basePath string) (versioned, known bool) {
	basePath = "/" + strings.Trim(basePath, "/")
	for i := range hosts {
		h := &hosts[i]
		if h.versions == byBasePath || !h.is(hostName, e.Format, e.Surface) {
			continue
		}
		if fits, _ := path.Match(h.path, basePath); fits {
			return h.versions == always, true
		}
	}
	return false, false
}

// KeyHeader returns the request header that carries the key of a provider with APIs of this
// format. Some providers, which host tells, have another than OpenAI or Anthropic.
func (f Format) KeyHeader(host string) string {
	for i := range hosts {
		if h := &hosts[i]; h.keyHeader != "" && h.is(host, f, "") {
			return h.keyHeader
		}
	}
	if f == Anthropic {
		return anthropicHeader
	}
	return authorization
}
