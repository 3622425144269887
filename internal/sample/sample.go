// Package sample limits the rate of log lines that clients can cause, and counts the
// suppressed lines.
package sample

import (
	"sync"
	"time"
)

// Burst is how many events pass at once, and Every the time after which one more
// passes. So a log of 500-byte lines grows by at most 1.8 MB an hour.
const (
	Burst = 20
	Every = time.Second
)

// Sampler lets Burst events pass, then one in each period of Every. The zero
// value is ready. Its methods may be called concurrently.
type Sampler struct {
	mu sync.Mutex
	// spent is how many of the burst are used up; they come back over time.
	spent   float64
	at      time.Time
	leftOut int
}

// Take reports whether an event passes. If it does, it returns the number of events
// that were left out and not yet reported.
func (s *Sampler) Take(now time.Time) (leftOut int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recover(now)
	if s.spent > Burst-1 {
		s.leftOut++
		return 0, false
	}
	s.spent++
	leftOut, s.leftOut = s.leftOut, 0
	return leftOut, true
}

// Rest returns the number of events that were left out and not yet reported, if
// the next event would pass. With last, it returns the number in any case.
func (s *Sampler) Rest(now time.Time, last bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recover(now)
	if s.spent > Burst-1 && !last {
		return 0
	}
	rest := s.leftOut
	s.leftOut = 0
	return rest
}

func (s *Sampler) recover(now time.Time) {
	if d := now.Sub(s.at); d > 0 {
		s.spent = max(0, s.spent-float64(d)/float64(Every))
		s.at = now
	}
}
