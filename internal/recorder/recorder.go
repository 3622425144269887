// Package recorder is a provider for end-to-end tests: it records requests byte for byte,
// and responds normally or with a fault.
//
//	p := recorder.Start(t, recorder.WithName("alpha"))
//	p.Script(recorder.Status(503, nil, "busy"), recorder.CutMidStream(2))
//	// … send three requests through the proxy to p.URL() …
//	for _, r := range p.WaitRequests(t, 3) {
//		// r.Path, r.Header, r.RawHeader, r.Body, r.SNI
//	}
//
// A request is recorded when its body has arrived, before the response. The responses of
// a Script are used first, in the order in which requests are recorded. After them comes
// the function given to Respond, or else Default: it serves the endpoints of package demo,
// models, and audio transcriptions. Its text is ResponseText, which names the provider and
// the requested model.
//
// A test can also write a Response of its own, a function that uses the Exchange. This
// one makes sure that events have arrived before the connection breaks:
//
//	p.Script(func(x *recorder.Exchange) {
//		x.SendEvents(3)
//		<-clientHasThem
//		x.ResetConn()
//	})
//
// For faults below HTTP there are StartRaw and ClosedAddr.
//
// A provider serves HTTP/1.1, HTTP/2 over TLS and HTTP/2 with prior knowledge, on
// loopback. It makes no assertions: tests compare what it recorded.
package recorder

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// Provider is a running recording provider.
type Provider struct {
	// Name is its name in responses.
	Name string

	listener *listener
	ca       *CA

	mu       sync.Mutex
	requests []Request
	arrived  chan struct{} // closed and replaced with each request
	script   []Response
	respond  Response
	closed   bool
	handlers sync.WaitGroup

	forgetful bool
}

type options struct {
	name      string
	forgetful bool
	addr      string
	tlsNames  []string
	ca        *CA
	clientCA  *CA
	protocols []string
	streams   int
}

// Option is an option of Start.
type Option func(*options)

// WithName sets the name in responses; "provider" by default.
func WithName(name string) Option { return func(o *options) { o.name = name } }

// Forgetful keeps no requests, for tests that send very many: Requests, Last and
// WaitRequests return none.
func Forgetful() Option { return func(o *options) { o.forgetful = true } }

// WithAddr listens on an address, for a provider that restarts or that listens on IPv6;
// 127.0.0.1:0 by default.
func WithAddr(addr string) Option { return func(o *options) { o.addr = addr } }

// WithTLS serves TLS with a certificate for these host names and IP addresses, or for
// 127.0.0.1 and localhost if there are none.
func WithTLS(names ...string) Option {
	if len(names) == 0 {
		names = []string{"127.0.0.1", "localhost"}
	}
	return func(o *options) { o.tlsNames = names }
}

// WithCA signs the certificate of WithTLS by ca; by default the provider has a
// CA of its own.
func WithCA(ca *CA) Option { return func(o *options) { o.ca = ca } }

// WithClientCA, together with WithTLS, refuses clients without a certificate of ca.
func WithClientCA(ca *CA) Option { return func(o *options) { o.clientCA = ca } }

// WithProtocols sets the protocols, "http/1.1" and "h2". With TLS, ALPN offers them, and
// the default is both. Without TLS, HTTP/2 is recognised by its preface, and the default
// is HTTP/1.1 alone.
func WithProtocols(protocols ...string) Option {
	return func(o *options) { o.protocols = protocols }
}

// WithMaxStreams sets how many concurrent streams an HTTP/2 connection may have.
func WithMaxStreams(n int) Option { return func(o *options) { o.streams = n } }

// Start starts a provider. It stops when the test ends.
func Start(t testing.TB, opts ...Option) *Provider {
	t.Helper()
	o := options{name: "provider", addr: "127.0.0.1:0"}
	for _, opt := range opts {
		opt(&o)
	}
	if o.protocols == nil {
		o.protocols = []string{"http/1.1"}
		if o.tlsNames != nil {
			o.protocols = []string{"h2", "http/1.1"}
		}
	}
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		t.Fatalf("recorder: %v", err)
	}
	p := &Provider{
		Name:     o.name,
		listener: &listener{Listener: l},
		arrived:  make(chan struct{}),

		forgetful: o.forgetful,
	}
	if o.tlsNames != nil {
		p.ca = o.ca
		if p.ca == nil {
			p.ca = NewCA(t)
		}
		p.listener.tls = serverTLS(t, p.ca, o)
	}

	logs := &testLog{t: t}
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{
		Handler:                      http.HandlerFunc(p.serve),
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ConnContext:                  withConn,
		Protocols:                    protocolSet(o.protocols),
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: o.streams},
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(logs, "recorder "+o.name+": ", 0),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(p.listener) }()

	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		cancel()
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("recorder: %v", err)
		}
		p.handlers.Wait()
		logs.end()
	})
	return p
}

