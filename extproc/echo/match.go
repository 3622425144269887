package echo

import (
	"bytes"
	"html"
	"strconv"
)

// verdict is the result of matching at an offset.
type verdict int

const (
	other      verdict = iota
	unfinished         // the bytes end before it is known
	found
)

// match compares a text with b at an offset. Each character of the text may be itself,
// or be escaped as in JSON, URLs and HTML: encoders differ in what they escape, and
// may be combined. last means that nothing follows b.
func match(b []byte, at int, text []byte, last bool) (end int, v verdict) {
	for _, c := range text {
		if at, v = character(b, at, c, last); v != found {
			return at, v
		}
	}
	return at, found
}

// maxBackslashes is the highest number of backslashes before a character: JSON nested
// four times in JSON strings has as many.
const maxBackslashes = 16

// maxEntity bounds a character reference of HTML.
const maxEntity = 10

// character matches one character of a text.
func character(b []byte, at int, c byte, last bool) (end int, v verdict) {
	if at == len(b) {
		return at, short(last)
	}
	switch b[at] {
	case '\\':
		return escaped(b, at, c, last)
	case '%':
		if end, v := percent(b, at, c, last); v != other {
			return end, v
		}
	case '&':
		if end, v := entity(b, at, c, last); v != other {
			return end, v
		}
	case '+':
		if c == ' ' {
			return at + 1, found
		}
	}
	if b[at] == c {
		return at + 1, found
	}
	return at, other
}

// short returns the verdict for a match that is incomplete at the end of b.
func short(last bool) verdict {
	if last {
		return other
	}
	return unfinished
}

// escaped matches backslashes and what follows them: a character, or u and four
// hexadecimal digits. A run of backslashes in a text is one: see collapse.
func escaped(b []byte, at int, c byte, last bool) (end int, v verdict) {
	end = at
	for end < len(b) && b[end] == '\\' {
		if end++; end-at > maxBackslashes {
			return at, other
		}
	}
	if end == len(b) && !last {
		return at, unfinished
	}
	if end < len(b) && b[end] == 'u' {
		digits := b[end+1 : min(end+5, len(b))]
		n, err := strconv.ParseUint(string(digits), 16, 16)
		switch {
		case len(digits) < 4 && !last && (len(digits) == 0 || err == nil):
			return at, unfinished
		case len(digits) == 4 && err == nil && n == uint64(c):
			return end + 5, found
		}
	}
	switch {
	case c == '\\':
		return end, found
	case end < len(b) && b[end] == c:
		return end + 1, found
	}
	return at, other
}

// maxPercent is the highest number of times that a URL may have been escaped.
const maxPercent = 3

// percent matches a percent-encoded character, possibly encoded several times.
func percent(b []byte, at int, c byte, last bool) (end int, v verdict) {
	end = at + 1
	for range maxPercent {
		if end+2 > len(b) {
			return at, short(last)
		}
		digits := string(b[end : end+2])
		if n, err := strconv.ParseUint(digits, 16, 8); err == nil && n == uint64(c) {
			return end + 2, found
		}
		if digits != "25" {
			break
		}
		end += 2
	}
	return at, other
}

// entity matches a character reference of HTML.
func entity(b []byte, at int, c byte, last bool) (end int, v verdict) {
	text := b[at:min(at+maxEntity, len(b))]
	n := bytes.IndexByte(text, ';')
	switch {
	case n < 0 && len(text) < maxEntity && !last:
		return at, unfinished
	case n < 0:
		return at, other
	}
	if decoded := html.UnescapeString(string(text[:n+1])); decoded == string(rune(c)) {
		return at + n + 1, found
	}
	return at, other
}

// collapse replaces each run of backslashes by one.
func collapse(text string) []byte {
	b := make([]byte, 0, len(text))
	for i := range len(text) {
		if text[i] != '\\' || i == 0 || text[i-1] != '\\' {
			b = append(b, text[i])
		}
	}
	return b
}
