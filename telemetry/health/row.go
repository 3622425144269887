package health

import (
	"maps"
	"strings"
	"time"

	"weir/policy"
)

// row holds the failures since the last success.
//
// A failure counts alone if its cause is one that no client can bring about. All
// others are kept by access key, because a client may know how to make a provider
// fail: the failures of one key count for at most half of what ejects, and only
// together with those of another key.
type row struct {
	alone  int       // the weight of those that count alone
	last   time.Time // when the newest of them began
	newest time.Time // when the newest of all began
	keys   map[string]part
}

// part holds the failures of one access key.
type part struct {
	weight int
	last   time.Time // when the newest of them began
}

// maxRow bounds the keys of a row. Fewer are enough to eject a circuit in use.
const maxRow = 1000

// fail adds a failure.
func (r *row) fail(a attempt, d policy.OutlierDetection) {
	r.newest = later(r.newest, a.began)
	if a.alone {
		r.alone += a.weight()
		r.last = later(r.last, a.began)
		return
	}
	p, ok := r.keys[a.key]
	if !ok && len(r.keys) >= maxRow {
		return
	}
	p.weight = min(p.weight+a.weight(), (d.ConsecutiveFailures+1)/2)
	p.last = later(p.last, a.began)
	if r.keys == nil {
		r.keys = map[string]part{}
	}
	if ok {
		r.keys[a.key] = p
	} else {
		r.keys[strings.Clone(a.key)] = p // it is a part of what Envoy sent
	}
}

// succeed removes the failures that began before a success did. It reports whether the
// circuit is well: failures of a single key after the success do not contradict it.
func (r *row) succeed(began time.Time) bool {
	maps.DeleteFunc(r.keys, func(_ string, p part) bool { return p.last.Before(began) })
	if !began.After(r.last) {
		return false
	}
	r.alone = 0
	return len(r.keys) < 2
}

// forgetTimes sets the times of all failures to the distant past.
func (r *row) forgetTimes() {
	r.last, r.newest = time.Time{}, time.Time{}
	for key, p := range r.keys {
		r.keys[key] = part{weight: p.weight}
	}
}

// several reports whether the failures are more than one client may have caused.
func (r *row) several() bool { return r.alone > 0 || len(r.keys) > 1 }

// proves reports whether a failure counts for all clients, alone or together with
// others that began at since or later.
func (r *row) proves(a attempt, since time.Time) bool {
	if a.alone {
		return true
	}
	n := 0
	for _, p := range r.keys {
		if !p.last.Before(since) {
			n++
		}
	}
	return n > 1
}

// weight returns how many failures the row counts as.
func (r *row) weight() int {
	n := r.alone
	for _, p := range r.keys {
		n += p.weight
	}
	return n
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
