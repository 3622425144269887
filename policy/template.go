package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Template is a string of the configuration that may contain ${…}.
type Template string

// MarshalYAML shows the expressions of a template and hides what was written
// literally around them: in a key value it may be the key itself.
func (t Template) MarshalYAML() (any, error) {
	refs := secretCall.FindAllString(string(t), -1)
	if len(refs) == 0 && t != "" {
		return redacted, nil
	}
	return strings.Join(refs, ""), nil
}

var (
	interpolation = regexp.MustCompile(`\$\{([^}]*)\}`)
	secretCall    = regexp.MustCompile(`\$\{\s*secrets\.get\(\s*(?:'([^'\\]+)'|"([^"\\]+)")\s*,\s*(?:'([^'\\]+)'|"([^"\\]+)")\s*\)\s*\}`)
)

// expanded is a template with its secrets filled in.
type expanded struct {
	value Secret
	// secret says whether any part came from a secret.
	secret bool
}

// expand fills the template's secrets in. The errors name no secret's value.
func (t Template) expand(store SecretStore) (expanded, error) {
	var errs []error
	out := expanded{}
	text := interpolation.ReplaceAllStringFunc(string(t), func(expr string) string {
		m := secretCall.FindStringSubmatch(expr)
		if m == nil || m[0] != expr {
			errs = append(errs, fmt.Errorf("%s: only ${secrets.get('store', 'key')} can be used here; other expressions are not supported yet", expr))
			return ""
		}
		out.secret = true
		v, err := store.Get(m[1]+m[2], m[3]+m[4])
		if err != nil {
			errs = append(errs, err)
			return ""
		}
		return v.Reveal()
	})
	if strings.Contains(interpolation.ReplaceAllString(string(t), ""), "${") {
		errs = append(errs, errors.New("a ${ is not closed by }"))
	}
	if err := headerValueError(text); err != nil && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("the value %w", err))
	}
	out.value = NewSecret(text)
	return out, errors.Join(errs...)
}
