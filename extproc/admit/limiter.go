// Package admit bounds how many requests run at once and how many bytes of their
// bodies are held, for each subject (an access key, or a client without one) and for
// the whole gateway, so that no subject can take the capacity of the others.
//
// A request enters before its body is read, and counts until it has ended. While a
// request is being decided on, its caller ends it with Leave; once it runs, Envoy's
// log reports its end. Every few seconds, the log also reports each request that is
// still running. A request without a report for a while is forgotten, so that a lost
// report does not take room forever. A reported request that is not known (Weir was
// restarted) is counted again.
//
// The report of an end arrives a little late. So a request that finds no room waits a
// short time before it is refused: requests that do not overlap are not refused
// because of late reports.
//
// The package does not know HTTP, gRPC or the configuration, and starts no goroutine.
package admit

import (
	"context"
	"sync"
	"time"

	"weir/internal/requestkey"
)

// Limits bound what runs at once.
type Limits struct {
	Requests  int
	BodyBytes int64 // of the bodies that are held for running requests
}

// Settings are those of the current configuration.
type Settings struct {
	Total Limits
	// MaxWait is how long a request waits for room.
	MaxWait time.Duration
}

// Request describes a request that counts against the limits.
type Request struct {
	// ID identifies the request in Envoy's log. It is unique.
	ID string
	// Subject is the id of an access key, or the address of a client: its limits
	// apply.
	Subject string
	// Limits are the subject's.
	Limits Limits
	// BodyBytes is the declared length of the body, or the largest that it can
	// have.
	BodyBytes int64
}

// Reason is the limit that refuses a request, or None if the request may run.
type Reason int

// The reasons. A subject's limits are checked first.
const (
	None Reason = iota
	SubjectRequests
	SubjectBodyBytes
	TotalRequests
	TotalBodyBytes
	// Gone: the client left while its request waited.
	Gone
)

// entry is a request that counts.
type entry struct {
	subject *subject
	bytes   int64
	// seen is the tick of the last report. A request that is being decided on needs
	// none: its caller leaves.
	seen    uint32
	running bool
}

// subject is what one access key, or one client, has in use.
type subject struct {
	name     string
	limits   Limits
	requests int
	bytes    int64
	// queue are the requests that wait, in the order in which they came;
	// waiting is the sum of their bytes.
	queue   []*waiter
	waiting int64
	queued  bool // it is in Limiter.queued
	idle    uint32
}

// waiter is a request that waits for room.
type waiter struct {
	request Request
	key     requestkey.Key
	// admitted is closed, with the lock held, when there is room.
	admitted chan struct{}
	done     bool
}

// Limiter counts running requests. Its methods may be called concurrently. The zero
// Settings admit nothing: call Configure first.
type Limiter struct {
	ids requestkey.Maker

	mu       sync.Mutex
	settings Settings
	entries  map[requestkey.Key]entry
	subjects map[string]*subject
	// In all.
	requests int
	bytes    int64
	waiters  int
	waiting  int64 // bytes
	queued   []*subject
	tick     uint32
	lost     uint64
}

// New returns a Limiter without requests.
func New() *Limiter {
	return &Limiter{
		ids:      requestkey.New(),
		entries:  map[requestkey.Key]entry{},
		subjects: map[string]*subject{},
	}
}

// Configure sets the limits of the whole gateway. Running requests still count, even
// if they exceed the new limits.
func (l *Limiter) Configure(s Settings) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settings = s
	l.dispatch()
}

// Enter admits a request, if necessary after a wait, or returns the limit that refuses
// it. The caller must end an admitted request with Leave or Run. ctx ends when the
// client leaves.
func (l *Limiter) Enter(ctx context.Context, r Request) (Slot, Reason) {
	k := l.ids.Of(r.ID)
	l.mu.Lock()
	s := l.find(r.Subject)
	s.limits = r.Limits
	if len(s.queue) == 0 {
		reason := l.room(s, r.BodyBytes)
		if reason == None {
			slot := l.admit(s, k, &r)
			l.mu.Unlock()
			return slot, None
		}
		if !l.mayWait(s, r.BodyBytes) {
			l.mu.Unlock()
			return Slot{}, reason
		}
	} else if !l.mayWait(s, r.BodyBytes) {
		reason := l.full(s, r.BodyBytes)
		l.mu.Unlock()
		return Slot{}, reason
	}
	w := &waiter{request: r, key: k, admitted: make(chan struct{})}
	l.enqueue(s, w)
	wait := l.settings.MaxWait
	l.mu.Unlock()

	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.admitted:
		return Slot{l, w.key}, None
	case <-ctx.Done():
	case <-timer.C:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := ctx.Err() != nil
	if w.done { // in the meantime
		if gone {
			l.remove(w.key)
			return Slot{}, Gone
		}
		return Slot{l, w.key}, None
	}
	reason := l.full(s, r.BodyBytes)
	l.dequeue(s, w)
	l.dispatch() // the next one of the subject may be smaller
	if gone {
		return Slot{}, Gone
	}
	return Slot{}, reason
}

// find returns the state of a subject, and creates it if needed.
func (l *Limiter) find(name string) *subject {
	s := l.subjects[name]
	if s == nil {
		s = &subject{name: name}
		l.subjects[name] = s
	}
	return s
}

