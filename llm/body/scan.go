package body

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"weir/internal/jsontext"
	"weir/llm"
)

// maxEscape is the longest spelling of one decoded byte: \u0041.
const MaxEscape = 6

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipKey reads a key and its colon at i; value is where its value starts.
func skipKey(b []byte, i int) (key Span, value int, err *llm.Error) {
	if i >= len(b) || b[i] != '"' {
		return key, 0, unexpected(b, i, "a key in double quotes")
	}
	end, err := skipString(b, i)
	if err != nil {
		return key, 0, err
	}
	colon := skipSpace(b, end)
	if colon >= len(b) || b[colon] != ':' {
		return key, 0, unexpected(b, colon, "':'")
	}
	return Span{i, end}, skipSpace(b, colon+1), nil
}

// skipValue reads a value that a member of the outer object has, however
// deep. It keeps its own stack, one bit a level, so that no client sizes ours.
func skipValue(b []byte, i int) (int, *llm.Error) {
	var stack [maxJSONDepth/64 + 1]uint64 // bit set: that level is an object
	depth := 0
	for {
		if i >= len(b) {
			return 0, truncated(b)
		}
		var err *llm.Error
		switch c := b[i]; c {
		case '{', '[':
			if depth+1 == maxJSONDepth { // the outer object is a level too
				return 0, llm.Errorf(llm.InvalidBody, "the request body is nested deeper than %d levels at byte %d", maxJSONDepth, i)
			}
			bit := uint64(1) << (depth % 64)
			stack[depth/64] &^= bit
			if c == '{' {
				stack[depth/64] |= bit
			}
			depth++
			i = skipSpace(b, i+1)
			if i < len(b) && b[i] == c+2 { // '}' and ']' follow their openers by two
				break
			}
			if c == '{' {
				if _, i, err = skipKey(b, i); err != nil {
					return 0, err
				}
			}
			continue
		case '"':
			i, err = skipString(b, i)
		case 't', 'f', 'n':
			i, err = skipLiteral(b, i)
		default:
			i, err = skipNumber(b, i)
		}
		if err != nil {
			return 0, err
		}
		// A value has ended, or all that is left of one is its closer: close
		// what ends here, up to the comma before the next value.
		for {
			if depth == 0 {
				return i, nil
			}
			i = skipSpace(b, i)
			object := stack[(depth-1)/64]>>((depth-1)%64)&1 == 1
			closer, want := byte(']'), "',' or ']'"
			if object {
				closer, want = '}', "',' or '}'"
			}
			if i < len(b) && b[i] == closer {
				depth--
				i++
				continue
			}
			if i >= len(b) || b[i] != ',' {
				return 0, unexpected(b, i, want)
			}
			i = skipSpace(b, i+1)
			if object {
				if _, i, err = skipKey(b, i); err != nil {
					return 0, err
				}
			}
			break
		}
	}
}

// skipString reads a string at its opening quote. It looks at eight bytes at
// a time: most of a body's bytes are in a few long strings.
func skipString(b []byte, i int) (int, *llm.Error) {
	start := i
	var seen uint64 // or of all bytes: any above ASCII shows in a high bit
	for i++; ; {
		for i+8 <= len(b) {
			word := binary.LittleEndian.Uint64(b[i:])
			seen |= word
			if stop := stopBytes(word); stop != 0 {
				i += bits.TrailingZeros64(stop) / 8
				break
			}
			i += 8
		}
		for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
			seen |= uint64(b[i])
			i++
		}
		if i >= len(b) {
			return 0, truncated(b)
		}
		switch b[i] {
		case '"':
			if seen&highBits != 0 {
				if err := checkUTF8(b, start, i); err != nil {
					return 0, err
				}
			}
			return i + 1, nil
		case '\\':
			var err *llm.Error
			if i, err = skipEscape(b, i); err != nil {
				return 0, err
			}
		default:
			return 0, llm.Errorf(llm.InvalidBody, "the request body is not valid JSON at byte %d: a control character in a string must be escaped", i)
		}
	}
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// stopBytes sets the high bit of the first byte of word, if any, that is a
// quote, a backslash or a control character. Bits above that one may be wrong:
// a borrow runs upwards only.
func stopBytes(word uint64) uint64 {
	quote := word ^ '"'*lowBits
	backslash := word ^ '\\'*lowBits
	zero := (quote-lowBits)&^quote | (backslash-lowBits)&^backslash
	control := (word - ' '*lowBits) &^ word
	return (zero | control) & highBits
}

func checkUTF8(b []byte, start, end int) *llm.Error {
	if utf8.Valid(b[start:end]) {
		return nil
	}
	for i := start; i < end; {
		r, size := utf8.DecodeRune(b[i:end])
		if r == utf8.RuneError && size == 1 {
			return notUTF8(i)
		}
		i += size
	}
	return nil
}

func skipEscape(b []byte, i int) (int, *llm.Error) {
	if i+1 >= len(b) {
		return 0, truncated(b)
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, nil
	case 'u':
		for j := i + 2; j < i+6; j++ {
			if j >= len(b) || !isHex(b[j]) {
				return 0, unexpected(b, j, "a hexadecimal digit")
			}
		}
		return i + 6, nil
	}
	return 0, unexpected(b, i+1, `a character that '\' can escape`)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func skipLiteral(b []byte, i int) (int, *llm.Error) {
	literal := "null"
	switch b[i] {
	case 't':
		literal = "true"
	case 'f':
		literal = "false"
	}
	for j := range len(literal) {
		if i+j >= len(b) || b[i+j] != literal[j] {
			return 0, unexpected(b, i+j, literal)
		}
	}
	return i + len(literal), nil
}

func skipNumber(b []byte, i int) (int, *llm.Error) {
	want := "a value"
	if b[i] == '-' {
		i, want = i+1, "a digit"
	}
	var err *llm.Error
	if i < len(b) && b[i] == '0' { // no digit may follow a leading zero
		i++
	} else if i, err = skipDigits(b, i, want); err != nil {
		return 0, err
	}
	if i < len(b) && b[i] == '.' {
		if i, err = skipDigits(b, i+1, "a digit"); err != nil {
			return 0, err
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return skipDigits(b, i, "a digit")
	}
	return i, nil
}

// skipDigits reads one digit or more.
func skipDigits(b []byte, i int, want string) (int, *llm.Error) {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i == start {
		return 0, unexpected(b, i, want)
	}
	return i, nil
}

// Unquote appends the text of the inside of a valid JSON string to dst. A lone half of a
// surrogate pair becomes U+FFFD, as in encoding/json; lone reports whether there was one.
func Unquote(dst, text []byte) (decoded []byte, lone bool) {
	for len(text) > 0 {
		if text[0] != '\\' {
			dst, text = append(dst, text[0]), text[1:]
			continue
		}
		r, size := jsontext.Unescape(text)
		if r == utf8.RuneError && !bytes.EqualFold(text[2:6], []byte("fffd")) {
			lone = true
		}
		dst, text = utf8.AppendRune(dst, r), text[size:]
	}
	return dst, lone
}
