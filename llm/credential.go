package llm

import "strings"

// The headers that carry a key.
const (
	authorization   = "authorization"
	anthropicHeader = "x-api-key"
	googleHeader    = "x-goog-api-key"
	azureHeader     = "api-key"
)

// bearer is the word before a key in an Authorization header (RFC 6750 2.1).
const bearer = "Bearer "

// Challenge is the WWW-Authenticate header of a response with status 401 (RFC 6750
// section 3).
const Challenge = "Bearer"

// VersionHeader is in every request of Anthropic's clients
// (https://docs.anthropic.com/en/api/versioning).
const VersionHeader = "anthropic-version"

// KeyPrefix returns what comes before the key in a header, by the header's name in lower
// case: "Bearer " for Authorization, nothing for the others.
func KeyPrefix(header string) string {
	if header == authorization {
		return bearer
	}
	return ""
}

// credentialHeaders are the request headers that can hold a client's credential, in the
// order in which Weir looks for one: those of the OpenAI, Anthropic, Google and Azure
// clients.
var credentialHeaders = [...]string{authorization, anthropicHeader, googleHeader, azureHeader}

// CredentialHeaders returns the names of the request headers that can hold a client's
// credential, in lower case.
func CredentialHeaders() []string { return append([]string(nil), credentialHeaders[:]...) }

// Credentials holds the credentials that a client sent: the first of each header that can
// hold one, in the order in which Weir tries them. For example, a client of Anthropic's API
// sends x-api-key, and one that is behind a proxy may send Authorization, too; then the
// latter comes first.
type Credentials [len(credentialHeaders)]string

// Set takes the credential out of a header, by its name in lower case. It ignores headers
// that hold none, and all but the first with a name.
func (c *Credentials) Set(name, value string) {
	for i, header := range credentialHeaders {
		if name == header && c[i] == "" {
			c[i] = credential(name, value)
		}
	}
}

// Anthropic reports whether a request for an unknown path is probably one of Anthropic's
// clients: it has a credential in their header, and the path has the name of their API.
func (c *Credentials) Anthropic(path string) bool {
	return c[1] != "" && strings.Contains(path, messagesName)
}

// First returns the first credential, empty if there is none.
func (c *Credentials) First() string {
	for _, credential := range c {
		if credential != "" {
			return credential
		}
	}
	return ""
}

// credential returns the key in a header: in Authorization it follows the word Bearer, in
// any case; any other header is the key.
func credential(header, value string) string {
	if header != authorization {
		return value
	}
	scheme, token, ok := strings.Cut(value, " ")
	if !ok || !strings.EqualFold(scheme, strings.TrimSpace(bearer)) {
		return ""
	}
	return strings.TrimSpace(token)
}
