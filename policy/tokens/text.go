package tokens

import (
	"bytes"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// pieceSize is how much text is tokenised at once.
const pieceSize = 4 << 10

// text hands out what the inside of a JSON string spells, in pieces.
func (w *walk) text(raw []byte) {
	for len(raw) > 0 && !w.stopped {
		if len(w.buf)-w.used < utf8.UTFMax {
			w.flush(cut(w.buf[:w.used]))
		}
		room := w.buf[w.used:]
		plain := raw[:min(len(raw), len(room))]
		if i := bytes.IndexByte(plain, '\\'); i != 0 {
			if i > 0 {
				plain = plain[:i]
			}
			w.used += copy(room, plain)
			raw = raw[len(plain):]
			continue
		}
		r, size := unescape(raw)
		if r >= 0 {
			w.used += utf8.EncodeRune(room, r)
		}
		raw = raw[size:]
	}
	if !w.stopped {
		w.flush(w.used)
	}
}

// flush hands out the first n decoded bytes and keeps the others.
func (w *walk) flush(n int) {
	if n > 0 && !w.piece(w.buf[:n]) {
		w.stop()
	}
	w.used = copy(w.buf[:], w.buf[n:w.used])
}

// cut returns a place in the second half of b where tokens surely end: before a
// space that follows something else. Without one it is the last place that
// splits no character.
func cut(b []byte) int {
	for i := len(b) - 1; i > len(b)/2; i-- {
		if b[i] != ' ' {
			continue
		}
		if r, _ := utf8.DecodeLastRune(b[:i]); !unicode.IsSpace(r) {
			return i
		}
	}
	for i := len(b) - 1; i >= max(0, len(b)-utf8.UTFMax); i-- {
		if utf8.RuneStart(b[i]) && !utf8.FullRune(b[i:]) && i > 0 {
			return i
		}
	}
	return len(b)
}

// unescape reads the escape that raw starts with. A lone half of a surrogate
// pair is U+FFFD; what is no escape is nothing, -1.
func unescape(raw []byte) (r rune, size int) {
	if len(raw) < 2 {
		return -1, len(raw)
	}
	switch raw[1] {
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
		return rune(raw[1] & 0x7F), 2
	}
	r = hexRune(raw[2:])
	if r < 0 {
		return -1, 2
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(raw) >= 12 && raw[6] == '\\' && raw[7] == 'u' {
		if pair := utf16.DecodeRune(r, hexRune(raw[8:])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

// hexRune reads four hexadecimal digits; it gives -1 where there are none.
func hexRune(digits []byte) (r rune) {
	if len(digits) < 4 {
		return -1
	}
	for _, c := range digits[:4] {
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
