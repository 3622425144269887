package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"weir/llm"
	"weir/llm/body"
	"weir/policy/config"
	"weir/policy/expression"
)

// dynamic are the expressions in headers, query parameters and body values that depend
// on the request.
type dynamic struct {
	headers map[string]*expression.TemplateProgram // by ClusterHeader.Field
	query   []*expression.TemplateProgram          // by index in Policy.query, nil where it is literal
	set     []*bodyTemplate                        // by index in Policy.set
}

// shaped is what is set for a request, once its expressions are evaluated.
type shaped struct {
	set    []body.KeyValue
	params []config.Param
	query  bool // params are not those that paths were made with
}

// maxHeaderValue bounds the result of an expression, in bytes.
const maxHeaderValue = 8 << 10

// shape evaluates what is set in query and body.
func (p *Policy) shape(req *Request) (shaped, error) {
	out := shaped{set: p.set, params: p.query}
	if p.dynamic.query != nil {
		out.query, out.params = true, slices.Clone(p.query)
		for i, t := range p.dynamic.query {
			if t == nil {
				continue
			}
			text, err := t.Text(req.inputs(p), nil)
			if err != nil {
				return out, shapeFailed("query parameter "+p.query[i].Name, err)
			}
			if len(text) > maxHeaderValue {
				return out, tooLong("query parameter " + p.query[i].Name)
			}
			out.params[i].Value = req.Presented.Scrub(text)
		}
	}
	if p.dynamic.set != nil {
		out.set = slices.Clone(p.set)
		for i, t := range p.dynamic.set {
			if t == nil {
				continue
			}
			value, err := t.json(req.inputs(p))
			if err != nil {
				return out, shapeFailed("body key "+p.set[i].Key, err)
			}
			if p.outputLimit.tokens > 0 && llm.IsOutputField(p.set[i].Key) && p.outputLimit.exceededBy(value) {
				value = p.outputLimit.json
			}
			out.set[i].Value = []byte(req.Presented.Scrub(string(value)))
		}
	}
	return out, nil
}

// fields evaluates the headers of the clusters that a plan uses.
func (p *Policy) fields(out *Plan, req *Request) error {
	if len(p.dynamic.headers) == 0 {
		return nil
	}
	for i := range out.Attempts {
		for _, h := range out.Attempts[i].Cluster.Set {
			if h.Field == "" || slices.ContainsFunc(out.Fields, func(f Field) bool { return f.Name == h.Field }) {
				continue
			}
			text, err := p.dynamic.headers[h.Field].Text(req.inputs(p), nil)
			if err != nil {
				return shapeFailed("header "+h.Name, err)
			}
			if len(text) > maxHeaderValue {
				return tooLong("header " + h.Name)
			}
			// An invalid value could end the header early, or make Envoy fail.
			if err := config.CheckHeaderValue(text); err != nil {
				return llm.Errorf(llm.InvalidBody, "the header %s that the gateway derives from the request %v", h.Name, err)
			}
			out.Fields = append(out.Fields, Field{h.Field, req.Presented.Scrub(text)})
		}
	}
	return nil
}

func shapeFailed(what string, err error) error {
	return &llm.Error{Code: llm.StrategyFailed, Message: "the gateway could not derive its " + what + " from this request; the reason is in the gateway's log", Cause: fmt.Errorf("%s: %w", what, err)}
}

func tooLong(what string) error {
	return llm.Errorf(llm.RequestTooLarge, "the %s that the gateway derives from the request is longer than %d bytes", what, maxHeaderValue)
}

// bodyTemplate is a JSON value with expressions in its strings.
type bodyTemplate struct {
	literal []string // around the expressions: one more than there are of them
	exprs   []*expression.TemplateProgram
}

// bodyProblem is what is wrong with a string in a body's value.
type bodyProblem struct{ path, text string }

// parseBody returns the expressions in a value at path, or nil if there are none. The value
// is JSON as RawValue writes it, without white space.
func parseBody(raw []byte, path string) (*bodyTemplate, []bodyProblem) {
	if !bytes.Contains(raw, []byte("${")) {
		return nil, nil
	}
	out := &bodyTemplate{}
	var problems []bodyProblem
	// around are the lists and mappings that contain at; path is that of the value there.
	type container struct {
		path string
		list bool
		item int
	}
	around := []container{{path: path}}
	from := 0
	for at := 0; at < len(raw); at++ {
		in := &around[len(around)-1]
		switch raw[at] {
		case '[':
			around = append(around, container{path: path, list: true})
			path = config.IndexPath(path, 0)
		case '{':
			around = append(around, container{path: path})
		case ']', '}':
			path = in.path
			around = around[:len(around)-1]
		case ',':
			if in.list {
				in.item++
				path = config.IndexPath(in.path, in.item)
			}
		}
		if raw[at] != '"' {
			continue
		}
		end := at + 1
		for raw[end] != '"' {
			if raw[end] == '\\' {
				end++
			}
			end++
		}
		end++
		var text string
		err := json.Unmarshal(raw[at:end], &text)
		switch {
		case err != nil:
		case end < len(raw) && raw[end] == ':':
			path = config.JoinPath(in.path, text)
		case strings.Contains(text, "${"):
			t, issues := expression.Template(text)
			for _, i := range issues {
				problems = append(problems, bodyProblem{path, i.String()})
			}
			if issues == nil && t.UsesSecrets() {
				problems = append(problems, bodyProblem{path, "a secret cannot be sent in a body: it would travel with the plan of the request; use headers"})
			}
			out.literal = append(out.literal, string(raw[from:at]))
			out.exprs = append(out.exprs, t)
			from = end
		}
		at = end - 1
	}
	out.literal = append(out.literal, string(raw[from:]))
	if len(out.exprs) == 0 {
		return nil, nil
	}
	return out, problems
}

// json evaluates the value for a request. A string that is one expression
// becomes its result, which may be a number; any other string stays a string.
func (b *bodyTemplate) json(in *expression.Input) ([]byte, error) {
	var out []byte
	for i, t := range b.exprs {
		out = append(out, b.literal[i]...)
		v, err := t.Value(in, nil)
		if err != nil {
			return nil, err
		}
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			return nil, err
		}
		out = append(out, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...)
	}
	return append(out, b.literal[len(b.exprs)]...), nil
}
