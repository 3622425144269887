package recorder

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// listener numbers the connections and decrypts TLS. The handshake happens with the
// first read, so Accept does not wait for it.
type listener struct {
	net.Listener
	tls      *tls.Config
	accepted atomic.Int64
}

func (l *listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: accepted, tcp: accepted.(*net.TCPConn), id: int(l.accepted.Add(1))}
	if l.tls != nil {
		c.tls = tls.Server(accepted, l.tls)
		c.Conn = c.tls
	}
	return c, nil
}

// conn keeps the header lines of the HTTP/1 requests that are read from it.
type conn struct {
	net.Conn
	tcp *net.TCPConn
	tls *tls.Conn // nil without TLS
	id  int

	mu  sync.Mutex
	tap tap
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	c.tap.feed(b[:n])
	c.mu.Unlock()
	return n, err
}

// nextHead removes and returns the oldest header lines.
func (c *conn) nextHead() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tap.heads) == 0 {
		return nil
	}
	head := c.tap.heads[0]
	c.tap.heads = c.tap.heads[1:]
	return head
}

// reset ends the connection with a RST instead of a FIN.
func (c *conn) reset() {
	_ = c.tcp.SetLinger(0)
	_ = c.tcp.Close()
}

// tap parses the HTTP/1 requests in a stream of bytes and keeps their header lines:
// net/http keeps neither their order nor their case.
type tap struct {
	heads [][]string

	state tapState
	line  []byte   // begun but not ended
	lines []string // of the head so far, the request line first
	left  int64    // bytes of a body or chunk to skip
	after tapState // what follows them
}

type tapState int

const (
	inHead tapState = iota
	inChunkSize
	inTrailer
	skipping
	lost // HTTP/2, or not valid HTTP/1
)

func (t *tap) feed(b []byte) {
	for len(b) > 0 && t.state != lost {
		if t.state == skipping {
			n := min(int64(len(b)), t.left)
			b = b[n:]
			t.left -= n
			if t.left == 0 {
				t.state = t.after
			}
			continue
		}
		end := bytes.IndexByte(b, '\n') + 1
		if end == 0 {
			t.line = append(t.line, b...)
			return
		}
		t.line = append(t.line, b[:end]...)
		b = b[end:]
		t.state = t.next(strings.TrimSuffix(strings.TrimSuffix(string(t.line), "\n"), "\r"))
		t.line = t.line[:0]
	}
}

func (t *tap) next(line string) tapState {
	switch t.state {
	case inHead:
		switch {
		case line != "":
			t.lines = append(t.lines, line)
			return inHead
		case len(t.lines) == 0 || strings.HasSuffix(t.lines[0], " HTTP/2.0"):
			return lost
		}
		head := t.lines[1:]
		t.lines = nil
		t.heads = append(t.heads, head)
		return t.body(head)
	case inChunkSize:
		digits, _, _ := strings.Cut(line, ";")
		size, err := strconv.ParseInt(strings.TrimSpace(digits), 16, 63)
		switch {
		case err != nil || size < 0:
			return lost
		case size == 0:
			return inTrailer
		}
		return t.skip(size+int64(len("\r\n")), inChunkSize)
	case inTrailer:
		if line == "" {
			return inHead
		}
		return inTrailer
	default:
		return lost
	}
}

// body returns the state after the header lines of a request.
func (t *tap) body(head []string) tapState {
	length := int64(0)
	for _, line := range head {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "transfer-encoding":
			return inChunkSize
		case "content-length":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return lost
			}
			length = n
		}
	}
	if length == 0 {
		return inHead
	}
	return t.skip(length, inHead)
}

func (t *tap) skip(n int64, after tapState) tapState {
	t.left, t.after = n, after
	return skipping
}
