package telemetry

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"weir/telemetry/rolling"
)

// blocked is a writer that takes nothing until it is let go.
type blocked struct{ entered, release chan struct{} }

func (w *blocked) Write(b []byte) (int, error) {
	w.entered <- struct{}{}
	<-w.release
	return len(b), nil
}

// A reader that does not read costs lines, not time.
func TestSlowReader(t *testing.T) {
	w := &blocked{make(chan struct{}, 10), make(chan struct{})}
	dropped := prometheus.NewCounter(prometheus.CounterOpts{Name: "x", Help: "x"})
	l := newLines(w, dropped)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.run(ctx) }()
	line := len(appendRequest(nil, request()))
	for range flushAt/line + 1 {
		l.request(request(), 0)
	}
	<-w.entered // by due, not by time
	n := 2 * maxPending / line
	for range n {
		l.request(request(), 0)
	}
	lost := testutil.ToFloat64(dropped)
	if want := float64(n - maxPending/line); lost < want-1 || lost > want+float64(flushAt/line)+1 {
		t.Errorf("%v of %d lines dropped, want about %v", lost, n, want)
	}
	close(w.release)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type failing struct{ n int }

func (w failing) Write(b []byte) (int, error) { return w.n, errors.New("gone") }

func TestFailingWriter(t *testing.T) {
	dropped := prometheus.NewCounter(prometheus.CounterOpts{Name: "x", Help: "x"})
	l := newLines(failing{len(appendAttempt(nil, failed())) + 5}, dropped)
	for range 3 {
		l.attempt(failed())
	}
	if err := l.close(nil); err != nil {
		t.Error(err)
	}
	l.attempt(failed())
	if got := testutil.ToFloat64(dropped); got != 3 { // two of the write, one after Close
		t.Errorf("%v lines dropped, want 3", got)
	}
}

// A reader that never reads again does not keep the process from ending.
func TestStuckWriter(t *testing.T) {
	w := &blocked{make(chan struct{}, 10), make(chan struct{})}
	l := newLines(w, prometheus.NewCounter(prometheus.CounterOpts{Name: "x", Help: "x"}))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.run(ctx) }()
	l.request(request(), 0)
	<-w.entered
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	over := make(chan time.Time)
	close(over)
	if err := l.close(over); !errors.Is(err, errStuck) {
		t.Errorf("close: %v", err)
	}
	close(w.release)
}

// full is a disk that has room for so many bytes, and then is made larger.
type full struct {
	room int
	got  []byte
}

func (w *full) Write(b []byte) (int, error) {
	n := min(w.room, len(b))
	w.room -= n
	w.got = append(w.got, b[:n]...)
	if n < len(b) {
		return n, errors.New("no space left")
	}
	return n, nil
}

// A line that was cut spoils no other.
func TestTornLine(t *testing.T) {
	line := string(appendAttempt(nil, failed()))
	dropped := prometheus.NewCounter(prometheus.CounterOpts{Name: "x", Help: "x"})
	w := &full{room: len(line) + 20}
	l := newLines(w, dropped)
	for i := range 4 {
		l.attempt(failed())
		if i > 0 {
			l.flush()
		}
		if i == 2 {
			w.room = 1 << 20
		}
	}
	if want := line + line[:20] + "\n" + line; string(w.got) != want {
		t.Errorf("written\n%swant\n%s", w.got, want)
	}
	if got := testutil.ToFloat64(dropped); got != 2 {
		t.Errorf("%v lines dropped, want 2", got)
	}
}

// A line is written within flushEvery without another push.
func TestFlushByTime(t *testing.T) {
	r, w := io.Pipe()
	f := New(Config{Registerer: prometheus.NewRegistry(), Rolling: rolling.New(time.Minute), Log: w, Now: time.Now})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	f.Attempt(failed())
	b := make([]byte, 4096)
	n, err := r.Read(b)
	if err != nil || string(b[:n]) != string(appendAttempt(nil, failed())) {
		t.Errorf("%q, %v", b[:n], err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
