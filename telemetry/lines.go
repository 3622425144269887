package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/telemetry/accesslog"
)

const (
	// maxPending bounds the bytes that wait to be written: about 20,000 lines. An
	// Envoy that had to wait for Weir sends thousands at once.
	maxPending = 8 << 20
	// keepRoom is how much of that memory is kept for further lines.
	keepRoom = 1 << 20
	// flushAt is the size at which pending lines are flushed early.
	flushAt = 64 << 10
	// flushEvery is the longest time that a line waits.
	flushEvery = 500 * time.Millisecond
	// lastWrite is how long the end of the process waits for the writer.
	lastWrite = 2 * time.Second
)

// lines buffers log lines and writes many at a time. A line is encoded into the buffer
// that is written; callers never wait for the writer.
type lines struct {
	out     io.Writer
	dropped prometheus.Counter
	due     chan struct{} // holds one: pending has reached flushAt

	mu      sync.Mutex
	pending []byte
	closed  bool

	writing sync.Mutex // held while spare is written
	spare   []byte
	torn    bool // the last write ended within a line
}

func newLines(out io.Writer, dropped prometheus.Counter) *lines {
	return &lines{out: out, dropped: dropped, due: make(chan struct{}, 1)}
}

func (l *lines) attempt(a *accesslog.Attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(appendAttempt(l.pending, a))
}

func (l *lines) request(r *accesslog.Request, suppressed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := appendRequest(l.pending, r)
	if suppressed > 0 {
		b = b[:len(b)-len("}\n")]
		b = strconv.AppendInt(append(b, `,"suppressed":`...), int64(suppressed), 10)
		b = append(b, "}\n"...)
	}
	l.keep(b)
}

func (l *lines) suppressed(now time.Time, why reason, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(appendSuppressed(l.pending, now, why, n))
}

// keep sets pending to longer, which has one more line, or drops that line if there is
// no room.
func (l *lines) keep(longer []byte) {
	if l.closed || len(longer) > maxPending {
		// The memory of the dropped line stays allocated and may be used again.
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

// run writes until ctx ends. It does not wait for a blocked write, because a write to
// a pipe that nobody reads cannot be interrupted.
func (l *lines) run(ctx context.Context) error {
	go l.writeAll(ctx)
	<-ctx.Done()
	return nil
}

func (l *lines) writeAll(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-l.due:
		}
		l.flush()
	}
}

// close accepts no more lines and writes the remaining ones. If the writer has not
// taken them when patience fires, it returns an error, and they are lost.
func (l *lines) close(patience <-chan time.Time) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	written := make(chan struct{})
	go func() {
		l.flush()
		close(written)
	}()
	select {
	case <-written:
		return nil
	case <-patience:
		return errStuck
	}
}

var errStuck = errors.New("the last log lines could not be written in time: the reader of the log is too slow or gone")

// flush writes what is pending. If the writer fails, what it did not take is lost.
func (l *lines) flush() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	l.pending, l.spare = l.spare[:0], l.pending
	l.mu.Unlock()
	if len(l.spare) == 0 {
		return
	}
	defer func() {
		if cap(l.spare) > keepRoom {
			l.spare = nil
		}
	}()
	if l.torn { // the next line begins on a line of its own
		if _, err := l.out.Write([]byte{'\n'}); err != nil {
			l.lose(l.spare)
			return
		}
		l.torn = false
	}
	if n, err := l.out.Write(l.spare); err != nil {
		l.torn = n > 0 && l.spare[n-1] != '\n'
		l.lose(l.spare[n:])
	}
}

// lose counts the lines in b that are not written, partial lines included.
func (l *lines) lose(b []byte) {
	l.dropped.Add(float64(bytes.Count(b, []byte{'\n'})))
}
