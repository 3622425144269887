package config

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"weir/policy/expression"
)

// Template is a string of the configuration that may contain ${…}. Its literal text
// may be a credential, so every form of printing shows only its references to
// secrets.
type Template string

// String returns the references to secrets of a template, or "[redacted]" if it has none.
func (t Template) String() string {
	if t == "" {
		return ""
	}
	if refs := t.References(); refs != "" {
		return refs
	}
	return Redacted
}

// Format writes String for every verb.
func (t Template) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// MarshalText returns String, for JSON and text encodings.
func (t Template) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalYAML returns String.
func (t Template) MarshalYAML() (any, error) { return t.String(), nil }

// LogValue returns String, for structured logs.
func (t Template) LogValue() slog.Value { return slog.StringValue(t.String()) }

var (
	secretCall = regexp.MustCompile(`\$\{\s*secrets\.get\(\s*(?:'([^'\\]+)'|"([^"\\]+)")\s*,\s*(?:'([^'\\]+)'|"([^"\\]+)")\s*\)\s*\}`)
)

// environmentVariable matches a reference to an environment variable that could be meant as
// an expression, anywhere in a template.
var environmentVariable = regexp.MustCompile(`\$\{(?:env[.:])?[A-Z_][A-Z0-9_]*(?::?[-?+][^}]*)?\}`)

// References returns the references to secrets in a template, unchanged and joined.
func (t Template) References() string {
	return strings.Join(secretCall.FindAllString(string(t), -1), "")
}

// Expand returns the template with its secrets filled in. It fails if a secret is missing,
// if the template depends on the request, or if the result cannot be a header value. Errors
// contain neither a secret nor the text of the template, which could be a key.
func (t Template) Expand(store SecretStore) (Secret, error) {
	program, err := t.Program()
	if err != nil {
		return Secret{}, err
	}
	if program == nil {
		if hint := environmentHint(string(t)); hint != "" {
			return Secret{}, errors.New(hint)
		}
		return t.insert(store)
	}
	if program.UsesRequest() {
		return Secret{}, errors.New("a credential cannot depend on the request: only secrets can be used here")
	}
	text, err := program.Text(&expression.Input{}, func(name, key string) (string, error) {
		v, err := store.Get(name, key)
		return v.Reveal(), err
	})
	if err != nil {
		return Secret{}, err
	}
	return checkedValue(text)
}

// Program compiles a template that has expressions other than references to secrets. It
// returns nil for any other template.
func (t Template) Program() (*expression.TemplateProgram, error) {
	rest := secretCall.ReplaceAllString(string(t), "")
	if !strings.Contains(rest, "${") {
		return nil, nil
	}
	program, issues := expression.Template(string(t))
	if len(issues) > 0 {
		if hint := environmentHint(environmentVariable.FindString(rest)); hint != "" {
			return nil, errors.New(hint)
		}
		// The messages of the compiler repeat parts of the text, which may be a key.
		return nil, fmt.Errorf("invalid expression at %d:%d: write ${secrets.get('store', 'key')}, or CEL over req, conn and key", issues[0].Line, issues[0].Column)
	}
	return program, nil
}

// insert fills in the secrets of a template that has no other expressions.
func (t Template) insert(store SecretStore) (Secret, error) {
	var errs []error
	text := secretCall.ReplaceAllStringFunc(string(t), func(expr string) string {
		m := secretCall.FindStringSubmatch(expr)
		v, err := store.Get(m[1]+m[2], m[3]+m[4])
		if err != nil {
			errs = append(errs, err)
			return ""
		}
		return v.Reveal()
	})
	if len(errs) > 0 {
		return Secret{}, errors.Join(errs...)
	}
	return checkedValue(text)
}

func checkedValue(text string) (Secret, error) {
	if err := CheckHeaderValue(text); err != nil {
		return Secret{}, fmt.Errorf("the value %w", err)
	}
	return NewSecret(text), nil
}

// credentialWords are parts of the names of headers that carry credentials.
var credentialWords = []string{"auth", "key", "token", "secret", "passw", "credential", "cookie", "session", "signature"}

// credentialPrefixes are the beginnings of credentials: the schemes of RFC 7617 and RFC 6750,
// and the keys of OpenAI and compatible providers.
var credentialPrefixes = []string{"basic ", "bearer ", "sk-"}

// IsCredential reports whether a header with this value must be treated as a secret: because
// the value refers to a secret or looks like one, or because of the header's name.
func (t Template) IsCredential(header string) bool {
	begins := func(p string) bool { return strings.HasPrefix(strings.ToLower(string(t)), p) }
	names := func(word string) bool { return strings.Contains(header, word) }
	return t.References() != "" || slices.ContainsFunc(credentialWords, names) || slices.ContainsFunc(credentialPrefixes, begins)
}
