// Package header is the table of what happens to the headers of a request, by name. Envoy's
// filters, the request path, expressions and explain all follow it.
//
// It reads no requests and makes no decisions. It may import only metadata, for the names
// that Weir and Envoy share, and llm, for the headers that carry keys. Package policy
// decides which response headers pass.
package header

import (
	"iter"
	"slices"
	"strings"

	"weir/llm"
	"weir/metadata"
)

// Rule defines what happens to the request headers with certain names:
//
//   - Package xds turns the rules into filters: what Envoy removes on arrival, what it does
//     not show to Weir, and what it removes before every provider.
//   - Policy.Admit reads requests by the rules, and Policy.Header decides what passes.
//   - Expressions can read a header if Readable returns true.
//   - Explain shows the headers that reach a provider.
//
// For example, a client's x-envoy-max-retries is an instruction to Envoy. Its rule has
// Internal set, so Envoy removes the header before anything reads it.
type Rule struct {
	// OneHop headers concern one connection (RFC 9110 7.6.1). Envoy removes them.
	OneHop bool
	// Internal headers are for Envoy and Weir to set. A client's are removed on arrival.
	Internal bool
	// Added headers are in every request because Envoy adds them. They do not count
	// against the client's limits.
	Added bool
	// Hidden headers are not shown to Weir.
	Hidden bool
	// Pseudo headers are the request line (RFC 9113 8.3), which is decided here.
	// Expressions read it elsewhere.
	Pseudo bool
	// Credential headers may hold a credential. Expressions cannot read them, so that no
	// decision, header or log contains one.
	Credential bool
	// Reserved headers cannot be set by a configuration.
	Reserved bool
	// Passes defines which providers receive the header.
	Passes Passing
}

// Passing defines which providers receive a client's header.
type Passing uint8

const (
	// WhereNamed: the providers whose configuration names the header.
	WhereNamed Passing = iota
	// Always: every provider.
	Always
	// Never: no provider. The filters of every cluster remove the header.
	Never
	// Replaced: every provider receives the gateway's own.
	Replaced
)

// named is a row of the table: names in lower case, and their rule. A name that ends in
// '*' matches all names with that prefix.
type named struct {
	names []string
	Rule
}

// rules is the table. A header that no rule names has the zero rule: it may
// choose another model, deployment, account or method at some provider, so it
// passes only where a configuration names it.
var rules = []named{
	{[]string{":*"}, Rule{Pseudo: true, Passes: Replaced}},
	{[]string{metadata.HopHeader}, Rule{Reserved: true, Passes: Replaced}},

	// One connection.
	{[]string{"connection", "keep-alive", "proxy-connection", "upgrade", "host", "transfer-encoding"}, Rule{OneHop: true, Reserved: true}},
	{[]string{"trailer"}, Rule{Reserved: true}},
	{[]string{"expect"}, Rule{Reserved: true, Passes: Never}}, // addressed to the gateway; Envoy itself takes out 100-continue only

	// What describes the message.
	{[]string{"content-type", "content-length", "content-encoding", "te"}, Rule{Reserved: true, Passes: Always}},
	{[]string{"content-language", "user-agent", "accept*"}, Rule{Passes: Always}},

	// What the APIs of OpenAI, Anthropic, OpenRouter and their SDKs define, and trace
	// context (https://www.w3.org/TR/trace-context).
	{[]string{
		"anthropic-*", "openai-beta", "x-stainless-*", "idempotency-key", metadata.SentIDHeader,
		"x-goog-api-client", "http-referer", "x-title", "x-app",
		"sec-fetch-mode", // of every request of Node's fetch
		"traceparent", "tracestate",
	}, Rule{Passes: Always}},

	// Instructions to Envoy and Weir, and what proxies state about the client. Envoy
	// takes the scheme of a request from x-forwarded-proto.
	{[]string{"x-forwarded-*"}, Rule{Reserved: true, Passes: Never}},
	{[]string{"x-envoy-*"}, Rule{Internal: true, Added: true, Reserved: true, Passes: Never}},
	{[]string{"x-weir-*"}, Rule{Internal: true, Reserved: true, Passes: Never}},
	{[]string{metadata.ProviderHeader}, Rule{Reserved: true, Passes: Never}}, // the client's choice: see Policy.planStored
	{[]string{metadata.ClientIDHeader}, Rule{Internal: true, Added: true, Reserved: true, Passes: Never}},
	{[]string{"x-request-id"}, Rule{Internal: true, Added: true, Passes: Always}},
	{[]string{"http2-settings"}, Rule{Internal: true}},
	{[]string{"x-forwarded-proto"}, Rule{Internal: true, Added: true, Reserved: true, Passes: Never}},

	// Credentials of the client or of another attempt.
	{llm.CredentialHeaders(), Rule{Credential: true, Passes: Never}},
	{[]string{"cookie"}, Rule{Hidden: true, Credential: true, Passes: Never}},
	{[]string{"proxy-authorization"}, Rule{Credential: true, Passes: Never}},
	{[]string{
		"x-auth-token", "ocp-apim-subscription-key", "x-amz-security-token",
		// Account selectors, which only make sense with the client's own credential.
		"openai-organization", "openai-project", "x-goog-user-project",
		// What proxies in front of the gateway add about the client, as in
		// x-forwarded-for.
		"forwarded", "via", "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip",
		"cf-access-client-secret", "cf-access-jwt-assertion", "x-goog-iap-jwt-assertion", "x-amzn-oidc-accesstoken", "x-amzn-oidc-data",
		// Some servers use these as the method and the path, which are decided here.
		"x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url",
	}, Rule{Passes: Never}},
}

