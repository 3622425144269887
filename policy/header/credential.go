package header

import "strings"

// ClientCredentials are the request headers that can hold a client's
// credential, in the order in which Weir looks for one: those of the OpenAI, Anthropic,
// Google and Azure clients.
var ClientCredentials = [...]string{"authorization", "x-api-key", "x-goog-api-key", "api-key"}

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
