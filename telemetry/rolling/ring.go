package rolling

import (
	"math"
	"time"
)

// slots is how many parts a window has. A part leaves as a whole, so numbers
// cover between 95 and 100 % of the window, and change by small steps.
const slots = 20

// clock says which part of time a moment belongs to. Its origin has a
// monotonic reading, so a change of the machine's clock moves nothing.
type clock struct {
	origin time.Time
	slot   time.Duration
}

func (c clock) slotAt(t time.Time) int64 {
	d := t.Sub(c.origin)
	at := int64(d / c.slot)
	if d%c.slot < 0 {
		at--
	}
	return at
}

// ring says where in an array of slots the current one is.
type ring struct {
	clock
	head int64 // the newest slot
}

func newRing(c clock) ring { return ring{clock: c, head: math.MinInt64} }

// advance makes the slot of now the newest, and calls clear for every place
// that thereby stands for another time. What is observed with an earlier time
// counts in the newest slot.
func (r *ring) advance(now time.Time, clear func(place int)) {
	at := r.slotAt(now)
	if at <= r.head {
		return
	}
	for i := max(r.head+1, at-slots+1); i <= at; i++ {
		clear(place(i))
	}
	r.head = at
}

// place is where a slot is in an array. Slots before the clock's origin have
// negative numbers.
func place(slot int64) int { return int((slot%slots + slots) % slots) }
