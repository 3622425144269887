package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"weir/llm"
	"weir/llm/body"
	"weir/metadata"
	"weir/policy"
)

// question is a request to be explained.
type question struct {
	path    string
	key     string // the name of an access key, or the key itself; empty: what the headers say
	ip      string
	headers []string // name: value
	body    []byte
}

// explain plans a request with a policy.
func explain(p *policy.Policy, q question) (policy.Explanation, error) {
	var none policy.Explanation
	route, err := llm.FindRoute("POST", q.path)
	switch {
	case err != nil:
		return none, err
	case route.Endpoint == nil || route.Endpoint.Multipart:
		return none, fmt.Errorf("%s takes no JSON body: there is nothing to explain", q.path)
	}
	client, err := clientHeaders(q.headers)
	if err != nil {
		return none, err
	}
	headers := policy.Arriving(client, len(q.body))
	for _, name := range policy.ClientCredentials {
		if q.key == "" {
			q.key = policy.Credential(name, valueOf(headers, name))
		}
	}
	if _, err := p.Hop(valueOf(headers, metadata.HopHeader)); err != nil {
		return none, err
	}
	key, err := p.KeyNamed(q.key)
	if err != nil {
		if key, err = p.Authenticate(q.key); err != nil {
			return none, err
		}
	}
	if err := p.AdmitPage("", valueOf(headers, "origin")); err != nil {
		return none, err
	}
	if _, err := route.Endpoint.BodyType(valueOf(headers, "content-type"), valueOf(headers, "content-encoding")); err != nil {
		return none, err
	}
	if err := p.BodySize(uint64(len(q.body))); err != nil {
		return none, err
	}
	var parsed body.Body
	if err := body.ReadJSON(q.body, &parsed); err != nil {
		return none, err
	}
	req := policy.Request{
		Endpoint: route.Endpoint, Query: route.Query, Key: key, Body: &parsed, Now: time.Now(),
		Method: "POST", Path: route.Endpoint.Path, ID: "explain", ClientIP: q.ip,
		Headers: func(yield func(string, string) bool) {
			for _, h := range headers {
				if !yield(h.Name, h.Value) {
					return
				}
			}
		},
		Random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
	for _, name := range policy.ClientCredentials {
		c := policy.Credential(name, valueOf(headers, name))
		req.Presented.Add(c, key != nil && c == q.key)
	}
	return p.Explain(&req, headers), nil
}

// clientHeaders are the headers of a client that sends JSON.
func clientHeaders(lines []string) ([]policy.ExplainedHeader, error) {
	var out []policy.ExplainedHeader
	for _, h := range lines {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, fmt.Errorf("header %q: write 'name: value'", h)
		}
		out = append(out, policy.ExplainedHeader{Name: strings.ToLower(strings.TrimSpace(name)), Value: strings.TrimSpace(value)})
	}
	if !slices.ContainsFunc(out, func(h policy.ExplainedHeader) bool { return h.Name == "content-type" }) {
		out = slices.Insert(out, 0, policy.ExplainedHeader{Name: "content-type", Value: "application/json"})
	}
	return out, nil
}

// valueOf is the value of a header, empty where there is none.
func valueOf(headers []policy.ExplainedHeader, name string) string {
	for _, h := range headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

func (c explainCmd) run(sys system) error {
	src, err := fileSource(sys, c.Config)()
	if err != nil {
		return err
	}
	p, problems := policy.Load(src)
	if len(problems) > 0 {
		return problems
	}
	body, err := io.ReadAll(io.LimitReader(sys.stdin, int64(p.MaxBodyBytes)+1))
	if err != nil {
		return err
	}
	e, err := explain(p, question{path: c.Path, key: c.Key, ip: c.IP, headers: c.Header, body: body})
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(sys.stdout, e)
	}
	_, err = io.WriteString(sys.stdout, readable(e))
	return err
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// readable is an explanation for a person.
func readable(e policy.Explanation) string {
	var b strings.Builder
	asked := "nothing in particular: the gateway chooses"
	if len(e.Asked) > 0 {
		asked = strings.Join(e.Asked, ", ")
	}
	fmt.Fprintf(&b, "POST %s (%s)\nasked for   %s\n", e.Path, e.Operation, asked)
	if e.Key != "" {
		fmt.Fprintf(&b, "access key  %s\n", e.Key)
	}
	fmt.Fprintf(&b, "\ncandidates\n")
	for _, c := range e.Candidates {
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
	strategySteps(&b, e)
	if e.Error != nil {
		fmt.Fprintf(&b, "\nanswer  %d %s\n  %s\n", e.Error.Status, e.Error.Code, e.Error.Message)
		if e.Error.Cause != "" {
			fmt.Fprintf(&b, "  because: %s\n", strings.ReplaceAll(e.Error.Cause, "\n", "\n           "))
		}
		return b.String()
	}
	if len(e.Rejected) > 0 {
		fmt.Fprintf(&b, "\nleft out  %s\n", strings.Join(e.Rejected, ", "))
	}
	fmt.Fprintf(&b, "\nplan  at most %s for an attempt, %s for all\n", e.AttemptTimeout, e.TotalTimeout)
	for i, a := range e.Attempts {
		fmt.Fprintf(&b, "\n%d. %s, model %s", i+1, a.Provider, a.Model)
		if a.Key != "" {
			fmt.Fprintf(&b, ", key %s", a.Key)
		}
		fmt.Fprintf(&b, "\n   POST %s\n", a.URL)
		for _, h := range a.Headers {
			if strings.HasPrefix(h, metadata.HopHeader+":") {
				continue // the same for all, and of no use to a reader
			}
			fmt.Fprintf(&b, "   %s\n", h)
		}
		fmt.Fprintf(&b, "\n   %s\n", strings.TrimSpace(a.Body))
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
		case s.Error != "":
			result = "failed at " + s.Error
		case result == "":
			result = "nothing"
		case !s.Used:
			result += " (none of it may be used)"
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

// explainHandler answers POST /explain?path=…&key=…&header=…&ip=… with the
// numbers of the moment. The body is the request's.
func (g *gateway) explainHandler(w http.ResponseWriter, r *http.Request) {
	current := g.current.Load()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(current.MaxBodyBytes)))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	q := r.URL.Query()
	path := q.Get("path")
	if path == "" {
		path = defaultExplained
	}
	e, err := explain(current, question{path: path, key: q.Get("key"), ip: q.Get("ip"), headers: q["header"], body: body})
	if err != nil {
		message := err.Error()
		var coded *llm.Error
		if errors.As(err, &coded) {
			message = coded.Message
		}
		http.Error(w, message, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = writeJSON(w, e)
}

// defaultExplained is the path of a request that says none.
const defaultExplained = "/v1/chat/completions"
