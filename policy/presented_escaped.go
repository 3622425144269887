package policy

import (
	"bytes"
	"strconv"
	"strings"

	"weir/llm/body"
)

// Escapes of JSON: unicodeEscape begins one by the number of a character, such as \u002d
// for a hyphen.
var (
	unicodeEscape    = []byte(`\u00`)
	characterEscapes = [][]byte{[]byte(`\/`), []byte(`\"`), []byte(`\\`)}
)

// appendEscaped appends the occurrences of a text in JSON in which any character is
// escaped. Most bodies have no such escape: they are only searched for one. The time is
// linear in the size of the body, whatever the text is.
func appendEscaped(dst []body.Span, b []byte, text string) []body.Span {
	first := firstEscape(b, text)
	if first < 0 {
		return dst
	}
	// The text may begin before its first escape, with characters that are not escaped.
	at := max(first-len(text)*body.MaxEscape, 0)
	if i := bytes.LastIndexByte(b[:at], '"'); i >= 0 {
		at = i // not inside of an escape, or at a quote that is escaped
	} else {
		at = 0
	}
	borders := bordersOf(text)
	starts := make([]int, len(text)) // where the last characters began, as a ring
	matched, before := 0, len(dst)
	for n := 0; at < len(b); n++ {
		c, size := firstChar(b[at:])
		starts[n%len(text)] = at
		at += size
		for matched > 0 && text[matched] != c {
			matched = borders[matched-1]
		}
		if text[matched] == c {
			matched++
		}
		if matched == len(text) {
			// Another may overlap it: all are found, so that none begins inside of an
			// escape that was taken for another.
			start := starts[(n+1)%len(text)]
			if last := len(dst) - 1; last >= before && start < dst[last].End {
				dst[last].End = at
			} else {
				dst = append(dst, body.Span{Start: start, End: at})
			}
			matched = borders[matched-1]
		}
	}
	return dst
}

// firstEscape returns the first escape of a character of the text.
func firstEscape(b []byte, text string) int {
	first := -1
	for _, escape := range characterEscapes {
		if strings.IndexByte(text, escape[1]) < 0 {
			continue
		}
		if i := bytes.Index(b, escape); i >= 0 {
			first, b = i, b[:i]
		}
	}
	if i := firstNumber(b, text); i >= 0 {
		return i
	}
	return first
}

func firstNumber(b []byte, text string) int {
	var has [256]bool
	for i := range len(text) {
		has[text[i]] = true
	}
	for from := 0; ; {
		i := bytes.Index(b[from:], unicodeEscape)
		if i < 0 {
			return -1
		}
		from += i
		if c, size := firstChar(b[from:]); size == body.MaxEscape && has[c] {
			return from
		}
		from += len(unicodeEscape)
	}
}

// firstChar returns the first character of JSON text, and its size in bytes. For an escape
// of a character outside of ASCII it returns 0, which no credential contains.
func firstChar(b []byte) (c byte, size int) {
	switch {
	case b[0] != '\\' || len(b) == 1:
		return b[0], 1
	case b[1] == '/' || b[1] == '"' || b[1] == '\\':
		return b[1], 2
	case b[1] != 'u' || len(b) < body.MaxEscape:
		return 0, 2
	}
	n, err := strconv.ParseUint(string(b[2:body.MaxEscape]), 16, 16)
	if err != nil || n > 0x7e {
		return 0, body.MaxEscape
	}
	return byte(n), body.MaxEscape
}

// bordersOf returns the failure function of Knuth, Morris and Pratt: for each prefix of the
// text, the length of its longest proper prefix that is also its suffix.
func bordersOf(text string) []int {
	borders := make([]int, len(text))
	n := 0
	for i := 1; i < len(text); i++ {
		for n > 0 && text[n] != text[i] {
			n = borders[n-1]
		}
		if text[n] == text[i] {
			n++
		}
		borders[i] = n
	}
	return borders
}
