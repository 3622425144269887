//go:build unix

package recorder

import (
	"net"
	"strconv"
	"syscall"
	"testing"
)

// ClosedAddr returns a host:port on loopback that refuses connections until the test
// ends. The port is bound but nothing listens on it, so that no other process gets it.
func ClosedAddr(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatalf("recorder: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	syscall.CloseOnExec(fd)
	loopback := [4]byte{127, 0, 0, 1}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: loopback}); err != nil {
		t.Fatalf("recorder: %v", err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatalf("recorder: %v", err)
	}
	return net.JoinHostPort(net.IP(loopback[:]).String(), strconv.Itoa(bound.(*syscall.SockaddrInet4).Port))
}
