// Package echo finds the credentials of a provider in responses of that provider, and
// replaces them. Servers repeat credentials in error messages, as they are or escaped. The
// package works on bytes in chunks of any size and does not know HTTP.
package echo

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
)

// Redacted replaces a credential.
const Redacted = "[redacted]"

// MinLength is the length of the shortest credential that is searched for. Shorter
// ones are placeholders for servers that need none ("none", "ollama") and occur as
// words in their messages.
const MinLength = 8

// Finder finds a set of credentials. It may be used by several goroutines.
type Finder struct {
	texts [][]byte
	// starts holds the texts that may begin with a byte, by that byte.
	starts [256][][]byte
}

// New returns a Finder of credentials. It ignores those shorter than MinLength.
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
	for _, text := range f.texts {
		for _, c := range []byte{text[0], '\\', '%', '&'} {
			if have := f.starts[c]; len(have) == 0 || &have[len(have)-1][0] != &text[0] {
				f.starts[c] = append(have, text)
			}
		}
	}
	return f
}

// Empty reports whether there is nothing to find.
func (f *Finder) Empty() bool { return len(f.texts) == 0 }

func (f *Finder) add(c string) {
	if len(c) < MinLength {
		return
	}
	f.text(c)
	f.text(hex.EncodeToString([]byte(c)))
	f.text(strings.ToUpper(hex.EncodeToString([]byte(c))))
	// In base64, the bytes before a text shift it by one of three offsets.
	for shift := range 3 {
		padded := append(make([]byte, shift), c...)
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := enc.EncodeToString(padded)
			from, to := (shift*8+5)/6, len(padded)*8/6 // without characters that also hold bits of the neighbours
			f.text(text[from:to])
		}
	}
}

func (f *Finder) text(text string) {
	b := collapse(text)
	if len(text) >= MinLength && len(b) > 0 && !slices.ContainsFunc(f.texts, func(have []byte) bool { return bytes.Equal(have, b) }) {
		f.texts = append(f.texts, b)
	}
}

// In reports whether a text contains a credential.
func (f *Finder) In(text string) bool {
	at, end := f.next([]byte(text), 0, true)
	return at < end
}

// next returns the first credential from an offset on, and the longest one if several
// begin there. If there is none, at and end are the length of b, or the offset from
// which b may be the beginning of a credential that continues after b.
func (f *Finder) next(b []byte, from int, last bool) (at, end int) {
	for i := from; i < len(b); i++ {
		texts := f.starts[b[i]]
		if len(texts) == 0 {
			continue
		}
		longest := i
		for _, text := range texts {
			end, verdict := match(b, i, text, last)
			switch verdict {
			case unfinished:
				return i, i
			case found:
				longest = max(longest, end)
			}
		}
		if longest > i {
			return i, longest
		}
	}
	return len(b), len(b)
}

// Stream replaces credentials in a body that arrives in chunks. It holds back only
// what may be the beginning of a credential.
type Stream struct {
	finder *Finder
	held   []byte
}

// Stream returns a Stream for a new body.
func (f *Finder) Stream() *Stream { return &Stream{finder: f} }

// Next takes a chunk and returns the bytes to send in its place; changed is false if
// they are the chunk itself. After the last chunk nothing is held back.
func (s *Stream) Next(chunk []byte, last bool) (out []byte, changed bool) {
	b := chunk
	if len(s.held) > 0 {
		b = append(s.held, chunk...)
		changed = true
	}
	from := 0
	for {
		at, end := s.finder.next(b, from, last)
		if at == end {
			if held := b[at:]; len(held) > 0 {
				changed = true
			}
			if !changed {
				return chunk, false
			}
			out = append(out, b[from:at]...)
			s.held = append([]byte(nil), b[at:]...)
			return out, true
		}
		changed = true
		out = append(append(out, b[from:at]...), Redacted...)
		from = end
	}
}
