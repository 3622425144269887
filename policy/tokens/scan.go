package tokens

import "bytes"

// cursor reads JSON that is known to be valid. It checks only what it needs to continue. If
// it finds something unexpected, it moves to the end of the body, and never beyond.
type cursor struct {
	body []byte
	at   int
}

// peek skips white space and returns the next byte, or 0 at the end.
func (c *cursor) peek() byte {
	for ; c.at < len(c.body); c.at++ {
		switch b := c.body[c.at]; b {
		case ' ', '\n', '\r', '\t':
		default:
			return b
		}
	}
	return 0
}

// fail moves to the end.
func (c *cursor) fail() { c.at = len(c.body) }

// more reports whether an object or array has another element, and moves to it, or past
// the closing bracket. At the first call, the cursor is at the opening bracket.
func (c *cursor) more(first bool, closer byte) bool {
	if first {
		c.at++
	}
	switch b := c.peek(); {
	case b == 0:
		return false
	case b == closer:
		c.at++
		return false
	case first:
		return true
	case b == ',':
		c.at++
		return c.peek() != 0
	}
	c.fail()
	return false
}

// key reads a key and its colon, and returns the text between its quotes.
func (c *cursor) key() (raw []byte) {
	if c.peek() != '"' {
		c.fail()
		return nil
	}
	raw = c.str()
	if c.peek() != ':' {
		c.fail()
		return nil
	}
	c.at++
	return raw
}

// str reads a string from its opening quote, and returns the text between its quotes.
func (c *cursor) str() (raw []byte) {
	start := c.at + 1
	for i := start; ; i++ {
		n := bytes.IndexByte(c.body[i:], '"')
		if n < 0 {
			c.fail()
			return nil
		}
		i += n
		slashes := 0
		for i-slashes > start && c.body[i-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			c.at = i + 1
			return c.body[start:i]
		}
	}
}

// scalar reads and returns a number or a literal.
func (c *cursor) scalar() (raw []byte) {
	start := c.at
	for ; c.at < len(c.body); c.at++ {
		switch c.body[c.at] {
		case ',', ']', '}', ' ', '\n', '\r', '\t':
			if c.at == start {
				c.fail()
				return nil
			}
			return c.body[start:c.at]
		case '"', '[', '{', ':':
			c.fail()
			return nil
		}
	}
	return nil
}

// skip moves past a value.
func (c *cursor) skip() {
	for depth := 0; ; {
		switch c.peek() {
		case 0:
			return
		case '{', '[':
			depth++
			c.at++
		case '}', ']':
			depth--
			c.at++
		case '"':
			c.str()
		case ',', ':':
			c.at++
		default:
			c.scalar()
		}
		if depth <= 0 {
			return
		}
	}
}
