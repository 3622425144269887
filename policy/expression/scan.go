package expression

import "strings"

// closing returns the position of the brace that ends an expression which begins after
// ${. Braces in CEL's strings and comments do not count. See
// https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax.
func closing(s string) (int, bool) {
	depth := 0
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '{':
			depth++
		case c == '}' && depth == 0:
			return i, true
		case c == '}':
			depth--
		case strings.HasPrefix(s[i:], "//"):
			n := strings.IndexByte(s[i:], '\n')
			if n < 0 {
				return 0, false
			}
			i += n
		case c == '\'' || c == '"':
			n, ok := quoted(s[i:], rawBefore(s[:i]))
			if !ok {
				return 0, false
			}
			i += n
			continue
		}
		i++
	}
	return 0, false
}

// quoted returns the length of the string literal at the start of s.
func quoted(s string, raw bool) (int, bool) {
	quote := s[:1]
	if strings.HasPrefix(s, strings.Repeat(quote, 3)) {
		quote = s[:3]
	}
	for i := len(quote); i < len(s); i++ {
		switch {
		case s[i] == '\\' && !raw:
			i++
		case strings.HasPrefix(s[i:], quote):
			return i + len(quote), true
		case s[i] == '\n' && len(quote) == 1:
			return 0, false
		}
	}
	return 0, false
}

// rawBefore reports whether a quote after s begins a raw string: r"…", br"…".
func rawBefore(s string) bool {
	prefix := len(s)
	for prefix > 0 && len(s)-prefix < 2 && strings.IndexByte("rRbB", s[prefix-1]) >= 0 {
		prefix--
	}
	if prefix > 0 && prefix < len(s) && isWord(s[prefix-1]) {
		return false // the letters are the end of a name
	}
	return strings.ContainsAny(s[prefix:], "rR")
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
