package faults

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"weir/internal/recorder"
)

// behaviour is what a provider of a row does: bytes on a socket, or what place
// makes of it.
type behaviour struct {
	// scripts has what it does with each request; the last one is for all that
	// follow too.
	scripts [][]step
	// place says in the place of a listener where the provider is, as fields of
	// its configuration.
	place func(testing.TB, *provider) string
	// keys is how many provider keys it has.
	keys int
}

func does(steps ...step) behaviour { return behaviour{scripts: [][]step{steps}} }

var answers = does(answer)

// first is a provider with a fault before one in health, only one alone.
func first(steps ...step) []behaviour { return []behaviour{does(steps...), answers} }

func only(steps ...step) []behaviour { return []behaviour{does(steps...)} }

// provider is a behaviour that runs, for one row.
type provider struct {
	behaviour
	id, letter string
	host       string // host:port
	mode       *mode
	client     *client
	peers      []*provider // all of the row

	mu       sync.Mutex
	requests int
	payload  []byte     // what was sent of the latest body
	count    func() int // in place of requests
}

// start returns the provider's fields in the configuration.
func (p *provider) start(t testing.TB) string {
	if p.place != nil {
		return p.place(t, p)
	}
	p.host = recorder.StartRaw(t, p.serve)
	return "base_url: http://" + p.host
}

func (p *provider) received() int {
	if p.count != nil {
		return p.count()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

func (p *provider) said() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.payload)
}

// exchange is a request that is being answered, over a connection of its own
// or over HTTP/2.
type exchange struct {
	*provider
	conn    *net.TCPConn
	http2   *recorder.Exchange
	gone    <-chan struct{}
	chunked bool
}

// serve reads one request after the other; a script that closes the
// connection ends it.
func (p *provider) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		gone, next := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(next)
			if _, err := in.Peek(1); err != nil {
				close(gone)
			}
		}()
		p.mu.Lock()
		script := p.scripts[min(p.requests, len(p.scripts)-1)]
		p.requests++
		p.payload = nil
		p.mu.Unlock()
		x := &exchange{provider: p, conn: conn.(*net.TCPConn), gone: gone}
		for _, s := range script {
			s(x)
		}
		<-next
	}
}

// fill puts the letters and addresses of the row's providers into a text.
func (p *provider) fill(s string) string {
	s = strings.ReplaceAll(s, "@", p.letter)
	for _, peer := range p.peers {
		s = strings.ReplaceAll(s, "{"+peer.letter+"}", peer.host)
	}
	return s
}

// write leaves errors to who reads: a gateway that has gone gets nothing.
func (x *exchange) write(s string) { _, _ = io.WriteString(x.conn, s) }

// say sends a part of the body, as a chunk of which size bytes are announced.
func (x *exchange) say(s string, size int) {
	s = x.fill(s)
	x.mu.Lock()
	x.payload = append(x.payload, s...)
	x.mu.Unlock()
	switch {
	case x.http2 != nil:
		_, _ = io.WriteString(x.http2, s)
		x.http2.Flush()
	case !x.chunked:
		x.write(s)
	case size > len(s):
		x.write(fmt.Sprintf("%x\r\n%s", size, s))
	default:
		x.write(fmt.Sprintf("%x\r\n%s\r\n", size, s))
	}
}
