package tokens

import (
	"unicode"
	"unicode/utf8"
)

// maxWord is the maximum length of a word, in bytes; a longer one is split. The time to merge
// a word grows with the square of its length.
const maxWord = 256

// class is a set of the character classes in the pattern of o200k_base.
type class uint8

const (
	initial class = 1 << iota // in the first half of a word: Lu Lt Lm Lo M
	final                     // in the second half: Ll Lm Lo M
	letter                    // L
	number                    // N
	space                     // White_Space
	newline                   // \r \n
)

var classes = []struct {
	class
	tables []*unicode.RangeTable
}{
	{initial, []*unicode.RangeTable{unicode.Lu, unicode.Lt, unicode.Lm, unicode.Lo, unicode.M}},
	{final, []*unicode.RangeTable{unicode.Ll, unicode.Lm, unicode.Lo, unicode.M}},
	{letter, []*unicode.RangeTable{unicode.L}},
	{number, []*unicode.RangeTable{unicode.N}},
	{space, []*unicode.RangeTable{unicode.White_Space}},
}

// classify sets the classes of the characters below U+10000.
func (v *vocabulary) classify() {
	for _, c := range classes {
		for _, t := range c.tables {
			for _, r := range t.R16 {
				for i := int(r.Lo); i <= int(r.Hi); i += int(r.Stride) {
					v.class[i] |= c.class
				}
			}
		}
	}
	v.class['\n'] |= newline
	v.class['\r'] |= newline
}

// next returns the classes and the length of the first character of text, or 0, 0 if text is
// empty.
func (v *vocabulary) next(text []byte) (class, int) {
	if len(text) == 0 {
		return 0, 0
	}
	if text[0] < utf8.RuneSelf {
		return v.class[text[0]], 1
	}
	r, size := utf8.DecodeRune(text)
	if int(r) < len(v.class) {
		return v.class[r], size
	}
	var found class
	for _, c := range classes {
		if unicode.In(r, c.tables...) {
			found |= c.class
		}
	}
	return found, size
}

// run returns the length of the characters at the beginning of text that are in one of the
// classes.
func (v *vocabulary) run(text []byte, classes class) (n int) {
	for {
		c, size := v.next(text[n:])
		if c&classes == 0 {
			return n
		}
		n += size
	}
}

// word returns the length of the first word of text, which must not be empty. A word is a
// match of this pattern of tiktoken's o200k_base, whose alternatives are tried in this order.
// A token never spans two words.
//
//	[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//	[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//	\p{N}{1,3}
//	 ?[^\s\p{L}\p{N}]+[\r\n/]*
//	\s*[\r\n]+
//	\s+(?!\S)
//	\s+
func (v *vocabulary) word(text []byte) int {
	text = text[:min(len(text), 2*maxWord)]
	n := v.letters(text)
	if n == 0 {
		n = v.numbers(text)
	}
	if n == 0 {
		n = v.others(text)
	}
	if n == 0 {
		n = v.spaces(text)
	}
	if n <= maxWord {
		return n
	}
	for n = maxWord; n > maxWord-utf8.UTFMax && !utf8.RuneStart(text[n]); n-- {
	}
	return n
}

// letters matches the first two alternatives.
func (v *vocabulary) letters(text []byte) int {
	n, initials := v.halves(text)
	if c, lead := v.next(text); lead > 0 && c&(newline|letter|number) == 0 {
		// A mark is a character before letters as well as one of them.
		after, initialsAfter := v.halves(text[lead:])
		switch {
		case after > 0:
			n = lead + after
		case n == 0 && initialsAfter > 0:
			n = lead + initialsAfter
		}
	}
	if n == 0 {
		n = initials
	}
	if n > 0 {
		n += contraction(text[n:])
	}
	return n
}

// halves returns the length of [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+,
// or 0 if it does not match, and the length of its first half alone.
func (v *vocabulary) halves(text []byte) (both, initials int) {
	for {
		c, size := v.next(text[initials:])
		if c&initial == 0 {
			break
		}
		initials += size
		if c&final != 0 {
			both = initials // the end if no final letter follows
		}
	}
	if n := v.run(text[initials:], final); n > 0 {
		both = initials + n
	}
	return both, initials
}

// contraction matches (?i:'s|'t|'re|'ve|'m|'ll|'d)?. Without regard to case, ſ equals s.
func contraction(text []byte) int {
	if len(text) < 2 || text[0] != '\'' {
		return 0
	}
	switch text[1] | 0x20 {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(text) < 3 {
		return 0
	}
	switch string([]byte{text[1] | 0x20, text[2] | 0x20}) {
	case "re", "ve", "ll":
		return 3
	}
	if string(text[1:3]) == "ſ" {
		return 3
	}
	return 0
}

// numbers matches the third alternative.
func (v *vocabulary) numbers(text []byte) (n int) {
	for range 3 {
		c, size := v.next(text[n:])
		if c&number == 0 {
			break
		}
		n += size
	}
	return n
}

// others matches the fourth alternative.
func (v *vocabulary) others(text []byte) (n int) {
	if text[0] == ' ' {
		n = 1
	}
	start := n
	for {
		c, size := v.next(text[n:])
		if size == 0 || c&(space|letter|number) != 0 {
			break
		}
		n += size
	}
	if n == start {
		return 0
	}
	for n < len(text) && (text[n] == '\r' || text[n] == '\n' || text[n] == '/') {
		n++
	}
	return n
}

// spaces matches the last three alternatives.
func (v *vocabulary) spaces(text []byte) int {
	n, last, lines := 0, 0, 0
	for {
		c, size := v.next(text[n:])
		if c&space == 0 {
			break
		}
		n, last = n+size, size
		if c&newline != 0 {
			lines = n
		}
	}
	switch {
	case lines > 0:
		return lines
	case n < len(text) && n > last:
		return n - last // the last one belongs to the next word
	}
	return n
}
