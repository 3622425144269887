package admit

// lapse is the number of ticks without a report after which a running request
// counts as ended. Envoy tells of each every two seconds.
const lapse = 6

// idleTicks is how long a subject with nothing in use is remembered.
const idleTicks = 2

// Ended takes in that a request is over, by the id that Envoy's log has.
func (l *Limiter) Ended(id string) {
	k := l.ids.Of(id)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(k)
}

// Running takes in that a request still runs. One that is not known, because
// another process admitted it, counts from now on; its Limits do not matter.
func (l *Limiter) Running(r Request) {
	k := l.ids.Of(r.ID)
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.entries[k]; ok {
		e.seen = l.tick
		l.entries[k] = e
		return
	}
	if r.ID == "" || r.Subject == "" {
		return
	}
	l.admit(l.find(r.Subject), k, &r)
	e := l.entries[k]
	e.running = true
	l.entries[k] = e
}

// Tick forgets requests that nothing was heard of for a while. Its owner calls
// it every second. A stopped process does not tick, so requests that it could
// not hear of meanwhile are not forgotten.
func (l *Limiter) Tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tick++
	for k, e := range l.entries {
		if e.running && l.tick-e.seen > lapse {
			l.lost++
			l.remove(k)
		}
	}
	for name, s := range l.subjects {
		if s.requests == 0 && len(s.queue) == 0 && l.tick-s.idle > idleTicks {
			delete(l.subjects, name)
		}
	}
}

// Usage is what is in use at a moment.
type Usage struct {
	Requests  int
	BodyBytes int64
	// Waiting is how many requests wait for room; Subjects how many access
	// keys, or clients without one, have requests.
	Waiting, Subjects int
	// Largest is what the subject with the most requests, and the one with the
	// most bytes, have.
	Largest Limits
	// Lost counts the requests whose end was not heard of.
	Lost uint64
}

// Usage returns what is in use now.
func (l *Limiter) Usage() Usage {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := Usage{Requests: l.requests, BodyBytes: l.bytes, Waiting: l.waiters, Lost: l.lost}
	for _, s := range l.subjects {
		if s.requests > 0 {
			u.Subjects++
		}
		u.Largest.Requests = max(u.Largest.Requests, s.requests)
		u.Largest.BodyBytes = max(u.Largest.BodyBytes, s.bytes)
	}
	return u
}
