package recorder

import (
	"errors"
	"net"
	"sync"
	"testing"
)

// StartRaw listens on loopback, calls f with each connection in a goroutine of its own
// and closes the connection afterwards. It returns host:port. When the test ends, it
// closes the connections and waits for f.
//
// It is for behaviour that HTTP cannot express: bytes that are not HTTP, or a TLS
// handshake without a reply:
//
//	addr := recorder.StartRaw(t, func(c net.Conn) { io.Copy(io.Discard, c) })
func StartRaw(t testing.TB, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("recorder: %v", err)
	}
	r := &raw{listener: l, serve: f, conns: make(map[net.Conn]bool)}
	r.running.Go(func() {
		if err := r.accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("recorder: %v", err)
		}
	})
	t.Cleanup(r.close)
	return l.Addr().String()
}

type raw struct {
	listener net.Listener
	serve    func(net.Conn)
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // nil after close
}

func (r *raw) accept() error {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return err
		}
		r.running.Go(func() {
			if r.add(c) {
				r.serve(c)
			}
			r.remove(c)
		})
	}
}

func (r *raw) add(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conns == nil {
		return false
	}
	r.conns[c] = true
	return true
}

func (r *raw) remove(c net.Conn) {
	_ = c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

func (r *raw) close() {
	_ = r.listener.Close()
	r.mu.Lock()
	for c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
	r.mu.Unlock()
	r.running.Wait()
}
