package gateway

import (
	"errors"
	"slices"
	"sync"
	"time"

	"weir/admin"
	"weir/policy"
	"weir/policy/config"
)

// status is what /healthz reports of the configuration. Its methods may be called
// concurrently.
type status struct {
	mu      sync.Mutex
	version string
	since   time.Time
	keys    admin.AccessKeysHealth
	// problems are those of the last attempt to change the configuration, if that
	// failed.
	problems []string
	failed   time.Time
	// refused is set while Envoys have rejected the current policy and none has
	// accepted it: only the first configuration can be current without an Envoy.
	refused bool
}

func (s *status) adopted(c configuration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version, s.since = c.Policy.Version, time.Now()
	s.problems, s.failed, s.refused = nil, time.Time{}, false
	if c.Keys.Version != s.keys.Version {
		s.keys = admin.AccessKeysHealth{Count: c.Keys.Len(), Version: c.Keys.Version, Since: s.since}
	}
}

// adoptedKeys records that access keys are the current ones, and that the rest of the
// configuration is the current one again.
func (s *status) adoptedKeys(keys *policy.AccessKeys) {
	s.recovered()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = admin.AccessKeysHealth{Count: keys.Len(), Version: keys.Version, Since: time.Now()}
}

// rejected records why a configuration is not applied. It reports whether that is new.
func (s *status) rejected(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reject(err)
}

func (s *status) reject(err error) bool {
	list := []string{err.Error()}
	var problems config.Problems
	if errors.As(err, &problems) {
		list = nil
		for _, p := range problems {
			list = append(list, p.String())
		}
	}
	news := s.failed.IsZero() || !slices.Equal(s.problems, list)
	s.failed, s.problems = time.Now(), list
	return news
}

// currentRefused records that an Envoy has rejected the current policy, and none has
// accepted it.
func (s *status) currentRefused(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = true
	s.reject(err)
}

// relocated records where the problems of the current policy are in the file now, if an
// Envoy has rejected it.
func (s *status) relocated(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused {
		s.reject(err)
	}
}

// currentServed records that an Envoy has accepted the current policy.
func (s *status) currentServed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused {
		s.problems, s.failed, s.refused = nil, time.Time{}, false
	}
}

// recovered records that the configuration is the current one again, after one that
// was rejected. It reports whether that is new: it is not while the current one itself
// is refused.
func (s *status) recovered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused || s.failed.IsZero() {
		return false
	}
	s.problems, s.failed = nil, time.Time{}
	return true
}

// report returns the status for /healthz, without the name of the file.
func (s *status) report() admin.ConfigHealth {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := admin.ConfigHealth{Version: s.version, Since: s.since, AccessKeys: s.keys, Problems: s.problems}
	if !s.failed.IsZero() {
		failed := s.failed
		h.Failed = &failed
	}
	return h
}