func serverTLS(t testing.TB, ca *CA, o options) *tls.Config {
	t.Helper()
	config := &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(t, o.tlsNames...)},
		NextProtos:   o.protocols,
	}
	if o.clientCA != nil {
		config.ClientAuth = tls.RequireAndVerifyClientCert
		config.ClientCAs = o.clientCA.Pool()
	}
	return config
}

// The listener's connections decrypt TLS, so that conn sees what is read. The server
// does not see TLS, and recognises HTTP/2 by its preface.
func protocolSet(names []string) *http.Protocols {
	var set http.Protocols
	set.SetHTTP1(slices.Contains(names, "http/1.1"))
	set.SetUnencryptedHTTP2(slices.Contains(names, "h2"))
	return &set
}

// Addr returns host:port.
func (p *Provider) Addr() string { return p.listener.Addr().String() }

// URL returns the scheme and Addr, without a path.
func (p *Provider) URL() string {
	if p.listener.tls != nil {
		return "https://" + p.Addr()
	}
	return "http://" + p.Addr()
}

// CA returns the CA of the provider's certificate, or nil without TLS.
func (p *Provider) CA() *CA { return p.ca }

// Conns returns the number of accepted connections.
func (p *Provider) Conns() int { return int(p.listener.accepted.Load()) }

// Requests returns the requests that have been recorded.
func (p *Provider) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Last returns the newest request. It fails the test if there is none.
func (p *Provider) Last(t testing.TB) Request {
	t.Helper()
	requests := p.Requests()
	if len(requests) == 0 {
		t.Fatalf("recorder %s: no request arrived", p.Name)
	}
	return requests[len(requests)-1]
}

// waitLimit ends a test that would otherwise hang.
const waitLimit = 60 * time.Second

// WaitRequests waits until n requests are recorded, and returns all of them.
func (p *Provider) WaitRequests(t testing.TB, n int) []Request {
	t.Helper()
	limit := time.NewTimer(waitLimit)
	defer limit.Stop()
	for {
		p.mu.Lock()
		requests, arrived := slices.Clone(p.requests), p.arrived
		p.mu.Unlock()
		if len(requests) >= n {
			return requests
		}
		select {
		case <-arrived:
		case <-limit.C:
			t.Fatalf("recorder %s: %d of %d requests arrived within %v", p.Name, len(requests), n, waitLimit)
		}
	}
}

// Reset forgets the recorded requests, the script and the function of Respond.
func (p *Provider) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests, p.script, p.respond = nil, nil, nil
}

// Respond sets the function that responds when the script is empty. The body has been
// read; r.Body can be read again.
func (p *Provider) Respond(f func(w http.ResponseWriter, r *http.Request, body []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.respond = func(x *Exchange) { f(x.ResponseWriter, x.HTTP, x.Request.Body) }
}

// Script appends responses for the next requests, one each.
func (p *Provider) Script(responses ...Response) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = append(p.script, responses...)
}

// ResponseText returns the text of the default response to a request for model.
func (p *Provider) ResponseText(model string) string {
	return fmt.Sprintf("%s answers as %s", p.Name, model)
}

func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	if !p.begin() {
		panic(http.ErrAbortHandler)
	}
	defer p.handlers.Done()

	closed, done := make(chan struct{}), make(chan struct{})
	defer close(done)
	x := &Exchange{
		ResponseWriter: w,
		HTTP:           r,
		Request:        readRequest(r, closed, done),
		provider:       p,
	}
	stop := context.AfterFunc(r.Context(), func() { x.settle(closed) })
	defer stop()
	// A response that ends because the peer has disconnected may get here before the
	// function above is called.
	defer func() {
		if r.Context().Err() != nil {
			x.settle(closed)
		}
	}()
	p.record(x.Request)(x)
}

// begin counts a handler, unless the test has ended: Add must not race with Wait.
func (p *Provider) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.handlers.Add(1)
	}
	return !p.closed
}

// record keeps a request and returns the response to write.
func (p *Provider) record(r Request) Response {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.forgetful {
		p.requests = append(p.requests, r)
	}
	close(p.arrived)
	p.arrived = make(chan struct{})
	switch {
	case len(p.script) > 0:
		next := p.script[0]
		p.script = p.script[1:]
		return next
	case p.respond != nil:
		return p.respond
	default:
		return Default
	}
}

// testLog writes to the test's log until the test ends: a later line would panic.
type testLog struct {
	mu sync.Mutex
	t  testing.TB
}

func (l *testLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t != nil {
		l.t.Logf("%s", line)
	}
	return len(line), nil
}

func (l *testLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t = nil
}
