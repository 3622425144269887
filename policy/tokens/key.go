package tokens

import (
	"bytes"
	"unicode/utf8"

	"weir/internal/jsontext"
	"weir/llm/prompt"
)

// decodeKey appends the decoded inside of a key to dst. It returns a key that is too long
// to be known unchanged.
func decodeKey(dst, raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	for rest := raw; len(rest) > 0; {
		if len(dst) > prompt.MaxKey {
			return raw
		}
		if rest[0] != '\\' {
			dst, rest = append(dst, rest[0]), rest[1:]
			continue
		}
		r, size := jsontext.Unescape(rest)
		if r >= 0 {
			dst = utf8.AppendRune(dst, r)
		}
		rest = rest[size:]
	}
	return dst
}
