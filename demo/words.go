package demo

import (
	"iter"
	"strings"
	"unicode"
)

// pieces splits text into words with the white space before each; the last one also
// has the white space after it. Joined, they are the text. Each counts as one token,
// so the deltas of a stream and the numbers in its usage agree.
func pieces(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for text != "" {
			end := strings.IndexFunc(text, isWord)
			if end < 0 {
				yield(text)
				return
			}
			if n := strings.IndexFunc(text[end:], unicode.IsSpace); n >= 0 {
				end += n
			} else {
				end = len(text)
			}
			if strings.IndexFunc(text[end:], isWord) < 0 {
				end = len(text)
			}
			if !yield(text[:end]) {
				return
			}
			text = text[end:]
		}
	}
}

func isWord(r rune) bool { return !unicode.IsSpace(r) }

func count(text string) int {
	n := 0
	for range pieces(text) {
		n++
	}
	return n
}

// cut keeps the first limit words of pieces; a limit of 0 keeps all.
func cut(text string, limit int) (kept string, shortened bool) {
	if limit == 0 {
		return text, false
	}
	n, size := 0, 0
	for piece := range pieces(text) {
		if n == limit {
			return text[:size], true
		}
		n++
		size += len(piece)
	}
	return text, false
}
