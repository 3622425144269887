package expression

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"

	"weir/policy/nearest"
)

// Issue is a problem of an expression. Line and Column count from 1, in characters of the
// source.
type Issue struct {
	Line, Column int
	Message      string
}

func (i Issue) String() string { return fmt.Sprintf("%d:%d: %s", i.Line, i.Column, i.Message) }

const (
	maxIssues  = 10
	maxMessage = 400 // bytes: a parser's list of what it expected can be long
)

// compile parses and checks an expression.
func (l *language) compile(source string) (*ast.AST, []Issue) {
	if strings.TrimSpace(source) == "" {
		return nil, []Issue{{1, 1, "the expression is empty"}}
	}
	checked, issues := l.env.Compile(source)
	if issues.Err() == nil {
		return checked.NativeRep(), nil
	}
	// An unknown name causes further errors.
	unnamed := slices.ContainsFunc(issues.Errors(), func(e *cel.Error) bool { return undeclared.MatchString(e.Message) })
	var out []Issue
	for _, e := range issues.Errors() {
		if len(out) == maxIssues {
			break
		}
		if unnamed && noOverload.MatchString(e.Message) {
			continue
		}
		i := Issue{max(e.Location.Line(), 1), max(e.Location.Column()+1, 1), l.explain(e)}
		if !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	return nil, out
}

var (
	undefinedField = regexp.MustCompile(`^undefined field '([^']*)'`)
	undeclared     = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	nullable       = regexp.MustCompile(`wrapper\((\w+)\)`)
	noOverload     = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '(.*)'$`)
)

// explain turns cel-go's message into one for the author of the expression.
func (l *language) explain(e *cel.Error) string {
	message := plainTypes(e.Message)
	if m := undefinedField.FindStringSubmatch(message); m != nil {
		if why := unfields[m[1]]; why != "" && l.lacks(m[1]) {
			return why
		}
		return fmt.Sprintf("unknown field %s%s", m[1], suggestion(m[1], l.fieldNames()))
	}
	if m := undeclared.FindStringSubmatch(message); m != nil {
		if m[1] == "ai" || m[1] == "secrets" {
			return fmt.Sprintf("%s cannot be used here", m[1])
		}
		return fmt.Sprintf("unknown name or function %s%s", m[1], suggestion(m[1], l.names()))
	}
	if m := noOverload.FindStringSubmatch(message); m != nil {
		return overloadMessage(m[1], m[2])
	}
	if head, _, ok := strings.Cut(message, " expecting {"); ok {
		message = head
	}
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return message
}

// plainTypes shows types as they are named in the documentation.
func plainTypes(s string) string {
	return nullable.ReplaceAllString(strings.ReplaceAll(s, typePrefix, ""), "$1")
}

// unfields say why a field that one may look for is not there.
var unfields = map[string]string{
	"keys":  "ai.keys can be used in api_key_selection only: a model is chosen before a key of its provider",
	"value": "the value of a key cannot be read: strategies see id, quota and error_rate",
}

// lacks reports whether no type of the language has the field.
func (l *language) lacks(field string) bool { return !slices.Contains(l.fieldNames(), field) }

func overloadMessage(function, on string) string {
	hint := ""
	switch {
	case function == "@sortByKeys":
		function, hint = "sortBy", "; a key to sort by is a number, a string or a time"
	case strings.Contains(on, "list(string)") && (function == "_==_" || function == "_!=_" || strings.HasSuffix(function, "With") || function == "contains"):
		hint = "; a header is a list of its values: take one as [0], or use in"
	case (function == "_==_" || function == "_!=_") && strings.Contains(on, "double") && strings.Contains(on, "int"):
		hint = "; write the number with a decimal point"
	}
	return fmt.Sprintf("%s does not take %s%s", plainName(function), on, hint)
}

// plainName returns an operator as it is written.
func plainName(function string) string {
	name := strings.Trim(function, "_")
	switch {
	case function == "_[_]":
		return "[ ]"
	case function == "_?_:_":
		return "? :"
	case function == "@in":
		return "in"
	}
	return name
}

func (l *language) fieldNames() []string {
	var names []string
	for _, k := range l.env.CELTypeProvider().(*kinds).byName {
		names = append(names, k.names...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (l *language) names() []string {
	var names []string
	for name := range l.env.Functions() {
		if strings.IndexFunc(name, func(r rune) bool { return r != '.' && (r < 'A' || r > 'z') }) < 0 && name[0] != '_' && name[0] != '@' {
			names = append(names, name)
		}
	}
	for _, v := range l.env.Variables() {
		names = append(names, v.Name())
	}
	for _, m := range l.env.Macros() {
		names = append(names, m.Function())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// suggestion returns the known name that is nearest to an unknown one.
func suggestion(word string, names []string) string {
	near := nearest.Names(word, names, 1)
	if len(near) == 0 {
		return ""
	}
	return fmt.Sprintf(": did you mean %s?", near[0])
}

// problems collects the issues of an expression.
type problems struct {
	of    *ast.AST
	whole bool // they concern the whole expression, not one node
	list  []Issue
}

func (p *problems) add(e ast.Expr, format string, args ...any) {
	if len(p.list) == maxIssues {
		return
	}
	at := p.of.SourceInfo().GetStartLocation(e.ID())
	if p.whole {
		// A call begins at its parenthesis, for CEL.
		ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
			if l := p.of.SourceInfo().GetStartLocation(e.ID()); l.Line() > 0 && (l.Line() < at.Line() || l.Line() == at.Line() && l.Column() < at.Column()) {
				at = l
			}
		}))
	}
	p.list = append(p.list, Issue{max(at.Line(), 1), max(at.Column()+1, 1), fmt.Sprintf(format, args...)})
}
