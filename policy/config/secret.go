package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
)

// Redacted is what is shown in place of a secret.
const Redacted = "[redacted]"

// Secret is a value that must never be shown, such as a provider key. Printing, logging and
// marshalling it in any form results in "[redacted]"; only Reveal returns the value.
//
// It holds a pointer because fmt does not call the methods of values in unexported fields:
// it would print a string, but prints only the address of a pointer.
type Secret struct{ value *string }

// NewSecret returns a secret with this value.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal returns the value. Call it only where the value is used.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// String returns "[redacted]".
func (s Secret) String() string { return Redacted }

// GoString redacts %#v.
func (s Secret) GoString() string { return Redacted }

// Format redacts every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) }

// MarshalText redacts JSON and text encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalYAML redacts YAML.
func (s Secret) MarshalYAML() (any, error) { return Redacted, nil }

// LogValue redacts structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }

// SecretStore finds secrets in the environment and in a directory. The environment is first.
type SecretStore struct {
	Getenv   func(string) string
	ReadFile func(string) ([]byte, error)
	// Dir is the directory secrets.dir, or empty if it is not configured.
	Dir string
}

var notEnvName = regexp.MustCompile(`[^A-Z0-9]`)

// EnvName returns the name of the environment variable for a secret.
func EnvName(store, key string) string {
	clean := func(s string) string { return notEnvName.ReplaceAllString(strings.ToUpper(s), "_") }
	return "WEIR_SECRET_" + clean(store) + "_" + clean(key)
}

// Get returns a secret. It fails if the secret is missing, with an error that names the
// places where it can be set, or if it cannot be a header value.
func (s SecretStore) Get(store, key string) (Secret, error) {
	name := EnvName(store, key)
	if v := s.Getenv(name); v != "" {
		return s.checked(store, key, withoutLineEnd(v))
	}
	places := "set the environment variable " + name
	if s.Dir != "" {
		if !fs.ValidPath(store+"/"+key) || strings.ContainsRune(store+key, '/') {
			return Secret{}, fmt.Errorf("secret store %q, key %q: names must be single path segments", store, key)
		}
		file := filepath.Join(s.Dir, store, key)
		b, err := s.ReadFile(file)
		switch {
		case err == nil:
			return s.checked(store, key, withoutLineEnd(string(b)))
		case !errors.Is(err, fs.ErrNotExist):
			file += " (" + err.Error() + ")"
		}
		places += ", or write the file " + file
	}
	return Secret{}, fmt.Errorf("secret %q of store %q is missing: %s", key, store, places)
}

// withoutLineEnd removes line ends at the end of a value: editors write them into files, and
// Kubernetes copies them from a Secret into the environment.
func withoutLineEnd(value string) string { return strings.TrimRight(value, "\r\n") }

// checked returns a secret, or an error if it cannot be a header value: Envoy would reject
// the whole cluster, or split the header.
func (s SecretStore) checked(store, key, value string) (Secret, error) {
	if value == "" {
		return Secret{}, fmt.Errorf("secret %q of store %q is empty", key, store)
	}
	if err := CheckHeaderValue(value); err != nil {
		return Secret{}, fmt.Errorf("secret %q of store %q %w", key, store, err)
	}
	return NewSecret(value), nil
}

// MaxStaticHeader is the maximum size of a header value in Envoy's configuration
// (envoy.config.core.v3.HeaderValue), where % counts twice.
const MaxStaticHeader = 16384

// CheckHeaderValue returns an error if a value cannot be a header value (RFC 9110
// 5.5). The error does not repeat the value, which may be a secret.
func CheckHeaderValue(v string) error {
	if len(v) > MaxStaticHeader {
		return fmt.Errorf("has %d bytes: a header value may have %d at most", len(v), MaxStaticHeader)
	}
	for i := 0; i < len(v); i++ {
		if v[i] < 0x20 && v[i] != '\t' || v[i] == 0x7f {
			return fmt.Errorf("has a control character at byte %d: it cannot be sent in a header", i)
		}
	}
	if strings.TrimSpace(v) != v {
		return fmt.Errorf("begins or ends with white space, which a header cannot carry")
	}
	return nil
}
