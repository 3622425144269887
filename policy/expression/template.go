package expression

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// TemplateProgram is a compiled string of the configuration, with or without ${…}. It is
// used by many goroutines at once.
type TemplateProgram struct {
	parts   []chunk
	uses    Uses
	secrets []SecretRef
}

// chunk is literal text, or a program.
type chunk struct {
	text string
	*program
}

// Template compiles a string. The CEL in ${…} may contain braces in strings, comments and
// maps. A literal ${ is written as ${'$'}{. The positions of issues are those in the
// string.
func Template(source string) (*TemplateProgram, []Issue) {
	out := &TemplateProgram{}
	var issues []Issue
	for at := 0; at < len(source); {
		start := strings.Index(source[at:], "${")
		if start < 0 {
			out.parts = append(out.parts, chunk{text: source[at:]})
			break
		}
		if start += at; start > at {
			out.parts = append(out.parts, chunk{text: source[at:start]})
		}
		inner := start + len("${")
		length, ok := closing(source[inner:])
		if !ok {
			line, column := position(source, start)
			return nil, append(issues, Issue{line, column, "${ without a closing }"})
		}
		p, wrong := out.compile(source[inner : inner+length])
		for _, i := range wrong {
			issues = append(issues, i.within(source, inner))
		}
		out.parts = append(out.parts, chunk{program: p})
		at = inner + length + 1
	}
	if issues != nil {
		return nil, issues
	}
	return out, nil
}

func (t *TemplateProgram) compile(source string) (*program, []Issue) {
	l := templateLanguage()
	checked, issues := l.compile(source)
	if issues != nil {
		return nil, issues
	}
	f, issues := check(checked)
	if issues = append(issues, printable(checked)...); issues != nil {
		return nil, issues
	}
	p, err := l.program(lower(checked))
	if err != nil {
		return nil, []Issue{{1, 1, err.Error()}}
	}
	t.uses = t.uses.and(f.uses)
	t.secrets = append(t.secrets, f.secrets...)
	return p, nil
}

// printable reports results that cannot be converted to text.
func printable(a *ast.AST) []Issue {
	p := &problems{of: a, whole: true}
	switch t := a.GetType(a.Expr().ID()); t.Kind() {
	case types.StructKind, types.OpaqueKind, types.TypeKind, types.BytesKind:
		p.add(a.Expr(), "this returns %s, which cannot be converted to text", typeName(t))
	}
	return p.list
}

func (u Uses) and(v Uses) Uses {
	return Uses{
		Headers: u.Headers || v.Headers, Body: u.Body || v.Body, Request: u.Request || v.Request,
		Conn: u.Conn || v.Conn, Key: u.Key || v.Key,
	}
}

// Secrets returns the secrets that the string names, in order.
func (t *TemplateProgram) Secrets() []SecretRef { return t.secrets }

// UsesSecrets reports whether the string names a secret.
func (t *TemplateProgram) UsesSecrets() bool { return len(t.secrets) > 0 }

// UsesRequest reports whether the string depends on the request.
func (t *TemplateProgram) UsesRequest() bool { return t.uses != Uses{} }

// Uses returns what the string reads of a request.
func (t *TemplateProgram) Uses() Uses { return t.uses }

// Text evaluates the string. Null becomes the empty string, the values of a header are
// joined by commas (RFC 9110, 5.3), lists and maps become JSON. The error contains nothing
// of the request, except what the function secret puts into its errors.
func (t *TemplateProgram) Text(in *Input, secret func(store, key string) (string, error)) (string, error) {
	if len(t.parts) == 1 && t.parts[0].program == nil {
		return t.parts[0].text, nil
	}
	var out strings.Builder
	for _, p := range t.parts {
		if p.program == nil {
			out.WriteString(p.text)
			continue
		}
		s, err := evalTemplate(p.program, in, secret, textOf)
		if err != nil {
			return "", err
		}
		out.WriteString(s)
	}
	return out.String(), nil
}

// Value returns the value of the expression if the string is a single ${…}: nil, bool,
// string, int64, uint64, float64, []any or map[string]any. Otherwise it returns the Text.
func (t *TemplateProgram) Value(in *Input, secret func(store, key string) (string, error)) (any, error) {
	if len(t.parts) == 1 && t.parts[0].program != nil {
		return evalTemplate(t.parts[0].program, in, secret, goValue)
	}
	return t.Text(in, secret)
}

// evalTemplate evaluates a program and converts the value before the run drops the
// request.
func evalTemplate[T any](p *program, in *Input, secret func(store, key string) (string, error), as func(ref.Val) (T, error)) (T, error) {
	r := in.start(nil)
	defer r.finish()
	r.secret = secret
	v, err := p.eval(r)
	if err != nil {
		var none T
		return none, err
	}
	out, err := as(v)
	if err != nil {
		return out, p.failure(err)
	}
	return out, nil
}

func textOf(v ref.Val) (string, error) {
	switch v := v.(type) {
	case types.String:
		return string(v), nil
	case types.Null:
		return "", nil
	case types.Int:
		return strconv.FormatInt(int64(v), 10), nil
	case headerList:
		return v.joined(), nil
	}
	value, err := goValue(v)
	if err != nil {
		return "", err
	}
	if s, ok := value.(string); ok {
		return s, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "", safef("the result cannot be converted to text")
	}
	return string(text), nil
}

// goValue converts a CEL value for encoding/json.
func goValue(v ref.Val) (any, error) {
	switch v := v.(type) {
	case types.Null:
		return nil, nil
	case types.Bool:
		return bool(v), nil
	case types.String:
		return string(v), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		return uint64(v), nil
	case types.Double:
		if f := float64(v); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f, nil
		}
		return nil, safef("the result is not a finite number")
	case types.Timestamp, types.Duration:
		if s, ok := v.ConvertToType(types.StringType).(types.String); ok {
			return string(s), nil
		}
	case traits.Lister:
		list := []any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			e, err := goValue(it.Next())
			if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
		return list, nil
	case traits.Mapper:
		m := map[string]any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			name, ok := key.(types.String)
			if !ok {
				return nil, safef("the result has a map with a key that is not a string")
			}
			e, err := goValue(v.Get(key))
			if err != nil {
				return nil, err
			}
			m[string(name)] = e
		}
		return m, nil
	case *types.Err:
		return nil, v
	}
	return nil, safef("the result contains %s, which cannot be converted to text", strings.TrimPrefix(v.Type().TypeName(), typePrefix))
}

// secretFunctions declares secrets.get.
func secretFunctions() []cel.EnvOption {
	return []cel.EnvOption{cel.Function("get", lax, cel.MemberOverload("secrets_get",
		[]*cel.Type{secretsKind.typ, cel.StringType, cel.StringType}, cel.StringType,
		cel.FunctionBinding(func(args ...ref.Val) ref.Val {
			r := runOf(args[0])
			if r.secret == nil {
				return types.WrapErr(safef("there are no secrets here"))
			}
			s, err := r.secret(string(args[1].(types.String)), string(args[2].(types.String)))
			if err != nil {
				return types.WrapErr(safeError{err})
			}
			return text(s)
		})))}
}

// within returns an issue of an expression with its position in the whole string.
func (i Issue) within(source string, at int) Issue {
	line, column := position(source, at)
	if i.Line == 1 {
		i.Column += column - 1
	}
	i.Line += line - 1
	return i
}

// position returns the line and the column of a byte in a text.
func position(source string, at int) (line, column int) {
	before := source[:at]
	last := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, len([]rune(before[last:])) + 1
}
