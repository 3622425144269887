package recorder

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Proxy is an HTTP proxy that opens tunnels (CONNECT, RFC 9110 9.3.6). It records the
// requests for tunnels.
type Proxy struct {
	addr string

	mu       sync.Mutex
	requests []*http.Request
	status   int
}

// StartProxy starts a proxy whose tunnels lead to the addresses that are given for their
// targets, such as {"api.example:443": provider.Addr()}. It refuses others with 502, and all
// with the status of Refuse.
func StartProxy(t testing.TB, to map[string]string) *Proxy {
	p := &Proxy{}
	p.addr = StartRaw(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		status := p.record(r)
		var provider net.Conn
		if status == http.StatusOK {
			if provider, err = net.Dial("tcp", to[r.Host]); err != nil || r.Method != http.MethodConnect {
				status = http.StatusBadGateway
			}
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 %d %s\r\n\r\n", status, http.StatusText(status))
		if status != http.StatusOK {
			return
		}
		var back sync.WaitGroup
		back.Go(func() {
			_, _ = io.Copy(c, provider)
			_ = c.Close()
		})
		_, _ = io.Copy(provider, in)
		_ = provider.Close()
		back.Wait()
	})
	return p
}

func (p *Proxy) record(r *http.Request) (status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, r)
	if p.status != 0 {
		return p.status
	}
	return http.StatusOK
}

// Addr returns host:port.
func (p *Proxy) Addr() string { return p.addr }

// Refuse makes the proxy reply to all requests with a status.
func (p *Proxy) Refuse(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

// Requests returns the requests for tunnels so far.
func (p *Proxy) Requests() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*http.Request(nil), p.requests...)
}
