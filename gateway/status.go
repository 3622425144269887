package gateway

import (
	"errors"
	"slices"
	"sync"
	"time"

	"weir/policy"
	"weir/policy/config"
)

// status is what /healthz tells of the configuration.
type status struct {
	mu      sync.Mutex
	version string
	since   time.Time
	// problems are those of the last attempt to change it, if that failed.
	problems []string
	failed   time.Time
}

func (s *status) adopted(p *policy.Policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version, s.since = p.Version, time.Now()
	s.problems, s.failed = nil, time.Time{}
}

// rejected says whether it is news.
func (s *status) rejected(err error) bool {
	list := []string{err.Error()}
	var problems config.Problems
	if errors.As(err, &problems) {
		list = nil
		for _, p := range problems {
			list = append(list, p.String())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.failed.IsZero() || !slices.Equal(s.problems, list)
	s.failed, s.problems = time.Now(), list
	return news
}

// recovered is told that the configuration is again the one in force, and says
// whether that is news.
func (s *status) recovered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := !s.failed.IsZero()
	s.problems, s.failed = nil, time.Time{}
	return news
}
