package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"weir/admin"
	"weir/gateway"
	"weir/llm"
	"weir/metadata"
	"weir/policy"
)

func (c explainCmd) Run(sys system) error {
	src, err := sys.source(c.Config)()
	if err != nil {
		return err
	}
	loaded, problems := gateway.Load(src, policy.Loaded{})
	if len(problems) > 0 {
		return problems
	}
	p := loaded.Policy
	input := sys.stdin
	if c.Method == "GET" || c.Method == "DELETE" {
		input = strings.NewReader("")
	} else if c.Body != "-" {
		file, err := os.Open(c.Body)
		if err != nil {
			return err
		}
		defer file.Close()
		input = file
	}
	body, err := io.ReadAll(io.LimitReader(input, int64(p.MaxBodyBytes)+1))
	if err != nil {
		return err
	}
	e, err := admin.Explain(admin.Basis{Policy: p, Keys: loaded.Keys.Index}, admin.Question{Method: c.Method, Path: c.Path, Key: c.Key, IP: c.IP, Headers: c.Header, Body: body})
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(sys.stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(e)
	}
	_, err = io.WriteString(sys.stdout, readable(e))
	return err
}

// gatewayName matches the name of a gateway in CDN-Loop. It changes with the configuration,
// so only --json shows it in full.
var gatewayName = regexp.MustCompile(`^(` + metadata.HopHeader + `: .*weir-)[0-9a-f]{16}$`)

// listedWithoutKey is how many models of providers without a key are listed one by one. If
// the client names no model, all models of the catalogue are candidates.
const listedWithoutKey = 3

func isWithoutKey(c policy.Candidate) bool {
	return c.Provider != "" && strings.HasPrefix(c.By, string(llm.NoProviderKey)+":")
}

// withoutKey returns the candidates whose provider has no key.
func withoutKey(candidates []policy.Candidate) []policy.Candidate {
	return slices.DeleteFunc(slices.Clone(candidates), func(c policy.Candidate) bool { return !isWithoutKey(c) })
}

// providersOf returns the providers of candidates, each once.
func providersOf(candidates []policy.Candidate) []string {
	var out []string
	for _, c := range candidates {
		if !slices.Contains(out, c.Provider) {
			out = append(out, c.Provider)
		}
	}
	return out
}

// readable returns an explanation as text for people.
func readable(e policy.Explanation) string {
	var b strings.Builder
	asked := "nothing in particular: the gateway chooses"
	if e.Stored {
		asked = "what one provider stores"
	} else if len(e.Asked) > 0 {
		asked = strings.Join(e.Asked, ", ")
	}
	fmt.Fprintf(&b, "%s %s (%s)\nasked for   %s\n", e.Method, e.Path, e.Operation, asked)
	if e.Key != "" {
		fmt.Fprintf(&b, "access key  %s\n", e.Key)
	}
	if !e.Stored {
		fmt.Fprintf(&b, "\ncandidates\n")
	}
	without := withoutKey(e.Candidates)
	for _, c := range e.Candidates {
		if len(without) > listedWithoutKey && isWithoutKey(c) {
			continue
		}
		mark, name := "-", c.Model
		if c.Provider != "" {
			name = c.Provider + ":" + name
		}
		if c.Kept {
			mark = "+"
		}
		if !c.Known && c.Provider != "" {
			name += " (not listed, passed through)"
		}
		fmt.Fprintf(&b, "  %s %s\n      %s\n", mark, name, c.By)
	}
	if len(without) > listedWithoutKey {
		fmt.Fprintf(&b, "  - %d models of %s\n      %s\n", len(without), strings.Join(providersOf(without), ", "), without[0].By)
	}
	strategySteps(&b, e)
	if e.Error != nil {
		fmt.Fprintf(&b, "\nresponse  %d %s\n  %s\n", e.Error.Status, e.Error.Code, e.Error.Message)
		if e.Error.Cause != "" {
			fmt.Fprintf(&b, "  because: %s\n", strings.ReplaceAll(e.Error.Cause, "\n", "\n           "))
		}
		return b.String()
	}
	if len(e.Rejected) > 0 {
		fmt.Fprintf(&b, "\nleft out  %s\n", strings.Join(e.Rejected, ", "))
	}
	if e.Note != "" {
		fmt.Fprintf(&b, "\n%s\n", e.Note)
	}
	fmt.Fprintf(&b, "\nplan  at most %s for an attempt, %s for all\n", e.AttemptTimeout, e.TotalTimeout)
	for i, a := range e.Attempts {
		fmt.Fprintf(&b, "\n%d. %s", i+1, a.Provider)
		if a.Model != "" {
			fmt.Fprintf(&b, ", model %s", a.Model)
		}
		if a.Key != "" {
			fmt.Fprintf(&b, ", key %s", a.Key)
		}
		fmt.Fprintf(&b, "\n   %s %s\n", e.Method, a.URL)
		if a.Timeout != e.AttemptTimeout {
			fmt.Fprintf(&b, "   timeout %s\n", a.Timeout)
		}
		if a.Proxy != "" {
			fmt.Fprintf(&b, "   through the proxy %s\n", a.Proxy)
		}
		for _, h := range a.Headers {
			fmt.Fprintf(&b, "   %s\n", gatewayName.ReplaceAllString(h, "$1…"))
		}
		if a.Body != "" {
			fmt.Fprintf(&b, "\n   %s\n", strings.TrimSpace(a.Body))
		}
	}
	return b.String()
}

func strategySteps(b *strings.Builder, e policy.Explanation) {
	if len(e.Strategies) > 0 {
		fmt.Fprintf(b, "\nstrategies\n")
	}
	for _, s := range e.Strategies {
		result := strings.Join(s.Chosen, ", ")
		switch {
		case s.Error != "" && result != "":
			result += "; for other names it failed at " + s.Error
		case s.Error != "":
			result = "failed at " + s.Error
		case result == "":
			result = "nothing"
		case !s.Used:
			result += " (none of them may be used)"
		}
		fmt.Fprintf(b, "  %s\n      %s\n", s.Strategy, result)
	}
	if len(e.Keys) > 0 {
		fmt.Fprintf(b, "\nkeys\n")
	}
	for _, s := range e.Keys {
		result := strings.Join(s.Chosen, ", ")
		if s.Error != "" {
			result = "failed at " + s.Error
		} else if result == "" {
			result = "nothing"
		}
		fmt.Fprintf(b, "  %s:%s\n      %s\n      %s\n", s.Provider, s.Model, s.Strategy, result)
	}
}
