package tokens

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"weir/internal/jsontext"
)

// chunkSize is how many bytes of text are tokenized at once.
const chunkSize = 4 << 10

// text decodes the text between the quotes of a JSON string, and passes it on in chunks.
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
		r, size := jsontext.Unescape(raw)
		if r >= 0 {
			w.used += utf8.EncodeRune(room, r)
		}
		raw = raw[size:]
	}
	if !w.stopped {
		w.flush(w.used)
	}
}

// flush passes on the first n decoded bytes and keeps the others.
func (w *walk) flush(n int) {
	if n > 0 && !w.chunk(w.buf[:n]) {
		w.stop()
	}
	w.used = copy(w.buf[:], w.buf[n:w.used])
}

// cut returns an offset in the second half of b where a token ends: before a space that
// follows another character. If there is none, it returns the last offset that does not
// split a character.
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
