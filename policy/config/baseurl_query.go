package config

import (
	"net/url"
	"strings"
)

// Param is a query parameter, decoded.
type Param struct{ Name, Value string }

var foldCredential = strings.NewReplacer("-", "", "_", "", ".", "")

// IsQueryCredential reports whether APIs take a credential in a query parameter of this
// name, which must be in lower case. A client's never passes: it is either the client's
// access key, which the provider must not see, or a provider key that would bypass the
// configured one. The list has token, because paging uses after, limit and page_token.
func IsQueryCredential(name string) bool {
	switch foldCredential.Replace(name) {
	case "key", "apikey", "xapikey", "xgoogapikey", "subscriptionkey", "accesskey",
		"token", "accesstoken", "authtoken", "bearertoken", "oauthtoken", "idtoken",
		"auth", "authorization", "password", "secret", "clientsecret":
		return true
	}
	return false
}

// MergeQuery returns the query that a provider receives: the parameters of the base URL,
// then the configured ones, then those of the client. A configured parameter replaces one
// of the base URL, and the client can replace neither, so that it cannot select another
// api-version. Names are compared decoded and without case, as some servers (ASP.NET) do.
//
// A client's parameter is removed if it is a credential, or if servers could read it in
// different ways: with an invalid escape, or a raw `;`, which old servers read as `&`.
func MergeQuery(base string, configured []Param, client string) string {
	if len(configured) == 0 && client == "" {
		return base
	}
	taken := make(map[string]bool, len(configured))
	var added []string
	for _, p := range configured {
		taken[strings.ToLower(p.Name)] = true
		added = append(added, escapeQuery(p.Name)+"="+escapeQuery(p.Value))
	}
	var kept []string
	fromBase := map[string]bool{}
	for raw := range strings.SplitSeq(base, "&") {
		name, ok := ParamName(raw)
		if raw == "" || ok && taken[name] {
			continue
		}
		kept = append(kept, raw)
		fromBase[name] = ok
	}
	kept = append(kept, added...)
	for raw := range strings.SplitSeq(client, "&") {
		name, ok := ParamName(raw)
		if ok && name != "" && !taken[name] && !fromBase[name] && !IsQueryCredential(name) && plainParam(raw) {
			kept = append(kept, raw)
		}
	}
	return strings.Join(kept, "&")
}

// ParamName returns the decoded name of a raw parameter in lower case. It reports whether
// the name and the value are validly escaped.
func ParamName(raw string) (string, bool) {
	name, value, _ := strings.Cut(raw, "=")
	decoded, err := url.QueryUnescape(name)
	if err != nil {
		return "", false
	}
	_, err = url.QueryUnescape(value)
	return strings.ToLower(decoded), err == nil
}

// plainParam reports whether all servers read the bytes of a raw parameter as part of it.
func plainParam(raw string) bool {
	return !strings.ContainsFunc(raw, func(r rune) bool { return r <= 0x20 || r >= 0x7f || r == ';' || r == '#' })
}

// escapeQuery escapes a name or a value. A space becomes %20, because only servers that
// read the query as a form decode + as a space.
func escapeQuery(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
