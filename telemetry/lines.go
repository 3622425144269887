package telemetry

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/accesslog"
)

const (
	// maxPending bounds what waits to be written, in bytes: about 3,000 lines.
	maxPending = 1 << 20
	// flushAt is when a flush is due before its time.
	flushAt = 64 << 10
	// flushEvery is the longest time that a line waits.
	flushEvery = 500 * time.Millisecond
)

// lines gathers log lines and writes many at a time. A line is encoded where it
// will be written from; who brings it never waits for the writer.
type lines struct {
	out     io.Writer
	dropped prometheus.Counter
	due     chan struct{} // holds one: pending has reached flushAt

	mu      sync.Mutex
	pending []byte
	closed  bool

	writing sync.Mutex // held while spare is written
	spare   []byte
}

func newLines(out io.Writer, dropped prometheus.Counter) *lines {
	return &lines{out: out, dropped: dropped, due: make(chan struct{}, 1)}
}

func (l *lines) attempt(a *accesslog.Attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(appendAttempt(l.pending, a))
}

func (l *lines) request(r *accesslog.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(appendRequest(l.pending, r))
}

// keep takes pending with one more line, or leaves that line out.
func (l *lines) keep(longer []byte) {
	if l.closed || len(longer) > maxPending {
		// What the line grew beyond pending stays unused, and may be kept.
		l.pending = longer[:len(l.pending)]
		l.dropped.Inc()
		return
	}
	l.pending = longer
	if len(longer) >= flushAt {
		select {
		case l.due <- struct{}{}:
		default:
		}
	}
}

func (l *lines) run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.flush()
			return nil
		case <-tick.C:
		case <-l.due:
		}
		l.flush()
	}
}

func (l *lines) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.flush()
}

// flush writes what is pending. A writer that fails loses what it did not take.
func (l *lines) flush() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	l.pending, l.spare = l.spare[:0], l.pending
	l.mu.Unlock()
	if len(l.spare) == 0 {
		return
	}
	if n, err := l.out.Write(l.spare); err != nil {
		l.dropped.Add(float64(bytes.Count(l.spare[n:], []byte{'\n'})))
	}
}
