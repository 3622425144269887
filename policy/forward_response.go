package policy

import (
	"slices"
	"strings"
)

// returned are the headers of a provider's response that pass to clients: what describes the
// content, what OpenAI, Anthropic, Azure and others report about a request, its limits and
// its route, and what a client needs to retry. All others are removed: a provider may
// repeat the headers of the request, including the key, under any name.
var returned = []string{
	"content-type", "content-length", "content-encoding", "content-language", "content-disposition", "content-range", "content-md5", "digest", "content-digest",
	"transfer-encoding", "date", "age", "etag", "last-modified", "expires", "cache-control", "pragma", "vary", "accept-ranges",
	"server", "via", "warning", "deprecation", "sunset", "x-accel-buffering",
	"retry-after", "retry-after-ms", "x-should-retry",
	"ratelimit", "ratelimit-*", "x-ratelimit-*", "x-rate-limit-*", "anthropic-*", "openai-*", "x-openai-*",
	"x-request-id", "request-id", "x-requestid", "x-correlation-id", "correlation-id", "x-trace-id", "traceparent", "traceresponse", "x-generation-id",
	"apim-request-id", "x-ms-*", "azureml-*", "ms-azureml-*", "x-amzn-requestid", "x-amz-request-id", "x-amzn-bedrock-*", "x-cloud-trace-context",
	"cf-ray", "cf-cache-status", "x-vercel-id", "x-groq-*", "x-openrouter-*", "x-together-*", "x-fireworks-*", "fireworks-*", "x-mistral-*", "mistral-*", "x-deepseek-*", "x-ds-trace-id",
	"x-compute-*", "x-inference-*", "x-prompt-tokens", "x-generated-tokens", "x-total-tokens", "x-total-time", "x-queue-time", "x-time-per-token", "x-validation-time",
	"nvcf-*", "x-process-time", "x-processing-time", "x-response-time", "x-runtime", "x-served-by", "x-cache", "x-model", "x-model-id", "x-model-version",
}

// ReturnedHeaders returns the names of the headers of any provider that pass to clients. A
// name that ends in '*' matches all names with that prefix.
func ReturnedHeaders() []string { return slices.Clone(returned) }

// neverReturnedRule is a kind of response headers that never pass.
type neverReturnedRule struct {
	names  []string
	reason string
}

// neverReturnedRules are kinds of headers that a browser applies to the origin, which is the
// gateway and not the provider, or that carry or request a credential. The configuration
// cannot allow them.
var neverReturnedRules = []neverReturnedRule{
	{[]string{"set-cookie", "set-cookie2", "cookie", "cookie2"}, "clients would send the cookie to the gateway with requests to other providers"},
	{[]string{"www-authenticate", "authentication-info", "authorization", "proxy-*", "x-api-key", "api-key", "x-goog-api-key", "x-auth-token", "x-amz-security-token", "x-csrf-token"}, "it carries a credential, or asks the client for one that is not the gateway's"},
	{[]string{"strict-transport-security", "public-key-pins", "public-key-pins-report-only", "expect-ct", "alt-svc", "alt-used", "upgrade", "http2-settings", "upgrade-insecure-requests"}, "it tells clients how to reach the gateway, which only the gateway can say"},
	{[]string{"access-control-*", "cross-origin-*", "timing-allow-origin", "origin-agent-cluster", "origin-trial", "origin", "document-policy", "document-isolation-policy", "permissions-policy", "feature-policy", "content-security-policy", "content-security-policy-report-only", "x-content-security-policy", "x-webkit-csp", "x-frame-options", "x-xss-protection", "x-permitted-cross-domain-policies", "referrer-policy", "service-worker-allowed", "service-worker-navigation-preload", "speculation-rules", "supports-loading-mode", "set-login", "clear-site-data", "sourcemap", "x-sourcemap", "x-dns-prefetch-control"}, "it is an instruction to browsers about the gateway's origin"},
	{[]string{"nel", "report-to", "reporting-endpoints"}, "it makes browsers report errors of the gateway's origin to someone else"},
	{[]string{"content-location", "location", "refresh", "link", "x-accel-redirect", "x-sendfile", "x-lighttpd-send-file", "x-reproxy-url", "x-pingback", "sec-*", "accept-ch", "critical-ch", "accept-ch-lifetime", "no-vary-search"}, "it leads clients, browsers or proxies to a place that the provider chose"},
	{[]string{"connection", "keep-alive", "te", "trailer", "x-envoy-*", "x-weir-*", "x-forwarded-*", "forwarded", "x-http-method-override"}, "it concerns one connection alone, or is an instruction to a proxy"},
}

var neverReturnedNames = func() []string {
	var out []string
	for _, rule := range neverReturnedRules {
		out = append(out, rule.names...)
	}
	return out
}()

// NeverReturned returns the names of headers and trailers of a provider that never pass to
// clients. A name that ends in '*' matches all names with that prefix.
func NeverReturned() []string { return neverReturnedNames }

// neverReturned returns why a response header never passes; empty if it may.
func neverReturned(name string) string {
	for _, rule := range neverReturnedRules {
		for _, never := range rule.names {
			prefix, all := strings.CutSuffix(never, "*")
			if name == never || all && strings.HasPrefix(name, prefix) {
				return rule.reason
			}
		}
	}
	return ""
}
