// Package recorder is a provider for end-to-end tests of a proxy: it records
// what arrives, byte for byte, and answers properly or with a fault.
//
//	p := recorder.Start(t, recorder.WithName("alpha"))
//	p.Script(recorder.Status(503, nil, "busy"), recorder.CutMidStream(2))
//	// … send three requests through the proxy to p.URL() …
//	for _, r := range p.WaitRequests(t, 3) {
//		// r.Path, r.Header, r.RawHeader, r.Body, r.SNI
//	}
//
// A request is recorded when its body has arrived and before it is answered,
// whatever the answer. The answers of a Script are taken first, in the order
// in which requests are recorded; then comes the function given to Respond, or
// by default an answer that fits the path: the surfaces of package demo,
// models, and audio transcriptions. Its text is AnswerText: it names the
// provider and the model that it was asked for.
//
// A test that needs more than the answers here writes its own: an Answer is a
// function, and Exchange has the means. To be sure that events have arrived
// before the cut:
//
//	p.Script(func(x *recorder.Exchange) {
//		x.SendEvents(3)
//		<-clientHasThem
//		x.ResetConn()
//	})
//
// For faults below HTTP there are StartRaw and ClosedAddr.
//
// HTTP/1.1, HTTP/2 over TLS and HTTP/2 by prior knowledge are served, on
// loopback. It imports the standard library and demo.
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
	// Name is what the answers call it.
	Name string

	listener *listener
	ca       *CA

	mu       sync.Mutex
	requests []Request
	arrived  chan struct{} // closed and replaced with each request
	script   []Answer
	respond  Answer
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

// Option is a choice for Start.
type Option func(*options)

// WithName sets the name that answers give; "provider" by default.
func WithName(name string) Option { return func(o *options) { o.name = name } }

// Forgetful keeps no request, for tests that send too many of them: Requests,
// Last and WaitRequests see none.
func Forgetful() Option { return func(o *options) { o.forgetful = true } }

// WithAddr listens on a given address, for a provider that comes back or that
// is reached by IPv6; 127.0.0.1:0 by default.
func WithAddr(addr string) Option { return func(o *options) { o.addr = addr } }

// WithTLS serves TLS with a certificate for these host names and IP addresses;
// without any, for 127.0.0.1 and localhost.
func WithTLS(names ...string) Option {
	if len(names) == 0 {
		names = []string{"127.0.0.1", "localhost"}
	}
	return func(o *options) { o.tlsNames = names }
}

// WithCA signs the certificate of WithTLS by ca; by default the provider has a
// CA of its own.
func WithCA(ca *CA) Option { return func(o *options) { o.ca = ca } }

// WithClientCA, besides WithTLS, refuses clients without a certificate of ca.
func WithClientCA(ca *CA) Option { return func(o *options) { o.clientCA = ca } }

// WithProtocols sets the protocols to offer, "http/1.1" and "h2". With TLS
// they are offered by ALPN, both by default. Without, HTTP/2 is recognised by
// its preface, and the default is HTTP/1.1 alone.
func WithProtocols(protocols ...string) Option {
	return func(o *options) { o.protocols = protocols }
}

// WithMaxStreams sets how many streams a connection over HTTP/2 may have at once.
func WithMaxStreams(n int) Option { return func(o *options) { o.streams = n } }

// Start starts a provider that lasts as long as the test.
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

// The server does not see TLS: the listener's connections hide it, so that
// what is read can be watched. It finds HTTP/2 by the preface in any case.
func protocolSet(names []string) *http.Protocols {
	var set http.Protocols
	set.SetHTTP1(slices.Contains(names, "http/1.1"))
	set.SetUnencryptedHTTP2(slices.Contains(names, "h2"))
	return &set
}

// Addr is host:port.
func (p *Provider) Addr() string { return p.listener.Addr().String() }

// URL is the scheme and Addr, without a path.
func (p *Provider) URL() string {
	if p.listener.tls != nil {
		return "https://" + p.Addr()
	}
	return "http://" + p.Addr()
}

// CA is what signed the provider's certificate; nil without TLS.
func (p *Provider) CA() *CA { return p.ca }

// Conns is how many connections were accepted so far.
func (p *Provider) Conns() int { return int(p.listener.accepted.Load()) }

// Requests is what was recorded so far.
func (p *Provider) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Last is the newest request. It fails the test if there is none.
func (p *Provider) Last(t testing.TB) Request {
	t.Helper()
	requests := p.Requests()
	if len(requests) == 0 {
		t.Fatalf("recorder %s: no request arrived", p.Name)
	}
	return requests[len(requests)-1]
}

// waitLimit is for a test that would otherwise hang: nothing depends on it in
// a test that passes.
const waitLimit = 60 * time.Second

// WaitRequests waits until n requests are recorded and returns all there are.
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

// Respond sets what answers when there is no script. The body has been read;
// r.Body has it again.
func (p *Provider) Respond(f func(w http.ResponseWriter, r *http.Request, body []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.respond = func(x *Exchange) { f(x.ResponseWriter, x.HTTP, x.Request.Body) }
}

// Script appends answers for the next requests, one each.
func (p *Provider) Script(answers ...Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = append(p.script, answers...)
}

// AnswerText is the text of the default answer to a request for model.
func (p *Provider) AnswerText(model string) string {
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
	// An answer that ends because the peer is gone may get here before the
	// function above does.
	defer func() {
		if r.Context().Err() != nil {
			x.settle(closed)
		}
	}()
	p.record(x.Request)(x)
}

// begin counts a handler, unless the test is over: Add must not race with Wait.
func (p *Provider) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.handlers.Add(1)
	}
	return !p.closed
}

// record keeps a request and returns what answers it.
func (p *Provider) record(r Request) Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.forgetful {
		p.requests = append(p.requests, r)
	}
	close(p.arrived)
	p.arrived = make(chan struct{})
	switch {
	case len(p.script) > 0:
		answer := p.script[0]
		p.script = p.script[1:]
		return answer
	case p.respond != nil:
		return p.respond
	default:
		return Default
	}
}

// testLog writes to the test's log until the test is over: a late line would
// panic.
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