// room returns the limit that a further request would exceed. If no other body
// is held, a body of any size is admitted.
func (l *Limiter) room(s *subject, bytes int64) Reason {
	switch total := &l.settings.Total; {
	case s.requests >= s.limits.Requests:
		return SubjectRequests
	case s.bytes > 0 && s.bytes+bytes > s.limits.BodyBytes:
		return SubjectBodyBytes
	case l.requests >= total.Requests:
		return TotalRequests
	case l.bytes > 0 && l.bytes+bytes > total.BodyBytes:
		return TotalBodyBytes
	}
	return None
}

// full returns the limit that a request would exceed that waits behind others of its
// subject. If those already exceed a limit, it returns that limit.
func (l *Limiter) full(s *subject, bytes int64) Reason {
	if reason := l.room(s, bytes); reason != None {
		return reason
	}
	for _, w := range s.queue {
		if reason := l.room(s, w.request.BodyBytes); reason != None {
			return reason
		}
	}
	return SubjectRequests
}

// mayWait bounds the waiting requests: as many as may run, and half of the bytes,
// because Envoy begins to read their bodies too.
func (l *Limiter) mayWait(s *subject, bytes int64) bool {
	total := &l.settings.Total
	return l.settings.MaxWait > 0 &&
		len(s.queue) < s.limits.Requests && l.waiters < total.Requests &&
		(s.waiting == 0 || s.waiting+bytes <= s.limits.BodyBytes/2) &&
		(l.waiting == 0 || l.waiting+bytes <= total.BodyBytes/2)
}

func (l *Limiter) enqueue(s *subject, w *waiter) {
	s.queue = append(s.queue, w)
	s.waiting += w.request.BodyBytes
	l.waiters++
	l.waiting += w.request.BodyBytes
	if !s.queued {
		s.queued = true
		l.queued = append(l.queued, s)
	}
}

// dequeue removes a request from any place in its subject's queue.
func (l *Limiter) dequeue(s *subject, w *waiter) {
	for i, other := range s.queue {
		if other == w {
			copy(s.queue[i:], s.queue[i+1:])
			s.queue[len(s.queue)-1] = nil
			s.queue = s.queue[:len(s.queue)-1]
			s.waiting -= w.request.BodyBytes
			l.waiters--
			l.waiting -= w.request.BodyBytes
			break
		}
	}
	if len(s.queue) == 0 && s.queued {
		s.queued, s.queue = false, nil
		for i, other := range l.queued {
			if other == s {
				last := len(l.queued) - 1
				l.queued[i], l.queued[last] = l.queued[last], nil
				l.queued = l.queued[:last]
				break
			}
		}
	}
}

// admit counts a request.
func (l *Limiter) admit(s *subject, k requestkey.Key, r *Request) Slot {
	if r.ID == "" {
		k = requestkey.Key{0, uint64(time.Now().UnixNano())} // unknown to the log: see Run
	}
	for {
		if _, taken := l.entries[k]; !taken {
			break
		}
		k[1]++
	}
	s.requests++
	s.bytes += r.BodyBytes
	l.requests++
	l.bytes += r.BodyBytes
	l.entries[k] = entry{subject: s, bytes: r.BodyBytes, seen: l.tick}
	return Slot{l, k}
}

// remove ends a request, unless it has already ended.
func (l *Limiter) remove(k requestkey.Key) {
	e, ok := l.entries[k]
	if !ok {
		return
	}
	delete(l.entries, k)
	e.subject.requests--
	e.subject.bytes -= e.bytes
	e.subject.idle = l.tick
	l.requests--
	l.bytes -= e.bytes
	l.dispatch()
}

// dispatch admits waiting requests for which there is room now. Of the subjects with
// room of their own, the one with the fewest requests goes first.
func (l *Limiter) dispatch() {
	for l.waiters > 0 {
		var next *subject
		for _, s := range l.queued {
			if next != nil && s.requests >= next.requests {
				continue
			}
			switch l.room(s, s.queue[0].request.BodyBytes) {
			case None, TotalRequests, TotalBodyBytes:
				next = s
			}
		}
		if next == nil || l.room(next, next.queue[0].request.BodyBytes) != None {
			return
		}
		w := next.queue[0]
		l.dequeue(next, w)
		w.key = l.admit(next, w.key, &w.request).key
		w.done = true
		close(w.admitted)
	}
}

// Slot is the room of one request. Its methods do nothing after the request has ended,
// or on a zero Slot.
type Slot struct {
	limiter *Limiter
	key     requestkey.Key
}

// Body sets the length of the body, once it is known. It must not be more than what
// was requested.
func (s Slot) Body(bytes int64) {
	l := s.limiter
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.entries[s.key]
	if !ok || e.bytes <= bytes {
		return
	}
	less := e.bytes - bytes
	e.bytes = bytes
	l.entries[s.key] = e
	e.subject.bytes -= less
	l.bytes -= less
	l.dispatch()
}

// Run marks that the request continues without its caller: it ends with Ended, or when
// it is no longer reported.
func (s Slot) Run() {
	l := s.limiter
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.entries[s.key]; ok {
		e.running, e.seen = true, l.tick
		l.entries[s.key] = e
	}
}

// Leave ends a request that was not passed on.
func (s Slot) Leave() {
	l := s.limiter
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(s.key)
}
