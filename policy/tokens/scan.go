package tokens

import "bytes"

// A cursor reads JSON that is known to be valid. It checks no more than it
// needs to go on, and never leaves the body: where something else stands than
// it expects, it goes to the end.
type cursor struct {
	body []byte
	at   int
}

// peek skips white space and gives the next byte, 0 at the end.
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

func (c *cursor) fail() { c.at = len(c.body) }

// more tells whether an object or array goes on, and moves to what is next in
// it, or behind its closer. At first the cursor is at the opener.
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

// key reads a key and its colon, and gives the inside of its quotes.
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

// str reads a string at its opening quote, and gives what is inside.
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

// scalar reads a number or a literal.
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

// skip passes a value over, however deep.
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
