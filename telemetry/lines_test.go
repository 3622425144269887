package telemetry

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"weir/rolling"
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
		l.request(request())
	}
	<-w.entered // by due, not by time
	n := 2 * maxPending / line
	for range n {
		l.request(request())
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
	l.close()
	l.attempt(failed())
	if got := testutil.ToFloat64(dropped); got != 3 { // two of the write, one after Close
		t.Errorf("%v lines dropped, want 3", got)
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
