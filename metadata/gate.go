package metadata

import (
	"time"

	"weir/llm"
)

// Gate tells Weir what to do with the response of an attempt. It is written with the
// plan and read when the response arrives. A Gate with Hold keeps a response from the
// client until it has content, so that another attempt can replace a failure disguised
// as success. A Gate with Strict or Idle follows a stream to its end. The zero Gate does
// nothing.
type Gate struct {
	Response llm.ResponseKind
	Stream   bool
	// MayStream is set if the response may be a stream although the client did not ask
	// for one.
	MayStream bool
	// Hold is set if the client must receive nothing of the response before it has
	// content, because another attempt could follow.
	Hold bool
	// Faults are those after which an attempt with another provider, model or key can
	// help; Wider has a bit for each attempt, from the current one on, which is set if a
	// later one may take a longer prompt.
	Faults llm.Fault
	Wider  int
	// Strict is set if Weir must add an error to a stream that ends without its last
	// event.
	Strict bool
	// Later is set if a later attempt may be Strict: Envoy decides with the request, and not
	// with an attempt, whether Weir sees a stream. It is not encoded.
	Later bool
	// Idle is the longest time between two chunks of a stream; 0 if Envoy bounds it.
	Idle time.Duration
	// Deadline bounds how long the response may be held; Attempt is the timeout of
	// one attempt.
	Deadline time.Time
	Attempt  time.Duration
}

// Needed reports whether Weir has to see the response at all.
func (g *Gate) Needed() bool { return g.Hold || g.Watches() }

// Helped returns the faults of the current attempt after which the next can help.
func (g *Gate) Helped() llm.Fault {
	if g.Wider&1 == 0 {
		return g.Faults &^ llm.FaultContext
	}
	return g.Faults
}

// Watches reports whether the response is followed to its end.
func (g *Gate) Watches() bool { return g.Stream && (g.Strict || g.Idle > 0) }

func (g *Gate) fields(c *coder) {
	c.text((*string)(&g.Response))
	c.flag(&g.Stream)
	c.flag(&g.MayStream)
	c.flag(&g.Hold)
	faults := int(g.Faults)
	c.integer(&faults)
	g.Faults = llm.Fault(faults)
	c.integer(&g.Wider)
	c.flag(&g.Strict)
	c.duration(&g.Idle)
	c.duration(&g.Attempt)
	c.moment(&g.Deadline)
}

// Encode returns g as one metadata value.
func (g *Gate) Encode() string {
	var c coder
	c.begin(len(g.Response) + 128)
	g.fields(&c)
	return c.written()
}

// DecodeGate reads what Encode wrote. Anything else is a Gate that does nothing.
func DecodeGate(s string) Gate {
	var g Gate
	c := newReader(s)
	if g.fields(&c); c.end() != nil {
		return Gate{}
	}
	return g
}

// Cause is why Weir judged a response to be a failure, with the status that the
// provider sent. It is the value of CauseHeader.
type Cause struct {
	Name   string
	Status int
}

func (w *Cause) fields(c *coder) {
	c.text(&w.Name)
	c.integer(&w.Status)
}

// Encode returns the value of CauseHeader.
func (w Cause) Encode() string {
	var c coder
	c.begin(len(w.Name) + 16)
	w.fields(&c)
	return c.written()
}

// DecodeCause reads what Encode wrote. Anything else is the zero Cause.
func DecodeCause(s string) Cause {
	var w Cause
	c := newReader(s)
	if w.fields(&c); c.end() != nil {
		return Cause{}
	}
	return w
}
