// Package peers limits how many connections one client address may have open.
//
// Envoy 1.40 has no such limit. Its rate limit filter asks Weir, by
// envoy.service.ratelimit.v3, when a connection is made, and its access log reports
// when one has ended; a Limiter counts the connections in between. If an address has
// too many, Envoy closes the new connection.
//
// The limit fails open: after a restart of Weir, connections that were open before do
// not count, and an end that is never reported takes room for a limited time only.
package peers

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// maxOpen bounds the connections that are tracked. Further ones are accepted
	// without being counted.
	maxOpen = 1 << 20
	// sweepEvery is the shortest time between two searches for connections whose end
	// was not reported.
	sweepEvery = time.Second
)

// Limiter counts open connections. Its methods may be called concurrently.
type Limiter struct {
	subject func(ip string) string
	reached func()
	now     func() time.Time

	mu      sync.Mutex
	most    int // 0: no limit
	longest time.Duration
	open    map[netip.AddrPort]time.Time
	counts  map[string]int // by subject
	swept   time.Time
}

// New returns a Limiter without a limit. subject maps an address to what it counts as,
// such as its network; reached is called for each refused connection.
func New(subject func(ip string) string, reached func(), now func() time.Time) *Limiter {
	return &Limiter{subject: subject, reached: reached, now: now, open: map[netip.AddrPort]time.Time{}, counts: map[string]int{}}
}

// Configure sets how many connections one address may have open (0 for any number),
// and the longest time that a connection counts. Open connections stay open.
func (l *Limiter) Configure(most int, longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most, l.longest = most, longest
	if most == 0 {
		l.reset()
	}
}

// Opened reports whether a client may have a further connection, and counts it if so.
func (l *Limiter) Opened(peer netip.AddrPort) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.most == 0 {
		return true
	}
	// Two open connections cannot have the same port: the end of the older one was not
	// reported.
	l.close(peer)
	subject := l.subject(peer.Addr().String())
	if l.counts[subject] >= l.most || len(l.open) >= maxOpen {
		l.sweep()
	}
	switch {
	case l.counts[subject] >= l.most:
		l.reached()
		return false
	case len(l.open) >= maxOpen:
		return true
	}
	l.open[peer] = l.now()
	l.counts[subject]++
	return true
}

// Closed records that a connection has ended.
func (l *Limiter) Closed(peer netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close(peer)
}

// Reset forgets all connections, because their Envoy is gone.
func (l *Limiter) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reset()
}

func (l *Limiter) reset() {
	clear(l.open)
	clear(l.counts)
}

func (l *Limiter) close(peer netip.AddrPort) {
	if _, there := l.open[peer]; !there {
		return
	}
	delete(l.open, peer)
	subject := l.subject(peer.Addr().String())
	if l.counts[subject]--; l.counts[subject] <= 0 {
		delete(l.counts, subject)
	}
}

// sweep forgets connections that are older than the maximum age.
func (l *Limiter) sweep() {
	now := l.now()
	if l.longest <= 0 || now.Sub(l.swept) < sweepEvery {
		return
	}
	l.swept = now
	before := now.Add(-l.longest)
	for peer, began := range l.open {
		if began.Before(before) {
			l.close(peer)
		}
	}
}
