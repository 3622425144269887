package rolling

import (
	"math"
	"time"
)

// slots is how many parts a window has. A part leaves the window as a whole, so
// numbers cover 95 to 100 % of the window, and change in small steps.
const slots = 20

// clock maps a time to the number of its slot. Its origin has a monotonic reading, so
// that setting the machine's clock has no effect.
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

// ring tracks which element of an array of slots is the current one.
type ring struct {
	clock
	head int64 // the newest slot
}

func newRing(c clock) ring { return ring{clock: c, head: math.MinInt64} }

// advance makes the slot of now the newest, and calls clear for every place that then
// holds another slot. An observation with an earlier time counts in the newest slot.
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

// place returns the index of a slot in an array. Slots before the clock's origin have
// negative numbers.
func place(slot int64) int { return int((slot%slots + slots) % slots) }
