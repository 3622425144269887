package metadata

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// version begins each encoded value. Requests that are running while another version
// of Weir takes over carry values of the old version. Those are not read, because a
// field with another meaning is worse than a missing one.
const version = "1;"

var (
	errVersion   = errors.New("written by another version of Weir")
	errTruncated = errors.New("truncated")
	errTrailing  = errors.New("more than its fields")
	errMalformed = errors.New("malformed")
)

// coder writes or reads the fields of one value. Each field is a netstring
// (https://cr.yp.to/proto/netstrings.txt): its length in bytes, a colon, its text and
// a comma. Numbers are decimal,
// flags are 1 or empty, and bytes that need not be UTF-8 are base64, because
// metadata is text.
//
// A struct has one method that visits its fields in their order, for both
// directions, so that what is read is what was written.
type coder struct {
	writing bool
	out     []byte
	in      string
	err     error
}

// begin starts writing a value. size is its expected length, so that one allocation is
// enough.
func (c *coder) begin(size int) {
	c.writing = true
	c.out = append(make([]byte, 0, size), version...)
}

// overhead is the most that a field takes besides its text.
const overhead = 5

// newReader starts reading a value.
func newReader(s string) coder {
	rest, ok := strings.CutPrefix(s, version)
	if !ok {
		return coder{err: errVersion}
	}
	return coder{in: rest}
}

// end returns an error unless the whole text has been read without one.
func (c *coder) end() error {
	if c.err == nil && c.in != "" {
		return errTrailing
	}
	return c.err
}

// next returns the text of the next field.
func (c *coder) next() string {
	if c.err != nil {
		return ""
	}
	n, i := 0, 0
	for i < len(c.in) && '0' <= c.in[i] && c.in[i] <= '9' && n <= len(c.in) {
		n = n*10 + int(c.in[i]-'0')
		i++
	}
	begin, end := i+1, i+1+n
	switch {
	case i == len(c.in) || n > len(c.in):
		c.err = errTruncated
	case i == 0 || c.in[i] != ':':
		c.err = errMalformed
	case end >= len(c.in):
		c.err = errTruncated
	case c.in[end] != ',':
		c.err = errMalformed
	default:
		field := c.in[begin:end]
		c.in = c.in[end+1:]
		return field
	}
	return ""
}

// written returns what was written. The bytes are not used again.
func (c *coder) written() string { return unsafe.String(unsafe.SliceData(c.out), len(c.out)) }

// write writes a field.
func write[T string | []byte](c *coder, field T) {
	c.out = append(strconv.AppendInt(c.out, int64(len(field)), 10), ':')
	c.out = append(append(c.out, field...), ',')
}

func (c *coder) text(s *string) {
	if c.writing {
		write(c, *s)
	} else {
		*s = c.next()
	}
}

// content is text of which the value has the bytes.
func (c *coder) content(b *[]byte) {
	if c.writing {
		write(c, *b)
	} else {
		*b = []byte(c.next())
	}
}

// octets are text that need not be UTF-8.
func (c *coder) octets(s *string) {
	if c.writing {
		write(c, base64.StdEncoding.EncodeToString([]byte(*s)))
		return
	}
	b, err := base64.StdEncoding.DecodeString(c.next())
	if err != nil && c.err == nil {
		c.err = errMalformed
	}
	*s = string(b)
}

func (c *coder) number(n *int64) {
	if c.writing {
		var digits [20]byte
		write(c, strconv.AppendInt(digits[:0], *n, 10))
		return
	}
	field := c.next()
	v, err := strconv.ParseInt(field, 10, 64)
	if err != nil && c.err == nil {
		c.err = errMalformed
	}
	*n = v
}

func (c *coder) integer(n *int) {
	v := int64(*n)
	c.number(&v)
	*n = int(v)
}

func (c *coder) flag(f *bool) {
	switch {
	case !c.writing:
		*f = c.next() != ""
	case *f:
		write(c, "1")
	default:
		write(c, "")
	}
}

// duration has a resolution of 1 ms, and so has moment.
func (c *coder) duration(d *time.Duration) {
	ms := d.Milliseconds()
	c.number(&ms)
	if !c.writing {
		*d = time.Duration(ms) * time.Millisecond
	}
}

func (c *coder) moment(t *time.Time) {
	ms := t.UnixMilli()
	c.number(&ms)
	if !c.writing {
		*t = time.UnixMilli(ms)
	}
}

// length reads or writes the length of a list of at most most items. It returns the
// number of items to read; 0 when writing.
func (c *coder) length(n, most int) (read int) {
	c.integer(&n)
	if c.writing {
		return 0
	}
	if c.err == nil && (n < 0 || n > most || n > len(c.in)) { // each item takes a byte or more
		c.err = errMalformed
	}
	if c.err != nil {
		return 0
	}
	return n
}
