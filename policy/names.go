package policy

import "strings"

// ClientCredentials are the request headers that can hold a client's
// credential, in the order in which Weir looks for one.
var ClientCredentials = []string{"authorization", "x-api-key", "x-goog-api-key"}

// Credential takes the key out of one of these headers: Authorization carries
// it after the word Bearer (RFC 6750 2.1), the others are the key.
func Credential(header, value string) string {
	if header != "authorization" {
		return value
	}
	scheme, token, ok := strings.Cut(value, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// strippedHeaders never reach a provider, whoever set them: credentials of
// the client or of another attempt, and the account selectors that only make
// sense with the client's own credential.
var strippedHeaders = []string{
	"authorization", "x-api-key", "x-goog-api-key", "api-key",
	"x-auth-token", "ocp-apim-subscription-key", "x-amz-security-token",
	"proxy-authorization", "cookie", "forwarded", "via",
	// What proxies in front of the gateway say of who the client is.
	"cf-access-client-secret", "cf-access-jwt-assertion", "x-goog-iap-jwt-assertion", "x-amzn-oidc-accesstoken", "x-amzn-oidc-data",
	"x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip", // as x-forwarded-for
	"openai-organization", "openai-project", "x-goog-user-project",
	// Some servers take these for the method and the path, which are decided here.
	"x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url",
	"expect", // addressed to the gateway; Envoy itself takes out 100-continue only
}

// StrippedPrefixes are the families of headers that never reach a provider.
var StrippedPrefixes = []string{"x-forwarded-", "x-envoy-", "x-weir-"}
