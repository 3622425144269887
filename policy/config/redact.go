package config

import "strings"

// RedactQuery hides the values of those parameters of a URL whose name
// is that of a credential.
func RedactQuery(raw string) string {
	url, query, ok := strings.Cut(raw, "?")
	if !ok {
		return raw
	}
	params := strings.Split(query, "&")
	for i, p := range params {
		if name, _ := ParamName(p); IsQueryCredential(name) {
			written, _, _ := strings.Cut(p, "=")
			params[i] = written + "=" + Redacted
		}
	}
	return url + "?" + strings.Join(params, "&")
}
