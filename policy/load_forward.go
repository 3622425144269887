package policy

import (
	"slices"
	"strings"

	"weir/llm"
	"weir/llm/body"
	"weir/policy/config"
	"weir/policy/header"
)

// forward reads which names pass between clients and a provider.
func (l *loader) forward(e *entry) {
	c := e.own.Forward
	if c == nil {
		return
	}
	at := e.path + ".forward."
	headerName := func(name string) string {
		if name != config.EveryName && !config.IsHeaderName(strings.TrimSuffix(name, "*")) {
			return "is not a header name"
		}
		return ""
	}
	anyName := func(string) string { return "" }
	l.checkNames(c.Headers, at+"headers", func(name string) string {
		switch rule := header.RuleOf(strings.ToLower(name)); {
		case rule.Passes == header.Never && !rule.Reserved:
			return "never passes from a client: to send one of the gateway's, set it under headers"
		case rule.Passes == header.Never:
			return "never passes from a client"
		}
		return headerName(name)
	})
	l.checkNames(c.Query, at+"query", func(name string) string {
		stem, _, _ := strings.Cut(strings.ToLower(name), "[")
		if folded := foldParam.Replace(stem); config.IsQueryCredential(folded) || heldBack[folded] {
			return "never passes from a client: to send one of the gateway's, set it under query_params"
		}
		return ""
	})
	l.checkNames(c.Body, at+"body", anyName)
	l.checkNames(c.ResponseHeaders, at+"response_headers", func(name string) string {
		if why := neverReturned(strings.ToLower(name)); why != "" {
			return "never passes to a client: " + why
		}
		return headerName(name)
	})
	l.returnedNames(c.ResponseHeaders, at+"response_headers")
	e.out.forward = forward{headers: body.NamesOf(c.Headers), query: body.NamesOf(c.Query), body: body.FoldedNames(c.Body)}
}

// maxReturnedNames bounds the bytes of the names of response headers that all
// providers add. Envoy gets one pattern of them, whose size is limited by
// re2.max_program_size (package envoy): random names of 15,000 bytes were too much.
const maxReturnedNames = 8 << 10

// returnedNames counts names of response headers, and reports a problem if there are
// too many.
func (l *loader) returnedNames(list config.NamesConfig, path string) {
	if l.returned == nil {
		l.returned = map[string]bool{}
	}
	for _, name := range list {
		l.returned[strings.ToLower(name)] = true
	}
	size := 0
	for name := range l.returned {
		size += len(name)
	}
	if size > maxReturnedNames {
		l.problem(path, "the names of all providers have %d bytes in total, the limit is %d: end a name in '*', or write all", size, maxReturnedNames)
	}
}

// checkNames checks a list of names; problem returns what is wrong with one, or an empty string.
func (l *loader) checkNames(list config.NamesConfig, path string, problem func(name string) string) {
	for i, name := range list {
		at := config.IndexPath(path, i)
		switch {
		case name == "":
			l.problem(at, "is empty")
		case strings.Contains(strings.TrimSuffix(name, "*"), "*"):
			l.problem(at, "%q has a '*' before its end: only the last character may be '*'", llm.Clip(name))
		case slices.Index(list, name) < i:
			l.problem(at, "duplicate name %q", llm.Clip(name))
		default:
			if text := problem(name); text != "" {
				l.problem(at, "%q %s", llm.Clip(name), text)
			}
		}
	}
}

// responseHeaders are the names that a provider's configuration adds to those
// that pass to clients.
func (b *clusterBuilder) responseHeaders(c config.ProviderConfig) []string {
	if c.Forward == nil {
		return nil
	}
	var out []string
	for _, name := range c.Forward.ResponseHeaders {
		out = append(out, strings.ToLower(name))
	}
	slices.Sort(out)
	return out
}