// All returns the names of the table with their rules, in its order. A name that ends in
// '*' matches all names with that prefix.
func All() iter.Seq2[string, Rule] {
	return func(yield func(string, Rule) bool) {
		for i := range rules {
			for _, name := range rules[i].names {
				if !yield(name, rules[i].Rule) {
					return
				}
			}
		}
	}
}

// RuleOf returns the rule for a header, by its name in lower case.
func RuleOf(name string) Rule {
	if rule, ok := index.exact[name]; ok {
		return rule
	}
	for i := range index.prefixes {
		if p := &index.prefixes[i]; strings.HasPrefix(name, p.prefix) {
			return p.rule
		}
	}
	return Rule{}
}

// index finds the rule for a name.
var index = func() (index struct {
	exact    map[string]Rule
	prefixes []pattern
	added    []pattern
}) {
	index.exact = map[string]Rule{}
	for name, rule := range All() {
		prefix, all := strings.CutSuffix(name, "*")
		if all {
			index.prefixes = append(index.prefixes, pattern{prefix, all, rule})
		} else {
			index.exact[name] = rule
		}
		if rule.Added {
			index.added = append(index.added, pattern{prefix, all, rule})
		}
	}
	return index
}()

// pattern is a name of the table, or, if all is set, a prefix of names.
type pattern struct {
	prefix string
	all    bool
	rule   Rule
}

// IsAdded reports whether RuleOf(name).Added is set. Comparing the few names is faster
// than finding the rule, and the request path does it for every header.
func IsAdded(name string) bool {
	for i := range index.added {
		if p := &index.added[i]; name == p.prefix || p.all && strings.HasPrefix(name, p.prefix) {
			return true
		}
	}
	return false
}

// With returns the names whose rules match, in the order of the table.
func With(match func(Rule) bool) []string {
	var out []string
	for name, rule := range All() {
		if match(rule) {
			out = append(out, name)
		}
	}
	return out
}

// Stripped returns what the filters of every cluster remove from requests, whatever the
// configuration says: names, and prefixes that end in '*'. No prefix covers a name.
func Stripped() (names, prefixes []string) {
	for _, name := range With(func(r Rule) bool { return r.Passes == Never }) {
		if strings.HasSuffix(name, "*") {
			prefixes = append(prefixes, name)
		} else {
			names = append(names, name)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, strings.TrimSuffix(p, "*")) })
	})
	return names, prefixes
}

// Readable reports whether expressions can read the header.
func (r Rule) Readable() bool { return !r.Pseudo && !r.Credential }
