package admit

// lapse is the number of ticks without a report after which a running request counts
// as ended. Envoy reports each request every two seconds.
const lapse = 6

// idleTicks is how long an unused subject is remembered.
const idleTicks = 2

// Ended records that a request has ended, by its id in Envoy's log.
func (l *Limiter) Ended(id string) {
	k := l.ids.Of(id)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(k)
}

// Running records that a request is still running. An unknown one, which another
// process admitted, counts from now on; its Limits do not matter.
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

// Tick forgets requests that were not reported for a while. Call it every second. A
// stopped process does not tick, so it does not forget requests whose reports it could
// not receive meanwhile.
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

// Usage is what is in use at one moment.
type Usage struct {
	Requests  int
	BodyBytes int64
	// Waiting is the number of requests that wait for room; Subjects is the number of
	// access keys, or clients without one, that have requests.
	Waiting, Subjects int
	// Largest is the highest number of requests of a subject, and the highest number
	// of bytes of a subject.
	Largest Limits
	// Lost is the number of requests whose end was not reported.
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
