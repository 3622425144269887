package sample

import (
	"testing"
	"time"
)

func TestSampler(t *testing.T) {
	var s Sampler
	now := time.Now()
	passed := 0
	for range 1000 {
		if _, ok := s.Take(now); ok {
			passed++
		}
	}
	if passed != Burst {
		t.Errorf("%d passed at once, want %d", passed, Burst)
	}
	if rest := s.Rest(now, false); rest != 0 {
		t.Errorf("%d were told of while none would pass", rest)
	}
	now = now.Add(Every)
	if n, ok := s.Take(now); !ok || n != 1000-Burst {
		t.Errorf("after a period: %d left out, %v, want %d", n, ok, 1000-Burst)
	}
	if _, ok := s.Take(now); ok {
		t.Error("a second one passed in one period")
	}
	if rest := s.Rest(now.Add(Every), false); rest != 1 {
		t.Errorf("rest %d, want 1", rest)
	}
	if _, ok := s.Take(now.Add(Every)); !ok {
		t.Error("to be told of the rest counts as an event")
	}
	if _, ok := s.Take(now.Add(Every)); ok {
		t.Error("two passed in one period")
	}
	if rest := s.Rest(now.Add(Every), true); rest != 1 {
		t.Errorf("the last rest is %d, want 1", rest)
	}
	now = now.Add(time.Hour)
	passed = 0
	for range 1000 {
		if _, ok := s.Take(now); ok {
			passed++
		}
	}
	if passed != Burst {
		t.Errorf("after an hour %d passed at once, want %d", passed, Burst)
	}
}
