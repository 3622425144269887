// Package jsontext writes JSON strings and reads their escapes, for code that edits JSON
// as bytes or writes it without allocating. Everything else uses encoding/json, which
// also escapes what is special in HTML.
package jsontext

import (
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendString appends s as a JSON string. It escapes only what JSON requires. Bytes that
// are not UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte { return appendString(dst, s, "", false) }

// AppendPrintable appends s, followed by end, as a JSON string in which everything that is
// not printable is escaped: characters that move a terminal's cursor, change the
// direction of text or break lines. Bytes that are not UTF-8 become U+FFFD.
func AppendPrintable(dst []byte, s, end string) []byte { return appendString(dst, s, end, true) }

func appendString(dst []byte, s, end string, printable bool) []byte {
	dst = append(dst, '"')
	from := 0 // s[from:i] is not yet appended
	for i := 0; i < len(s); {
		if c := s[i]; c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r >= 0x7f && (r != utf8.RuneError || n > 1) && (!printable || unicode.IsPrint(r)) {
			i += n
			continue
		}
		dst = append(dst, s[from:i]...)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == utf8.RuneError && !printable:
			dst = utf8.AppendRune(dst, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = appendEscape(appendEscape(dst, high), low)
		default:
			dst = appendEscape(dst, r)
		}
		i += n
		from = i
	}
	return append(append(append(dst, s[from:]...), end...), '"')
}

func appendEscape(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[r>>12&0xf], hex[r>>8&0xf], hex[r>>4&0xf], hex[r&0xf])
}

// Unescape reads the escape at the beginning of text, which is inside of a JSON string. It
// returns the character and the length of the escape. A lone half of a surrogate pair is
// U+FFFD. Where there is no escape, r is -1 and size is what to skip.
func Unescape(text []byte) (r rune, size int) {
	if len(text) < 2 {
		return -1, len(text)
	}
	switch text[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
	default:
		return rune(text[1] & 0x7F), 2
	}
	if r = unit(text); r < 0 {
		return -1, 2
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if pair := utf16.DecodeRune(r, unit(text[6:])); pair != utf8.RuneError {
		return pair, 12
	}
	return utf8.RuneError, 6
}

// unit returns the UTF-16 unit of a \u escape at the beginning of text, -1 if there is
// none.
func unit(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	r := rune(0)
	for _, c := range text[2:6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return r
}
