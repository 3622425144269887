package llm

// RequestHeaders returns the request headers that SDKs in a browser send: credentials, and
// what the SDKs of OpenAI and Anthropic for JavaScript add
// (https://github.com/openai/openai-node, https://github.com/anthropics/anthropic-sdk-typescript).
func RequestHeaders() []string {
	return append(CredentialHeaders(), "content-type", "accept", "idempotency-key",
		VersionHeader, "anthropic-beta", "anthropic-dangerous-direct-browser-access", "openai-beta",
		"x-stainless-arch", "x-stainless-helper-method", "x-stainless-lang", "x-stainless-os", "x-stainless-package-version",
		"x-stainless-retry-count", "x-stainless-runtime", "x-stainless-runtime-version", "x-stainless-timeout", "x-client-request-id")
}

// ResponseHeaders returns the response headers that SDKs read, apart from those of the message.
func ResponseHeaders() []string {
	return []string{
		"x-request-id", "request-id", "retry-after", "retry-after-ms", "x-should-retry",
		"x-ratelimit-limit-requests", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens",
		"x-ratelimit-reset-requests", "x-ratelimit-reset-tokens",
	}
}
