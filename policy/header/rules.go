// Package header says what becomes of the headers of a request, by their names, in one
// table for everybody who acts by them.
//
// It reads no requests and makes no decisions, and it may import only metadata, for
// the names that Weir and Envoy share, and llm, for the headers that carry keys. What passes of responses is policy's.
package header

import (
	"slices"
	"strings"

	"weir/llm"
	"weir/metadata"
)

// Rule says what becomes of the request headers with certain names:
//
//   - Package xds makes filters of the rules: what Envoy removes on arrival, what it does
//     not show to Weir, and what it removes in front of every provider.
//   - Policy.Admit reads requests by them, and Policy.Header decides what passes.
//   - Expressions can read what they let them read.
//   - Explain shows what they leave for a provider.
//
// For example, a client's x-envoy-max-retries is an instruction to Envoy. Its rule
// says Internal, so Envoy removes it before anything reads it.
type Rule struct {
	// Names are in lower case. A name that ends in '*' stands for all that begin so.
	Names []string
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
	// Credential headers may hold a credential. Expressions cannot read them: it would be
	// in a decision, a header or a log.
	Credential bool
	// Reserved headers cannot be set by a configuration.
	Reserved bool
	// Passes says which providers receive the header.
	Passes Passing
}

// Passing says which providers receive a client's header.
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

// rules is the table. A header that no rule names has the zero rule: it may
// choose another model, deployment, account or method at some provider, so it
// passes only where a configuration names it.
var rules = []Rule{
	{Names: []string{":*"}, Pseudo: true, Passes: Replaced},
	{Names: []string{metadata.HopHeader}, Reserved: true, Passes: Replaced},

	// One connection.
	{Names: []string{"connection", "keep-alive", "proxy-connection", "upgrade", "host", "transfer-encoding"}, OneHop: true, Reserved: true},
	{Names: []string{"trailer"}, Reserved: true},
	{Names: []string{"expect"}, Reserved: true, Passes: Never}, // addressed to the gateway; Envoy itself takes out 100-continue only

	// What describes the message.
	{Names: []string{"content-type", "content-length", "content-encoding", "te"}, Reserved: true, Passes: Always},
	{Names: []string{"content-language", "user-agent", "accept*"}, Passes: Always},

	// What the APIs of OpenAI, Anthropic, OpenRouter and their SDKs define, and trace
	// context (https://www.w3.org/TR/trace-context).
	{Names: []string{
		"anthropic-*", "openai-beta", "x-stainless-*", "idempotency-key", "x-client-request-id",
		"x-goog-api-client", "http-referer", "x-title", "x-app",
		"sec-fetch-mode", // of every request of Node's fetch
		"traceparent", "tracestate",
	}, Passes: Always},

	// Instructions to Envoy and Weir, and what proxies state about the client. Envoy
	// takes the scheme of a request from x-forwarded-proto.
	{Names: []string{"x-forwarded-*"}, Reserved: true, Passes: Never},
	{Names: []string{"x-envoy-*"}, Internal: true, Added: true, Reserved: true, Passes: Never},
	{Names: []string{"x-weir-*"}, Internal: true, Reserved: true, Passes: Never},
	{Names: []string{"x-request-id"}, Internal: true, Added: true, Passes: Always},
	{Names: []string{"http2-settings"}, Internal: true},
	{Names: []string{"x-forwarded-proto"}, Internal: true, Added: true, Reserved: true, Passes: Never},

	// Credentials of the client or of another attempt.
	{Names: llm.CredentialHeaders(), Credential: true, Passes: Never},
	{Names: []string{"cookie"}, Hidden: true, Credential: true, Passes: Never},
	{Names: []string{"proxy-authorization"}, Credential: true, Passes: Never},
	{Names: []string{
		"x-auth-token", "ocp-apim-subscription-key", "x-amz-security-token",
		// Account selectors, which only make sense with the client's own credential.
		"openai-organization", "openai-project", "x-goog-user-project",
		// What proxies in front of the gateway say of who the client is, as
		// x-forwarded-for does.
		"forwarded", "via", "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip",
		"cf-access-client-secret", "cf-access-jwt-assertion", "x-goog-iap-jwt-assertion", "x-amzn-oidc-accesstoken", "x-amzn-oidc-data",
		// Some servers take these for the method and the path, which are decided here.
		"x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url",
	}, Passes: Never},
}

// Rules returns the table.
func Rules() []Rule { return rules }

// RuleOf returns the rule for a header, by its name in lower case.
func RuleOf(name string) *Rule {
	if rule := index.exact[name]; rule != nil {
		return rule
	}
	for i := range index.prefixes {
		if p := &index.prefixes[i]; strings.HasPrefix(name, p.prefix) {
			return p.rule
		}
	}
	return &index.none
}

// index finds the rule of a name.
var index = func() (index struct {
	exact    map[string]*Rule
	prefixes []pattern
	added    []pattern
	none     Rule
}) {
	index.exact = map[string]*Rule{}
	for i := range rules {
		rule := &rules[i]
		for _, name := range rule.Names {
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
	}
	return index
}()

// pattern is a name of a rule, or the beginning of all that it stands for.
type pattern struct {
	prefix string
	all    bool
	rule   *Rule
}

// IsAdded reports whether a rule says Added. The few names are compared faster
// than the rule is found, and this is asked of every header of every request.
func IsAdded(name string) bool {
	for i := range index.added {
		if p := &index.added[i]; name == p.prefix || p.all && strings.HasPrefix(name, p.prefix) {
			return true
		}
	}
	return false
}

// With lists the names in the rules that match, in the order of the table.
func With(match func(Rule) bool) []string {
	var out []string
	for _, rule := range rules {
		if match(rule) {
			out = append(out, rule.Names...)
		}
	}
	return out
}

// Stripped lists what the filters of every cluster remove from requests, also
// where no configuration mentions it: names, and names that end in '*'.
func Stripped() []string {
	names := With(func(r Rule) bool { return r.Passes == Never })
	return slices.DeleteFunc(names, func(name string) bool {
		// A name that another one covers.
		return slices.ContainsFunc(names, func(other string) bool {
			prefix, all := strings.CutSuffix(other, "*")
			return all && other != name && strings.HasPrefix(name, prefix)
		})
	})
}

// Readable reports whether expressions can read the header.
func (r *Rule) Readable() bool { return !r.Pseudo && !r.Credential }
