package config

import "strings"

// RedactQuery returns a URL in which the values of query parameters that are credentials
// are replaced by "[redacted]".
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
