package metadata

import (
	"fmt"
	"strings"
	"time"

	"weir/llm/body"
)

// MaxAttempts is the longest plan.
const MaxAttempts = 10

// maxChanges bounds the edits and the header changes of an attempt that are read.
const maxChanges = 1000

// Plan holds the later attempts of a request, from the second on. It is decided when the
// request arrives and travels with it, so that every attempt uses the same decision. It
// does not hold the body: Envoy keeps the body of the first attempt, and the Edits of an
// Attempt turn that into the body of the Attempt. A Plan holds no credential.
type Plan struct {
	// Deadline bounds when an attempt may start.
	Deadline time.Time
	// Length is the length of the first attempt's body.
	Length int
	// Attempts begin with the second attempt.
	Attempts []Attempt
}

// Attempt is a later attempt of a request.
type Attempt struct {
	Cluster, Model, Path, Authority string
	// Edits turn the body of the first attempt into that of this one.
	Edits   []body.Edit
	Headers []HeaderChange
	// Strict is what Gate.Strict is for this attempt.
	Strict bool
	// Idle is what Gate.Idle is for this attempt, where Weir watches streams.
	Idle time.Duration
}

// HeaderChange is what a later attempt changes about a header of the first. An empty
// value removes it.
type HeaderChange struct{ Name, Value string }

func (p *Plan) fields(c *coder) {
	c.moment(&p.Deadline)
	c.integer(&p.Length)
	if n := c.length(len(p.Attempts), MaxAttempts); n > 0 {
		p.Attempts = make([]Attempt, n)
	}
	for i := range p.Attempts {
		p.Attempts[i].fields(c)
	}
}

func (a *Attempt) fields(c *coder) {
	c.text(&a.Cluster)
	c.text(&a.Model)
	c.text(&a.Path)
	c.text(&a.Authority)
	if n := c.length(len(a.Edits), maxChanges); n > 0 {
		a.Edits = make([]body.Edit, n)
	}
	for i := range a.Edits {
		e := &a.Edits[i]
		c.integer(&e.At)
		c.integer(&e.Len)
		c.content(&e.With)
	}
	if n := c.length(len(a.Headers), maxChanges); n > 0 {
		a.Headers = make([]HeaderChange, n)
	}
	for i := range a.Headers {
		c.text(&a.Headers[i].Name)
		c.octets(&a.Headers[i].Value)
	}
	c.flag(&a.Strict)
	c.duration(&a.Idle)
}

// size is about the length of the encoded plan.
func (p *Plan) size() int {
	n := 64
	for i := range p.Attempts {
		a := &p.Attempts[i]
		n += len(a.Cluster) + len(a.Model) + len(a.Path) + len(a.Authority) + 6*overhead
		for _, e := range a.Edits {
			n += len(e.With) + 4*overhead
		}
		for _, h := range a.Headers {
			n += len(h.Name) + 2*len(h.Value) + 2*overhead
		}
	}
	return n
}

// Encode returns the plan as one metadata value.
func (p *Plan) Encode() string {
	var c coder
	c.begin(p.size())
	p.fields(&c)
	return c.written()
}

// Retry is a later attempt, checked against what Envoy is about to do.
type Retry struct {
	Attempt
	// Length is the length of the body after the edits.
	Length int
	// Expired is set if the time for all attempts is over, Last if no attempt follows
	// this one.
	Expired, Last bool
}

// DecodeRetry reads attempt n of an encoded plan, counted from 1 as Envoy does. It
// fails if the plan does not fit what Envoy is about to do: another cluster than
// planned, or a body of another length.
func DecodeRetry(encoded string, n int, cluster string, length int, now time.Time) (Retry, error) {
	var p Plan
	c := newReader(encoded)
	p.fields(&c)
	if err := c.end(); err != nil {
		return Retry{}, fmt.Errorf("plan: %w", err)
	}
	if n < 2 || n-2 >= len(p.Attempts) {
		return Retry{}, fmt.Errorf("plan has no attempt %d", n)
	}
	r := Retry{Attempt: p.Attempts[n-2], Expired: now.UnixMilli() > p.Deadline.UnixMilli(), Last: n-1 == len(p.Attempts)}
	if r.Cluster != cluster {
		return Retry{}, fmt.Errorf("attempt %d is planned for cluster %q, Envoy chose %q", n, r.Cluster, cluster)
	}
	if p.Length != length {
		return Retry{}, fmt.Errorf("attempt %d has a body of %d bytes, the plan was made for %d", n, length, p.Length)
	}
	at := 0
	for _, e := range r.Edits {
		if e.At < at || e.At > length || e.Len < 0 || e.Len > length-e.At {
			return Retry{}, fmt.Errorf("attempt %d has an edit outside of its body", n)
		}
		at = e.At + e.Len
	}
	r.Length = body.EditedLen(length, r.Edits)
	return r, nil
}

// HeaderText writes a name as the value of a header, which must be ASCII (RFC 9110 5.5): what
// is not printable ASCII is percent-encoded, and so is '%', so that clients can decode it.
func HeaderText(name string) string {
	encoded := func(c byte) bool { return c < ' ' || c >= 0x7f || c == '%' }
	for i := range len(name) {
		if !encoded(name[i]) {
			continue
		}
		b := []byte(name[:i])
		for j := i; j < len(name); j++ {
			if encoded(name[j]) {
				b = fmt.Appendf(b, "%%%02X", name[j])
			} else {
				b = append(b, name[j])
			}
		}
		return string(b)
	}
	return name
}

// HeaderList writes names that clients sent as the value of one header: a list, with
// everything escaped that could end a name or the header.
func HeaderList(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		for j := 0; j < len(name); j++ {
			if c := name[j]; c <= ' ' || c >= 0x7f || c == ',' || c == '%' || c == '"' {
				fmt.Fprintf(&b, "%%%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}
