package metadata

import (
	"strconv"
	"strings"
	"time"

	"weir/llm"
)

// Gate is what Weir has to do with the answer of an attempt. It travels as
// metadata, like the plan.
type Gate struct {
	Response llm.ResponseKind
	Stream   bool
	// MayStream says that an answer in events would be no surprise.
	MayStream bool
	// Hold says that nothing of the answer reaches the client before it has
	// content: another attempt could follow.
	Hold bool
	// Strict says that a stream that ends without its last event ends in an
	// error.
	Strict bool
	// Idle is the longest silence inside a stream, 0 where Envoy sees to it.
	Idle time.Duration
	// Deadline bounds how long the answer may be held, Attempt is the timeout of
	// one attempt.
	Deadline time.Time
	Attempt  time.Duration
}

// Needed says whether there is anything to do.
func (g *Gate) Needed() bool { return g.Hold || g.Watches() }

// Watches says whether the answer is followed to its end.
func (g *Gate) Watches() bool { return g.Stream && (g.Strict || g.Idle > 0) }

// Encode writes g as one metadata value.
func (g *Gate) Encode() string {
	b := make([]byte, 0, 64)
	b = append(append(b, g.Response...), ' ')
	for _, f := range [...]struct {
		letter byte
		set    bool
	}{{'s', g.Stream}, {'m', g.MayStream}, {'h', g.Hold}, {'e', g.Strict}} {
		if f.set {
			b = append(b, f.letter)
		}
	}
	b = strconv.AppendInt(append(b, ' '), g.Idle.Milliseconds(), 10)
	b = strconv.AppendInt(append(b, ' '), g.Attempt.Milliseconds(), 10)
	b = strconv.AppendInt(append(b, ' '), g.Deadline.UnixMilli(), 10)
	return string(b)
}

// DecodeGate reads what Encode wrote. Of anything else it makes a Gate that
// does nothing.
func DecodeGate(s string) Gate {
	parts := strings.Split(s, " ")
	if len(parts) != 5 {
		return Gate{}
	}
	var numbers [3]int64
	for i, part := range parts[2:] {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return Gate{}
		}
		numbers[i] = n
	}
	flag := func(letter string) bool { return strings.Contains(parts[1], letter) }
	return Gate{
		Response: llm.ResponseKind(parts[0]),
		Stream:   flag("s"), MayStream: flag("m"), Hold: flag("h"), Strict: flag("e"),
		Idle: time.Duration(numbers[0]) * time.Millisecond, Attempt: time.Duration(numbers[1]) * time.Millisecond,
		Deadline: time.UnixMilli(numbers[2]),
	}
}

// EncodeCause writes why an answer with a status is none, as CauseHeader.
func EncodeCause(cause string, status int) string { return cause + " " + strconv.Itoa(status) }

// DecodeCause reads what EncodeCause wrote; cause is empty if it did not.
func DecodeCause(s string) (cause string, status int) {
	cause, number, _ := strings.Cut(s, " ")
	status, err := strconv.Atoi(number)
	if err != nil {
		return "", 0
	}
	return cause, status
}
