// Package echo finds the credentials of a provider in what the provider sent
// back, in the ways in which servers repeat what they were sent, and replaces
// them. It looks at bytes as they come, in chunks of any size, and knows nothing
// of HTTP. It imports nothing of Weir.
package echo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"
)

// Redacted takes the place of a credential.
const Redacted = "[redacted]"

// MinLength is the length of the shortest credential that is looked for. Shorter
// ones are placeholders for servers that need none ("none", "ollama"), and words
// of their messages.
const MinLength = 8

// Finder finds a set of credentials. It may be used by several goroutines.
type Finder struct{ forms [][]byte }

// New makes a Finder of credentials.
func New(credentials ...string) *Finder {
	f := &Finder{}
	for _, c := range credentials {
		f.add(c)
		// A header's value is a scheme and a credential.
		if _, bare, ok := strings.Cut(c, " "); ok {
			f.add(bare)
			c = bare
		}
		// The credential of Basic is a name and a password in base64.
		if decoded, err := base64.StdEncoding.DecodeString(c); err == nil && bytes.IndexByte(decoded, ':') >= 0 {
			f.add(string(decoded))
			_, password, _ := strings.Cut(string(decoded), ":")
			f.add(password)
		}
	}
	// Where one form begins another, the longer one is replaced whole.
	slices.SortFunc(f.forms, func(a, b []byte) int { return len(b) - len(a) })
	return f
}

// Empty reports whether there is nothing to find.
func (f *Finder) Empty() bool { return len(f.forms) == 0 }

func (f *Finder) add(c string) {
	if len(c) < MinLength {
		return
	}
	quoted, _ := json.Marshal(c)
	inner := string(quoted[1 : len(quoted)-1])
	escaped := url.QueryEscape(c)
	for _, form := range []string{
		c, inner, strings.ReplaceAll(inner, "/", `\/`), strings.ReplaceAll(inner, "+", `\u002B`), unescapedHTML(c),
		escaped, lowerHex(escaped), url.PathEscape(c), lowerHex(url.PathEscape(c)), html.EscapeString(c),
	} {
		f.form(form)
	}
	// In base64, what comes before shifts it by one of three.
	for shift := range 3 {
		padded := append(make([]byte, shift), c...)
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := enc.EncodeToString(padded)
			from, to := (shift*8+5)/6, len(padded)*8/6 // what the neighbours have no part in
			f.form(text[from:to])
		}
	}
}

func (f *Finder) form(text string) {
	if len(text) >= MinLength && !slices.ContainsFunc(f.forms, func(have []byte) bool { return string(have) == text }) {
		f.forms = append(f.forms, []byte(text))
	}
}

// unescapedHTML is the JSON of encoders that leave '&', '<' and '>' alone.
func unescapedHTML(c string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(c) // a string always encodes
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(b.String(), "\n"), `"`), `"`)
}

// lowerHex writes the escapes of a URL in small letters.
func lowerHex(escaped string) string {
	b := []byte(escaped)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

// In reports whether a text holds a credential.
func (f *Finder) In(text string) bool {
	for _, form := range f.forms {
		if strings.Contains(text, string(form)) {
			return true
		}
	}
	return false
}

// next finds the first credential from a place on; end is before at where there
// is none.
func (f *Finder) next(b []byte, from int) (at, end int) {
	at, end = len(b), -1
	for _, form := range f.forms {
		if i := bytes.Index(b[from:min(len(b), at+len(form)-1)], form); i >= 0 && from+i < at {
			at, end = from+i, from+i+len(form)
		}
	}
	return at, end
}

// begun is how many bytes at the end of b may be the beginning of a credential.
func (f *Finder) begun(b []byte) int {
	most := 0
	for _, form := range f.forms {
		for n := min(len(form)-1, len(b)); n > most; n-- {
			if bytes.HasSuffix(b, form[:n]) {
				most = n
				break
			}
		}
	}
	return most
}

// Stream replaces credentials in a body that comes in chunks. It keeps back no
// more than what may be the beginning of a credential.
type Stream struct {
	finder *Finder
	held   []byte
}

// Stream begins a body.
func (f *Finder) Stream() *Stream { return &Stream{finder: f} }

// Next takes a chunk and returns what is to be sent in its place; changed is
// false where that is the chunk itself. After the last chunk nothing is kept
// back.
func (s *Stream) Next(chunk []byte, last bool) (out []byte, changed bool) {
	b := chunk
	if len(s.held) > 0 {
		b = append(s.held, chunk...)
		changed = true
	}
	from := 0
	for {
		at, end := s.finder.next(b, from)
		if end < 0 {
			break
		}
		changed = true
		out = append(append(out, b[from:at]...), Redacted...)
		from = end
	}
	rest := b[from:]
	held := 0
	if !last {
		held = s.finder.begun(rest)
	}
	if held > 0 {
		changed = true
	}
	if !changed {
		return chunk, false
	}
	out = append(out, rest[:len(rest)-held]...)
	s.held = append([]byte(nil), rest[len(rest)-held:]...)
	return out, true
}
