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

const Redacted = "[redacted]"

// Secret is a value that must never be shown. Every form of printing,
// logging and marshalling gives "[redacted]"; only Reveal gives the value.
//
// It is a pointer because fmt cannot call the methods of what is in an
// unexported field: it would print a string there, and prints an address.
type Secret struct{ value *string }

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal returns the value, for the one place that sends it to Envoy.
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

// SecretStore looks secrets up: first in the environment, then in a
// directory.
type SecretStore struct {
	Getenv   func(string) string
	ReadFile func(string) ([]byte, error)
	// Dir is <secrets.dir>; empty when none is configured.
	Dir string
}

var notEnvName = regexp.MustCompile(`[^A-Z0-9]`)

// envName is the environment variable that can hold a secret.
func envName(store, key string) string {
	clean := func(s string) string { return notEnvName.ReplaceAllString(strings.ToUpper(s), "_") }
	return "WEIR_SECRET_" + clean(store) + "_" + clean(key)
}

// Get returns a secret. It fails if the secret is missing, with the places where it can
// be set, or if it cannot be a header value.
func (s SecretStore) Get(store, key string) (Secret, error) {
	name := envName(store, key)
	if v := s.Getenv(name); v != "" {
		return s.checked(store, key, v)
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
			return s.checked(store, key, strings.TrimRight(string(b), "\r\n"))
		case !errors.Is(err, fs.ErrNotExist):
			file += " (" + err.Error() + ")"
		}
		places += ", or write the file " + file
	}
	return Secret{}, fmt.Errorf("secret %q of store %q is missing: %s", key, store, places)
}

// checked refuses what cannot be a header value: Envoy would refuse the
// whole cluster, or worse, split the header.
func (s SecretStore) checked(store, key, value string) (Secret, error) {
	if value == "" {
		return Secret{}, fmt.Errorf("secret %q of store %q is empty", key, store)
	}
	if err := CheckHeaderValue(value); err != nil {
		return Secret{}, fmt.Errorf("secret %q of store %q %w", key, store, err)
	}
	return NewSecret(value), nil
}

// MaxStaticHeader is the most bytes that Envoy takes of a header's value in its
// configuration (envoy.config.core.v3.HeaderValue), where % counts twice.
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
