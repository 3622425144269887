package faults

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/recorder"
)

var refuses = behaviour{place: func(t testing.TB, _ *provider) string {
	return "base_url: http://" + recorder.ClosedAddr(t)
}}

var unresolved = behaviour{place: func(testing.TB, *provider) string {
	return "base_url: http://does-not-resolve.internal:8123"
}}

var anotherName = behaviour{place: func(t testing.TB, p *provider) string {
	r := recorder.Start(t, recorder.WithTLS("another.internal"))
	p.count = func() int { return len(r.Requests()) }
	return "base_url: " + r.URL() + ", tls: {ca_file: " + r.CA().File(t) + "}"
}}

// noTLS sends HTTP where TLS is expected.
var noTLS = behaviour{place: func(t testing.TB, p *provider) string {
	p.scripts = [][]step{{answer}}
	p.host = recorder.StartRaw(t, p.serve)
	return "base_url: https://" + p.host
}}

// accepts takes connections, as a system does whose service hangs, and reads
// nothing.
var accepts = behaviour{place: func(t testing.TB, p *provider) string {
	return "base_url: https://" + recorder.StartRaw(t, func(c net.Conn) { <-t.Context().Done() })
}}

// full is a listener with no room for another connection: nothing answers to
// one.
var full = behaviour{place: func(t testing.TB, _ *provider) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	syscall.CloseOnExec(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(bound.(*syscall.SockaddrInet4).Port))
	for range 100 {
		conn, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			return "base_url: http://" + addr
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("a listener takes any number of connections")
	return ""
}}

// overHTTP2 is a provider that does the same with HTTP/2. Its connection ends
// with nothing: to cut is to reset the stream.
func overHTTP2(steps ...step) behaviour {
	return behaviour{place: func(t testing.TB, p *provider) string {
		r := recorder.Start(t, recorder.WithTLS())
		r.Script(func(http2 *recorder.Exchange) {
			x := &exchange{provider: p, http2: http2, gone: http2.HTTP.Context().Done()}
			for _, s := range steps {
				s(x)
			}
		})
		p.count = func() int { return len(r.Requests()) }
		return "base_url: " + r.URL() + ", http2: true, tls: {ca_file: " + r.CA().File(t) + "}"
	}}
}

// header sends a status and header lines over HTTP/2, which frames bodies by
// itself.
func (x *exchange) header(status string, lines []string) {
	for _, line := range lines {
		if name, value, _ := strings.Cut(line, ": "); name != "transfer-encoding" {
			x.http2.Header().Set(name, x.fill(value))
		}
	}
	code, _, _ := strings.Cut(status, " ")
	n, err := strconv.Atoi(code)
	if err != nil {
		panic(err)
	}
	x.http2.WriteHeader(n)
	x.http2.Flush()
}
